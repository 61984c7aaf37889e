//! Dropping partitions by age, and deleting what the default ones hold.

use std::time::SystemTime;

use async_trait::async_trait;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::connect::BEGIN;
use super::error::Failure;
use super::partition::{self, Table};
use super::quarantine;
use super::session::{time, time_ns};
use super::store::PostgresStore;
use crate::store::port::error::StoreError;
use crate::store::port::retain::Retain;
use crate::store::rows::retention::{CutOffs, Retained, RetentionLimits, TimeSeen};
use crate::store::rows::tables::KEEPING;

/// Rows that one step deletes at most.
const STEP_ROWS: i64 = 10_000;

/// NICs that one step looks at.
const STEP_NICS: i64 = 1000;

#[async_trait]
impl Retain for PostgresStore {
    async fn time_seen(&self, limits: &RetentionLimits) -> Result<TimeSeen, StoreError> {
        self.lease(async |db| read_time(db, limits).await).await
    }

    async fn keep_clock(&self, clock_ns: u64) -> Result<(), StoreError> {
        self.lease(async |db| write_clock(db, clock_ns).await).await
    }

    async fn retain(&self, limits: &RetentionLimits, now_ns: u64) -> Result<Retained, StoreError> {
        let cut = limits.cut_offs(now_ns);
        let retained = self.lease(async |db| delete(db, &cut, now_ns).await).await?;
        self.database.partitions().clear();
        self.outcome(self.database.make_partitions(partition::ahead(now_ns)).await)?;
        Ok(retained)
    }
}

/// Deletes what is older than `cut`, rounded down to whole partitions.
async fn delete(client: &Client, cut: &CutOffs, now_ns: u64) -> Result<Retained, Failure> {
    let before_ns = |table: Table| {
        let cut_ns = match table {
            Table::Stats | Table::Mix => cut.raw_ns,
            Table::Minutes => cut.rollup_1m_ns,
            Table::FiveMinutes => cut.rollup_5m_ns,
        };
        cut_ns / table.length_ns() * table.length_ns()
    };
    // From now on nothing relies on older rows.
    let newest = newest(client).await?;
    for (column, table) in [
        ("raw_from", Table::Stats),
        ("rollup_1m_from", Table::Minutes),
        ("rollup_5m_from", Table::FiveMinutes),
    ] {
        let kept = format!("SELECT {column} FROM retention");
        let kept: SystemTime = client.query_typed_one(&kept, &[]).await?.try_get(0)?;
        let cut = time(before_ns(table));
        // Behind all rows there are: left by a clock far ahead. It isn't where this clock is behind.
        let lost = kept > time(now_ns) && kept > newest;
        let from = if lost { complete_from(client, table, cut).await? } else { kept };
        let note = format!("UPDATE retention SET {column} = $1 WHERE {column} = $2 AND $1 <> $2");
        let params = [from.max(cut), kept];
        let [from, kept] = &params;
        client
            .execute_typed(&note, &[(from, Type::TIMESTAMPTZ), (kept, Type::TIMESTAMPTZ)])
            .await?;
    }
    let mut retained = Retained::default();
    for table in Table::ALL {
        for partition in partition::all(client, table).await? {
            if partition.ends_by(before_ns(table)) {
                drop_partition(client, partition).await?;
                retained.partitions += 1;
            }
        }
        retained.rows += delete_from_default(client, table, before_ns(table)).await?;
    }
    retained.rows += delete_misdated(client, cut.rollup_1m_ns).await?;
    retained.rows += quarantine::delete(client, cut.quarantine_ns).await?;
    retained.rows += forget_sessions(client, before_ns(Table::FiveMinutes), now_ns).await?;
    retained.rows += forget_nics(client).await?;
    Ok(retained)
}

