//! Deleting what is old, a bounded number of rows at a time.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::error::Failure;
use super::int;
use crate::store::retention::CutOffs;

/// Rows that one step deletes at most.
const STEP_ROWS: i64 = 5000;

/// Notes from when on rows are complete. From now on nothing relies on older ones.
pub(super) fn begin(db: &Connection, cut: &CutOffs) -> Result<(), Failure> {
    db.execute(
        "UPDATE retention SET raw_from = max(raw_from, ?1),
             rollup_1m_from = max(rollup_1m_from, ?2), rollup_5m_from = max(rollup_5m_from, ?3)",
        [int(cut.raw_ns)?, int(cut.rollup_1m_ns)?, int(cut.rollup_5m_ns)?],
    )?;
    Ok(())
}

/// Deletes some of what is older than `cut`; gives the number of rows, 0 once there are none.
pub(super) fn step(db: &mut Connection, cut: &CutOffs) -> Result<u64, Failure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut rows = 0;
    let tables = [
        ("bandwidth_stats", cut.raw_ns),
        ("traffic_mix", cut.raw_ns),
        ("bandwidth_1m", cut.rollup_1m_ns),
        ("bandwidth_5m", cut.rollup_5m_ns),
        ("link_changes", cut.rollup_5m_ns),
    ];
    for (table, before_ns) in tables {
        if rows == 0 {
            rows = delete_some(&transaction, table, int(before_ns)?)?;
        }
    }
    if rows == 0 {
        rows = forget_session(&transaction, int(cut.rollup_5m_ns)?)?;
    }
    transaction.commit()?;
    Ok(rows as u64)
}

/// Deletes the oldest rows of the first NIC that has rows older than `before`.
fn delete_some(transaction: &Transaction<'_>, table: &str, before: i64) -> Result<usize, Failure> {
    let nic: Option<[i64; 2]> = transaction
        .prepare_cached(&format!(
            "SELECT client, id FROM nics WHERE EXISTS (SELECT 1 FROM {table} old
                 WHERE old.client = nics.client AND old.nic = nics.id AND old.time < ?1) LIMIT 1"
        ))?
        .query_row([before], |row| Ok([row.get(0)?, row.get(1)?]))
        .optional()?;
    let Some([client, nic]) = nic else { return Ok(0) };
    let up_to: Option<i64> = transaction
        .prepare_cached(&format!(
            "SELECT time FROM {table} WHERE client = ?1 AND nic = ?2 AND time < ?3
             ORDER BY time LIMIT 1 OFFSET ?4"
        ))?
        .query_row([client, nic, before, STEP_ROWS - 1], |row| row.get(0))
        .optional()?;
    let until = up_to.map_or(before, |time| time + 1);
    if table == "bandwidth_5m" {
        transaction.prepare_cached(EXPIRE)?.execute([client, nic, until])?;
    }
    let delete = format!("DELETE FROM {table} WHERE client = ?1 AND nic = ?2 AND time < ?3");
    Ok(transaction.prepare_cached(&delete)?.execute([client, nic, until])?)
}

/// Keeps the sums of what leaves `bandwidth_5m`.
const EXPIRE: &str = "
    UPDATE nics SET expired_rx_bytes = expired_rx_bytes + old.rx_bytes,
        expired_tx_bytes = expired_tx_bytes + old.tx_bytes,
        expired_rx_packets = expired_rx_packets + old.rx_packets,
        expired_tx_packets = expired_tx_packets + old.tx_packets
    FROM (SELECT sum(rx_bytes) AS rx_bytes, sum(tx_bytes) AS tx_bytes,
              sum(rx_packets) AS rx_packets, sum(tx_packets) AS tx_packets
          FROM bandwidth_5m WHERE client = ?1 AND nic = ?2 AND time < ?3) AS old
    WHERE id = ?2";

/// Forgets one session to which nothing was committed for as long as rollups are kept, with its
/// gaps and ledgers, so that the sums of each NIC still agree.
fn forget_session(transaction: &Transaction<'_>, before: i64) -> Result<usize, Failure> {
    let session: Option<i64> = transaction
        .prepare_cached("SELECT session FROM sessions WHERE committed_at < ?1 LIMIT 1")?
        .query_row([before], |row| row.get(0))
        .optional()?;
    let Some(session) = session else { return Ok(0) };
    transaction.execute(
        "UPDATE nics SET expired_rx_bytes = expired_rx_bytes + old.rx_bytes,
             expired_tx_bytes = expired_tx_bytes + old.tx_bytes,
             expired_rx_packets = expired_rx_packets + old.rx_packets,
             expired_tx_packets = expired_tx_packets + old.tx_packets
         FROM (SELECT nic, sum(rx_bytes) AS rx_bytes, sum(tx_bytes) AS tx_bytes,
                   sum(rx_packets) AS rx_packets, sum(tx_packets) AS tx_packets
               FROM (SELECT nic, rx_bytes, tx_bytes, rx_packets, tx_packets FROM gaps
                     WHERE session = ?1 AND nic IS NOT NULL
                     UNION ALL
                     SELECT nic, -counted_rx_bytes, -counted_tx_bytes, -counted_rx_packets,
                         -counted_tx_packets FROM session_nics WHERE session = ?1)
               GROUP BY nic) AS old
         WHERE id = old.nic",
        [session],
    )?;
    let mut rows = 0;
    for table in ["gaps", "session_nics", "quarantine", "sessions"] {
        let delete = format!("DELETE FROM {table} WHERE session = ?1");
        rows += transaction.prepare_cached(&delete)?.execute(params![session])?;
    }
    Ok(rows)
}
