//! Drops partitions by age, and deletes old rows of the default partitions.

use std::time::SystemTime;

use async_trait::async_trait;
use settings::InFull;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};
use wire::WallNs;

use super::connect::BEGIN;
use super::database::Postgres;
use super::error::Failure;
use super::expired::{self, expire, expired};
use super::forget::{forget_nics, forget_sessions};
use super::partition::{self, Partition, Table, WAIT};
use super::session::{time, time_ns};
use super::store::PostgresStore;
use super::tables::client_days;
use super::{alerts, mixes, quarantine, samples, tags, talkers};
use crate::store::port::error::StoreError;
use crate::store::port::retain::Retain;
use crate::store::rows::retention::{CutOffs, Retained, RetentionLimits, TimeSeen};

/// Most rows deleted per step.
const STEP_ROWS: i64 = 10_000;

#[async_trait]
impl Retain for PostgresStore {
    async fn time_seen(&self, limits: &RetentionLimits) -> Result<TimeSeen, StoreError> {
        self.lease(async |db| read_time(db, limits).await).await
    }

    async fn keep_clock(&self, clock_ns: WallNs) -> Result<(), StoreError> {
        self.lease(async |db| write_clock(db, clock_ns).await).await
    }

    async fn pack(&self, before_ns: WallNs) -> Result<u64, StoreError> {
        let samples = samples::pack(&self.database, before_ns).await;
        let mixes = mixes::pack(&self.database, before_ns).await;
        self.outcome(samples.and_then(|samples| Ok(samples + mixes?)))
    }

    async fn retain(
        &self,
        limits: &RetentionLimits,
        now_ns: WallNs,
    ) -> Result<Retained, StoreError> {
        let retained = delete(&self.database, &limits.cut_offs(now_ns), now_ns).await;
        if let Err(failure @ Failure::Unreachable(_)) = retained {
            return self.outcome(Err(failure));
        }
        self.database.partitions().clear();
        // Even if a table failed: otherwise rows of the next days would share the default partitions.
        let made = self.database.make_partitions(partition::ahead(now_ns)).await;
        self.outcome(retained.and_then(|retained| made.map(|()| retained)))
    }
}

/// A part that is deleted separately and can fail alone.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// Rows of a table and its partitions.
    Table(Table),
    /// Samples with dates too far off.
    Misdated,
    Quarantine,
    Alerts,
    Sessions,
    Nics,
    Tags,
    Owners,
    Days,
}

impl Part {
    fn all() -> impl Iterator<Item = Self> {
        let tables = Table::ALL.into_iter().map(Self::Table);
        tables.chain([
            Self::Misdated,
            Self::Quarantine,
            Self::Alerts,
            Self::Sessions,
            Self::Nics,
            Self::Tags,
            Self::Owners,
            Self::Days,
        ])
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Table(table) => table.name(),
            Self::Misdated => "gaps",
            Self::Quarantine => "quarantine",
            Self::Alerts => "alerts",
            Self::Sessions => "sessions",
            Self::Nics => "nics",
            Self::Tags => "tag_intervals",
            Self::Owners => "talker_owners",
            Self::Days => "client_days",
        }
    }
}

/// Deletes rows older than `cut`, rounded down to whole partitions. A failing part doesn't stop the
/// others, and all failures are reported. Stops at the first if no connection is available.
async fn delete(database: &Postgres, cut: &CutOffs, now_ns: WallNs) -> Result<Retained, Failure> {
    let mut retained = Retained::default();
    let mut failed = Vec::new();
    for part in Part::all() {
        match database.lease(async |db| delete_part(db, part, cut, now_ns).await).await {
            Ok(more) => {
                retained.rows += more.rows;
                retained.partitions += more.partitions;
            }
            Err(failure @ Failure::Unreachable(_)) => return Err(failure),
            Err(failure) => {
                let why = failure.into_cause();
                failed.push(format!("{}: {}", part.name(), why.in_full()));
            }
        }
    }
    if failed.is_empty() { Ok(retained) } else { Err(Failure::failed(failed.join("; "))) }
}