/// The end of the last five minutes of which a table lacks rows.
async fn complete_from(
    client: &Client,
    table: Table,
    cut: SystemTime,
) -> Result<SystemTime, Failure> {
    let sums = "sum(rx_bytes) AS rx_bytes, sum(tx_bytes) AS tx_bytes,
                sum(rx_packets) AS rx_packets, sum(tx_packets) AS tx_packets";
    let figures = "rx_bytes, tx_bytes, rx_packets, tx_packets";
    // Reads all of it, once after a fault: it may take as long as it needs.
    client.batch_execute(&format!("{BEGIN}; SET LOCAL statement_timeout = 0")).await?;
    let row = client
        .query_typed_one(
            &format!(
                "SELECT coalesce(max(time) + interval '5 minutes', 'epoch')
                 FROM (SELECT client, nic, time, {figures} FROM bandwidth_5m WHERE time >= $1
                       EXCEPT
                       SELECT client, nic, date_bin('5 minutes', time, 'epoch'), {sums}
                       FROM {} WHERE time >= $1 GROUP BY 1, 2, 3) AS lacking
                 WHERE ({figures}) <> (0, 0, 0, 0)",
                table.name()
            ),
            &[(&cut, Type::TIMESTAMPTZ)],
        )
        .await?;
    client.batch_execute("COMMIT").await?;
    Ok(row.try_get(0)?)
}

/// What the database knows of time.
async fn read_time(client: &Client, limits: &RetentionLimits) -> Result<TimeSeen, Failure> {
    let select = "SELECT coalesce(clock, (SELECT max(committed_at) FROM sessions)),
                      clock_timestamp() FROM retention";
    let row = client.query_typed_one(select, &[]).await?;
    let clock: Option<SystemTime> = row.try_get(0)?;
    let mut first_expiry_ns = u64::MAX;
    for table in Table::ALL {
        let kept = match table {
            Table::Stats | Table::Mix => limits.raw,
            Table::Minutes => limits.rollup_1m,
            Table::FiveMinutes => limits.rollup_5m,
        };
        let kept_ns = u64::try_from(kept.as_nanos()).unwrap_or(u64::MAX);
        if let Some(oldest_ns) = oldest(client, table).await? {
            first_expiry_ns = first_expiry_ns.min(oldest_ns.saturating_add(kept_ns));
        }
    }
    let server_ns = Some(time_ns(row.try_get(1)?));
    Ok(TimeSeen { clock_ns: clock.map(time_ns), server_ns, first_expiry_ns })
}

/// Before when a table has no row, nanoseconds since 1970: by partitions, whose rows are many.
async fn oldest(client: &Client, table: Table) -> Result<Option<u64>, Failure> {
    let select = format!("SELECT min(time) FROM {}_default", table.name());
    let stray: Option<SystemTime> = client.query_typed_one(&select, &[]).await?.try_get(0)?;
    let mut partitions = partition::all(client, table).await?;
    partitions.sort_unstable();
    for partition in partitions {
        if has_rows(client, partition).await? {
            let stray_ns = stray.map_or(u64::MAX, time_ns);
            return Ok(Some(stray_ns.min(partition.starts_ns())));
        }
    }
    Ok(stray.map(time_ns))
}

/// The end of the newest day that has samples.
async fn newest(client: &Client) -> Result<SystemTime, Failure> {
    let mut partitions = partition::all(client, Table::Stats).await?;
    partitions.sort_unstable();
    for partition in partitions.into_iter().rev() {
        if has_rows(client, partition).await? {
            return Ok(time(partition.starts_ns() + Table::Stats.length_ns()));
        }
    }
    Ok(SystemTime::UNIX_EPOCH)
}

async fn has_rows(client: &Client, partition: partition::Partition) -> Result<bool, Failure> {
    let any = format!("SELECT EXISTS (SELECT 1 FROM {})", partition.name());
    Ok(client.query_typed_one(&any, &[]).await?.try_get(0)?)
}

async fn write_clock(client: &Client, clock_ns: u64) -> Result<(), Failure> {
    let keep = "UPDATE retention SET clock = $1";
    client.execute_typed(keep, &[(&time(clock_ns), Type::TIMESTAMPTZ)]).await?;
    Ok(())
}

