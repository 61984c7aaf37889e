//! Dropping partitions by age, and deleting what the default ones hold.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::connect::TIMEOUTS;
use super::error::Failure;
use super::partition::{self, Table};
use super::session::time;
use crate::store::retention::{CutOffs, Retained};

/// Rows that one step deletes at most.
const STEP_ROWS: i64 = 10_000;

/// Deletes what is older than `cut`, rounded down to whole partitions.
pub(super) async fn retain(client: &Client, cut: &CutOffs) -> Result<Retained, Failure> {
    let before_ns = |table: Table| {
        let cut_ns = match table {
            Table::Stats | Table::Mix => cut.raw_ns,
            Table::Minutes => cut.rollup_1m_ns,
            Table::FiveMinutes => cut.rollup_5m_ns,
        };
        cut_ns / table.length_ns() * table.length_ns()
    };
    // From now on nothing relies on older rows.
    client
        .execute_typed(
            "UPDATE retention SET raw_from = greatest(raw_from, $1),
                 rollup_1m_from = greatest(rollup_1m_from, $2),
                 rollup_5m_from = greatest(rollup_5m_from, $3)",
            &[
                (&time(before_ns(Table::Stats)), Type::TIMESTAMPTZ),
                (&time(before_ns(Table::Minutes)), Type::TIMESTAMPTZ),
                (&time(before_ns(Table::FiveMinutes)), Type::TIMESTAMPTZ),
            ],
        )
        .await?;
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
    retained.rows += forget_sessions(client, before_ns(Table::FiveMinutes)).await?;
    Ok(retained)
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
            "BEGIN; {TIMEOUTS}; SET LOCAL lock_timeout = '5s';
             LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE; {keep}; DROP TABLE {name}; COMMIT"
        ))
        .await?;
    Ok(())
}

/// Keeps the sums of rows that leave `bandwidth_5m`; gives how many there were.
fn expire(rows: &str) -> String {
    format!(
        "WITH old AS ({rows}),
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

/// Forgets changes of links, and sessions to which nothing was committed for as long as rollups
/// are kept, with their gaps and ledgers, so that the sums of each NIC still agree.
async fn forget_sessions(client: &Client, before_ns: u64) -> Result<u64, Failure> {
    let select = "SELECT session FROM sessions WHERE committed_at < $1 LIMIT 1000";
    let links = "DELETE FROM link_changes WHERE time < $1";
    client.execute_typed(links, &[(&time(before_ns), Type::TIMESTAMPTZ)]).await?;
    let mut forgotten = 0;
    loop {
        let old = client.query_typed(select, &[(&time(before_ns), Type::TIMESTAMPTZ)]).await?;
        if old.is_empty() {
            return Ok(forgotten);
        }
        for row in old {
            let session: i64 = row.try_get(0)?;
            client
                .batch_execute(&format!(
                    "BEGIN; {TIMEOUTS}; {};
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