async fn delete_part(
    client: &Client,
    part: Part,
    cut: &CutOffs,
    now_ns: WallNs,
) -> Result<Retained, Failure> {
    let rows = match part {
        Part::Table(table) => return delete_of_table(client, table, cut, now_ns).await,
        Part::Misdated => delete_misdated(client, cut.rollup_1m_ns).await?,
        Part::Quarantine => quarantine::delete(client, cut.quarantine_ns).await?,
        Part::Alerts => alerts::delete(client, cut.alerts_ns).await?,
        Part::Sessions => {
            forget_sessions(client, before_ns(Table::FiveMinutes, cut), now_ns).await?
        }
        Part::Nics => forget_nics(client).await?,
        Part::Tags => tags::delete(client, before_ns(Table::FiveMinutes, cut)).await?,
        Part::Owners => talkers::forget_owners(client, before_ns(Table::Talkers, cut)).await?,
        Part::Days => client_days::delete(client, before_ns(Table::FiveMinutes, cut)).await?,
    };
    Ok(Retained { rows, partitions: 0 })
}

/// The time before which rows of a table are deleted: whole partitions.
fn before_ns(table: Table, cut: &CutOffs) -> WallNs {
    let cut_ns = match table {
        Table::Stats | Table::Packed | Table::Mix | Table::PackedMixes => cut.raw_ns,
        Table::Talkers => cut.talkers_ns,
        Table::Minutes => cut.rollup_1m_ns,
        Table::FiveMinutes => cut.rollup_5m_ns,
    };
    cut_ns.floor(table.length_ns())
}

async fn delete_of_table(
    client: &Client,
    table: Table,
    cut: &CutOffs,
    now_ns: WallNs,
) -> Result<Retained, Failure> {
    let before_ns = before_ns(table, cut);
    let column = match table {
        Table::Stats => Some("raw_from"),
        Table::Minutes => Some("rollup_1m_from"),
        Table::FiveMinutes => Some("rollup_5m_from"),
        Table::Packed | Table::Mix | Table::PackedMixes | Table::Talkers => None,
    };
    if let Some(column) = column {
        note_cut_off(client, table, column, before_ns, now_ns).await?;
    }
    let old = partition::all(client, table).await?;
    let old = old.into_iter().filter(|partition| partition.ends_by(before_ns));
    let partitions = match table {
        Table::FiveMinutes => expired::drop_partitions(client, old).await?,
        Table::Stats
        | Table::Packed
        | Table::Mix
        | Table::PackedMixes
        | Table::Talkers
        | Table::Minutes => drop_partitions(client, old).await?,
    };
    let rows = delete_from_default(client, table, before_ns).await?;
    Ok(Retained { rows, partitions })
}

/// Records the start of complete rows. From now on nothing relies on older ones.
async fn note_cut_off(
    client: &Client,
    table: Table,
    column: &str,
    before_ns: WallNs,
    now_ns: WallNs,
) -> Result<(), Failure> {
    let kept = format!("SELECT {column} FROM retention");
    let kept: SystemTime = client.query_typed_one(&kept, &[]).await?.try_get(0)?;
    let cut = time(before_ns);
    // Later than all rows: left by a clock far ahead. Not if this clock is behind.
    let lost = kept > time(now_ns) && kept > newest(client).await?;
    let from = if lost { complete_from(client, table, cut).await? } else { kept };
    let note = format!("UPDATE retention SET {column} = $1 WHERE {column} = $2 AND $1 <> $2");
    let params = [from.max(cut), kept];
    let [from, kept] = &params;
    client.execute_typed(&note, &[(from, Type::TIMESTAMPTZ), (kept, Type::TIMESTAMPTZ)]).await?;
    Ok(())
}

/// The end of the last five minutes for which a table lacks rows.
async fn complete_from(
    client: &Client,
    table: Table,
    cut: SystemTime,
) -> Result<SystemTime, Failure> {
    let sums = "sum(rx_bytes) AS rx_bytes, sum(tx_bytes) AS tx_bytes,
                sum(rx_packets) AS rx_packets, sum(tx_packets) AS tx_packets";
    let figures = "rx_bytes, tx_bytes, rx_packets, tx_packets";
    // It reads everything, once after a fault, so it has no time limit.
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
                table.prefix()
            ),
            &[(&cut, Type::TIMESTAMPTZ)],
        )
        .await?;
    client.batch_execute("COMMIT").await?;
    Ok(row.try_get(0)?)
}