async fn drop_partition(client: &Client, partition: partition::Partition) -> Result<(), Failure> {
    let name = partition.name();
    let keep = match partition.table {
        Table::FiveMinutes => expire(&format!("SELECT * FROM {name}")),
        Table::Stats | Table::Mix | Table::Minutes => String::new(),
    };
    // A reader who takes long must not hold up commits that queue behind this lock.
    client
        .batch_execute(&format!(
            "{BEGIN}; SET LOCAL lock_timeout = '5s';
             LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE; {keep}; DROP TABLE {name}; COMMIT"
        ))
        .await?;
    Ok(())
}

/// Keeps the sums of rows that leave `bandwidth_5m`; gives how many there were.
fn expire(rows: &str) -> String {
    format!("WITH {}", expired(rows))
}

/// As [`expire`], after `WITH`.
fn expired(rows: &str) -> String {
    format!(
        "old AS ({rows}),
             sums AS (SELECT nic, sum(rx_bytes) AS rx_bytes, sum(tx_bytes) AS tx_bytes,
                          sum(rx_packets) AS rx_packets, sum(tx_packets) AS tx_packets
                      FROM old GROUP BY nic),
             kept AS (UPDATE nics SET expired_rx_bytes = expired_rx_bytes + sums.rx_bytes,
                          expired_tx_bytes = expired_tx_bytes + sums.tx_bytes,
                          expired_rx_packets = expired_rx_packets + sums.rx_packets,
                          expired_tx_packets = expired_tx_packets + sums.tx_packets
                      FROM sums WHERE id = sums.nic)
         SELECT count(*) FROM old"
    )
}

async fn delete_from_default(
    client: &Client,
    table: Table,
    before_ns: u64,
) -> Result<u64, Failure> {
    let name = table.name();
    let delete = format!(
        "DELETE FROM {name}_default WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM {name}_default WHERE time < to_timestamp({}) LIMIT {STEP_ROWS}))
         RETURNING *",
        before_ns / 1_000_000_000
    );
    let sql = match table {
        Table::FiveMinutes => expire(&delete),
        Table::Stats | Table::Mix | Table::Minutes => {
            format!("WITH old AS ({delete}) SELECT count(*) FROM old")
        }
    };
    let mut rows = 0;
    loop {
        let deleted: i64 = client.query_typed_one(&sql, &[]).await?.try_get(0)?;
        if deleted == 0 {
            return Ok(rows);
        }
        rows += deleted.unsigned_abs();
    }
}

/// Deletes samples that are dated too far off and arrived before `before_ns`; their sums stay known.
async fn delete_misdated(client: &Client, before_ns: u64) -> Result<u64, Failure> {
    let sql = format!(
        "WITH gone AS (DELETE FROM gaps WHERE ctid = ANY (ARRAY(
                 SELECT ctid FROM gaps WHERE reason = 6 AND arrived < $1 AND session = (
                     SELECT session FROM gaps WHERE reason = 6 AND arrived < $1 LIMIT 1)))
             RETURNING *),
         ranges AS (SELECT session, sum(last_seq - first_seq + 1) AS seqs
             FROM (SELECT DISTINCT session, first_seq, last_seq FROM gone) AS one
             GROUP BY session),
         moved AS (UPDATE sessions SET gap_seqs = gap_seqs - ranges.seqs FROM ranges
             WHERE sessions.session = ranges.session),
         {}",
        expired("SELECT * FROM gone")
    );
    let before = time(before_ns);
    let mut rows = 0;
    loop {
        let deleted = client.query_typed_one(&sql, &[(&before, Type::TIMESTAMPTZ)]).await?;
        match deleted.try_get::<_, i64>(0)? {
            0 => return Ok(rows),
            deleted => rows += deleted.unsigned_abs(),
        }
    }
}

/// Forgets changes of links, and sessions that began and to which something was committed longer
/// ago than rollups are kept, by their host's clock and by the collector's, with their gaps and
/// ledgers, so that the sums of each NIC still agree.
async fn forget_sessions(client: &Client, before_ns: u64, now_ns: u64) -> Result<u64, Failure> {
    let select = "SELECT session FROM sessions
                  WHERE committed_at < $1 AND (started < $1 OR started > $2) LIMIT 1000";
    let times = [time(before_ns), time(now_ns)];
    let links = "DELETE FROM link_changes WHERE time < $1";
    client.execute_typed(links, &[(&time(before_ns), Type::TIMESTAMPTZ)]).await?;
    let mut forgotten = 0;
    loop {
        let [before, now] = &times;
        let params = [(before as _, Type::TIMESTAMPTZ), (now as _, Type::TIMESTAMPTZ)];
        let old = client.query_typed(select, &params).await?;
        if old.is_empty() {
            return Ok(forgotten);
        }
        for row in old {
            let session: i64 = row.try_get(0)?;
            client
                .batch_execute(&format!(
                    "{BEGIN}; {};
                     DELETE FROM gaps WHERE session = {session};
                     DELETE FROM session_nics WHERE session = {session};
                     DELETE FROM quarantine WHERE session = {session};
                     DELETE FROM sessions WHERE session = {session}; COMMIT",
                    expire(&format!(
                        "SELECT nic, rx_bytes, tx_bytes, rx_packets, tx_packets FROM gaps
                         WHERE session = {session} AND nic IS NOT NULL
                         UNION ALL
                         SELECT nic, -counted_rx_bytes, -counted_tx_bytes, -counted_rx_packets,
                             -counted_tx_packets FROM session_nics WHERE session = {session}"
                    ))
                ))
                .await?;
            forgotten += 1;
        }
    }
}

/// Forgets NICs that are gone and have no rows left, with what sessions counted on them: hosts with
/// short-lived NICs have new ones every minute.
async fn forget_nics(client: &Client) -> Result<u64, Failure> {
    // It doesn't answer what is asked of each NIC here; there they stay.
    let citus = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')";
    if client.query_typed_one(citus, &[]).await?.try_get(0)? {
        return Ok(0);
    }
    // Asked NIC by NIC, by the indexes: a join would read whole tables.
    let none = KEEPING.map(|table| {
        format!(
            "(SELECT 1 FROM {table} WHERE {table}.client = nics.client AND {table}.nic = nics.id
              LIMIT 1) IS NULL"
        )
    });
    let none = none.join(" AND ");
    let page = format!(
        "SELECT id, {none} FROM (SELECT * FROM nics WHERE id > $1 AND NOT present ORDER BY id
             LIMIT {STEP_NICS}) AS nics ORDER BY id"
    );
    let (mut last, mut forgotten) = (i32::MIN, 0);
    loop {
        let mut gone: Vec<i32> = Vec::new();
        let rows = client.query_typed(&page, &[(&last, Type::INT4)]).await?;
        if rows.is_empty() {
            return Ok(forgotten);
        }
        for row in rows {
            last = row.try_get(0)?;
            gone.extend(row.try_get::<_, bool>(1)?.then_some(last));
        }
        if gone.is_empty() {
            continue;
        }
        // Whoever counts on one of them waits, or has been first: then it isn't gone.
        client.batch_execute(BEGIN).await?;
        let lock = "SELECT FROM session_nics WHERE nic = ANY ($1) FOR UPDATE";
        client.query_typed(lock, &[(&gone, Type::INT4_ARRAY)]).await?;
        let still = format!("SELECT id FROM nics WHERE id = ANY ($1) AND NOT present AND {none}");
        let still = client.query_typed(&still, &[(&gone, Type::INT4_ARRAY)]).await?;
        let gone = still.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i32>, _>>()?;
        let ledgers = "DELETE FROM session_nics WHERE nic = ANY ($1)";
        client.execute_typed(ledgers, &[(&gone, Type::INT4_ARRAY)]).await?;
        let nics = "DELETE FROM nics WHERE id = ANY ($1)";
        forgotten += client.execute_typed(nics, &[(&gone, Type::INT4_ARRAY)]).await?;
        client.batch_execute("COMMIT").await?;
    }
}