/// The database's known times.
async fn read_time(client: &Client, limits: &RetentionLimits) -> Result<TimeSeen, Failure> {
    let select = "SELECT coalesce(clock, (SELECT max(committed_at) FROM sessions)),
                      clock_timestamp() FROM retention";
    let row = client.query_typed_one(select, &[]).await?;
    let clock: Option<SystemTime> = row.try_get(0)?;
    let mut first_expiry_ns = WallNs::MAX;
    for table in Table::ALL {
        let kept = match table {
            Table::Stats | Table::Packed | Table::Mix | Table::PackedMixes => limits.raw,
            Table::Talkers => limits.talkers,
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

/// A lower bound on the start of a table's rows, nanoseconds since 1970: from its partitions, because
/// their rows are many.
pub(super) async fn oldest(client: &Client, table: Table) -> Result<Option<WallNs>, Failure> {
    let select = format!("SELECT min(time) FROM {}_default", table.prefix());
    let stray: Option<SystemTime> = client.query_typed_one(&select, &[]).await?.try_get(0)?;
    let mut partitions = partition::all(client, table).await?;
    partitions.sort_unstable();
    for partition in partitions {
        if partition.has_rows(client).await? {
            let stray_ns = stray.map_or(WallNs::MAX, time_ns);
            return Ok(Some(stray_ns.min(partition.starts_ns())));
        }
    }
    Ok(stray.map(time_ns))
}

/// The end of the newest day with samples.
async fn newest(client: &Client) -> Result<SystemTime, Failure> {
    let mut newest_ns = WallNs(0);
    for table in [Table::Stats, Table::Packed] {
        let mut partitions = partition::all(client, table).await?;
        partitions.sort_unstable();
        for partition in partitions.into_iter().rev() {
            if partition.has_rows(client).await? {
                newest_ns = newest_ns.max(partition.starts_ns() + table.length_ns());
                break;
            }
        }
    }
    Ok(time(newest_ns))
}

async fn write_clock(client: &Client, clock_ns: WallNs) -> Result<(), Failure> {
    let keep = "UPDATE retention SET clock = $1";
    client.execute_typed(keep, &[(&time(clock_ns), Type::TIMESTAMPTZ)]).await?;
    Ok(())
}

async fn drop_partitions(
    client: &Client,
    partitions: impl Iterator<Item = Partition>,
) -> Result<u64, Failure> {
    let mut dropped = 0;
    for partition in partitions {
        if partition.take(client, WAIT).await? {
            let drop = format!("DROP TABLE {}; COMMIT", partition.name());
            client.batch_execute(&drop).await?;
            dropped += 1;
        }
    }
    Ok(dropped)
}

fn timestamp(time: &SystemTime) -> (&(dyn ToSql + Sync), Type) {
    (time, Type::TIMESTAMPTZ)
}

/// Deletes old rows of the default partition, the oldest first, in steps of time. Each step starts
/// where the previous one ended; otherwise it would scan all index entries of deleted rows.
async fn delete_from_default(
    client: &Client,
    table: Table,
    before_ns: WallNs,
) -> Result<u64, Failure> {
    let (name, before) = (table.prefix(), time(before_ns));
    let oldest = format!("SELECT min(time) FROM {name}_default WHERE time < $1");
    let step = format!(
        "SELECT time FROM {name}_default WHERE time < $1 AND time >= $2
         ORDER BY time OFFSET {STEP_ROWS} LIMIT 1"
    );
    // More rows than a step's limit, if that many have the same time.
    let old = format!("{name}_default WHERE time < $1 AND time >= $2 AND time <= $3");
    let sql = match table {
        Table::FiveMinutes => expire(&format!(
            "DELETE FROM {old} RETURNING nic, rx_bytes, tx_bytes, rx_packets, tx_packets"
        )),
        Table::Stats
        | Table::Packed
        | Table::Mix
        | Table::PackedMixes
        | Table::Talkers
        | Table::Minutes => {
            format!("WITH old AS (DELETE FROM {old} RETURNING nic) SELECT count(*) FROM old")
        }
    };
    let mut from = client.query_typed_one(&oldest, &[timestamp(&before)]).await?.try_get(0)?;
    let mut rows = 0;
    while let Some(first) = from {
        let until = client.query_typed_opt(&step, &[timestamp(&before), timestamp(&first)]).await?;
        from = until.map(|row| row.try_get(0)).transpose()?;
        let last: SystemTime = from.unwrap_or(before);
        let times = [timestamp(&before), timestamp(&first), timestamp(&last)];
        let deleted: i64 = client.query_typed_one(&sql, &times).await?.try_get(0)?;
        rows += deleted.unsigned_abs();
    }
    Ok(rows)
}

/// Deletes samples with dates too far off that arrived before `before_ns`; keeps their sums.
async fn delete_misdated(client: &Client, before_ns: WallNs) -> Result<u64, Failure> {
    let sql = format!(
        "WITH gone AS (DELETE FROM gaps WHERE reason = 6 AND arrived < $1 AND session = (
                 SELECT session FROM gaps WHERE reason = 6 AND arrived < $1 LIMIT 1)
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
