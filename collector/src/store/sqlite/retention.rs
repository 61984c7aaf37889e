//! Deletes old rows, a bounded number at a time.

use std::sync::LazyLock;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use wire::WallNs;

use super::error::Failure;
use super::lease::{Reads, Writes};
use super::query::{FIVE_MINUTES, MINUTES};
use super::store::SqliteStore;
use super::tables::client_days;
use super::tables::stored::{STEP_ROWS, Stored, keeping, stored};
use super::{alerts, mixes, quarantine, samples, tags, talkers};
use crate::store::port::error::StoreError;
use crate::store::port::retain::Retain;
use crate::store::rows::nics::NicId;
use crate::store::rows::retention::{CutOffs, Retained, RetentionLimits, TimeSeen};
use crate::store::rows::rollups::FIVE_MINUTES_NS;
use crate::store::rows::tables::{FIGURES, timed};

/// Most NICs deleted per step.
const STEP_NICS: i64 = 1000;

#[async_trait]
impl Retain for SqliteStore {
    async fn time_seen(&self, limits: &RetentionLimits) -> Result<TimeSeen, StoreError> {
        let limits = *limits;
        self.readers().lease(move |db| time_seen(db, &limits)).await
    }

    async fn keep_clock(&self, clock_ns: WallNs) -> Result<(), StoreError> {
        self.writer().lease(move |db| keep_clock(db, clock_ns)).await
    }

    async fn pack(&self, before_ns: WallNs) -> Result<u64, StoreError> {
        let samples = samples::pack(self, before_ns).await;
        let mixes = mixes::pack(self, before_ns).await;
        Ok(samples? + mixes?)
    }

    async fn retain(
        &self,
        limits: &RetentionLimits,
        now_ns: WallNs,
    ) -> Result<Retained, StoreError> {
        let cut = limits.cut_offs(now_ns);
        self.writer().lease(move |db| begin(db, &cut, now_ns)).await?;
        let mut retained = Retained::default();
        // Commits run between steps.
        loop {
            match self.writer().lease(move |db| step(db, &cut)).await? {
                0 => return Ok(retained),
                rows => retained.rows += rows,
            }
        }
    }
}

/// The file's known times.
fn time_seen(db: &Connection, limits: &RetentionLimits) -> Result<TimeSeen, Failure> {
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
    let time = |ns: i64| WallNs::of_column(ns.max(0));
    let clock =
        number("SELECT coalesce(clock, (SELECT max(committed_at) FROM sessions)) FROM retention")?;
    let mut first_expiry_ns = WallNs::MAX;
    for Stored { name: table, of, start, .. } in stored(FIGURES) {
        let kept = of.kept(limits);
        let oldest = number(&format!(
            "SELECT min((SELECT {start} FROM {table} WHERE {table}.client = nics.client
                 AND {table}.nic = nics.id ORDER BY time LIMIT 1)) FROM nics"
        ))?;
        let kept_ns = u64::try_from(kept.as_nanos()).unwrap_or(u64::MAX);
        let expires = oldest.map_or(WallNs::MAX, |oldest| time(oldest).saturating_add(kept_ns));
        first_expiry_ns = first_expiry_ns.min(expires);
    }
    Ok(TimeSeen { clock_ns: clock.map(time), server_ns: None, first_expiry_ns })
}

fn keep_clock(db: &Connection, clock_ns: WallNs) -> Result<(), Failure> {
    db.execute("UPDATE retention SET clock = ?1", [clock_ns.to_column()])?;
    Ok(())
}

/// Records the start of complete rows. From now on nothing relies on older ones.
fn begin(db: &mut Connection, cut: &CutOffs, now_ns: WallNs) -> Result<(), Failure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let newest = samples::newest(&transaction)?;
    for (column, table, cut_ns) in [
        ("raw_from", None, cut.raw_ns),
        ("rollup_1m_from", Some(MINUTES), cut.rollup_1m_ns),
        ("rollup_5m_from", Some(FIVE_MINUTES), cut.rollup_5m_ns),
    ] {
        let (cut, now) = (cut_ns.to_column(), now_ns.to_column());
        let kept = format!("SELECT {column} FROM retention");
        let kept: i64 = transaction.query_row(&kept, [], |row| row.get(0))?;
        // Later than all rows: left by a clock far ahead. Not if this clock is behind.
        let lost = kept > now && newest.is_none_or(|newest| kept > newest);
        let from = match table {
            _ if !lost => kept,
            Some(table) => complete_from(&transaction, table, cut)?,
            None => samples::complete_from(&transaction, cut)?,
        };
        let note = format!("UPDATE retention SET {column} = ?1 WHERE {column} <> ?1");
        transaction.execute(&note, [from.max(cut)])?;
    }
    transaction.commit()?;
    Ok(())
}

/// The end of the last five minutes for which a rollup lacks rows.
fn complete_from(transaction: &Transaction<'_>, table: &str, cut: i64) -> Result<i64, Failure> {
    let sum = |figure| {
        format!(
            "(SELECT wide_sum({figure}) FROM {table} WHERE {table}.client = five.client
                 AND {table}.nic = five.nic AND {table}.time >= five.time
                 AND {table}.time < five.time + {FIVE_MINUTES_NS}) <> CAST(five.{figure} AS text)"
        )
    };
    let lacks = ["rx_bytes", "tx_bytes", "rx_packets", "tx_packets"].map(sum).join(" OR ");
    let last = format!("SELECT max(time) FROM bandwidth_5m five WHERE time >= ?1 AND ({lacks})");
    let last: Option<i64> = transaction.query_row(&last, [cut], |row| row.get(0))?;
    Ok(last.map_or(0, |last| last.saturating_add_unsigned(FIVE_MINUTES_NS)))
}

/// Deletes some rows older than `cut`; returns their number, 0 once there are none.
fn step(db: &mut Connection, cut: &CutOffs) -> Result<u64, Failure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut rows = 0;
    for table in stored(timed()) {
        if rows == 0 {
            rows = delete_some(&transaction, table, table.of.cut_ns(cut).to_column())?;
        }
    }
    if rows == 0 {
        rows = client_days::delete_some(&transaction, cut.rollup_5m_ns)?;
    }
    if rows == 0 {
        rows = delete_misdated(&transaction, cut.rollup_1m_ns.to_column())?;
    }
    if rows == 0 {
        rows = talkers::forget_owners(&transaction, cut.talkers_ns)?;
    }
    if rows == 0 {
        rows = quarantine::delete_some(&transaction, cut.quarantine_ns.to_column())?;
    }
    if rows == 0 {
        rows = alerts::delete_some(&transaction, cut.alerts_ns.to_column())?;
    }
    if rows == 0 {
        rows = forget_session(&transaction, cut.rollup_5m_ns.to_column(), cut.now_ns.to_column())?;
    }
    if rows == 0 {
        rows = forget_nics(&transaction)?;
    }
    if rows == 0 {
        rows = tags::delete_some(&transaction, cut.rollup_5m_ns.to_column(), STEP_ROWS)?;
    }
    transaction.commit()?;
    Ok(rows as u64)
}

/// Deletes the oldest rows of the first NIC with rows older than `before`.
fn delete_some(
    transaction: &Transaction<'_>,
    Stored { name: table, step_rows, .. }: Stored,
    before: i64,
) -> Result<usize, Failure> {
    let nic: Option<(i64, NicId)> = transaction
        .prepare_cached(&format!(
            "SELECT client, id FROM nics WHERE EXISTS (SELECT 1 FROM {table} old
                 WHERE old.client = nics.client AND old.nic = nics.id AND old.time < ?1) LIMIT 1"
        ))?
        .query_row([before], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((client, nic)) = nic else { return Ok(0) };
    let up_to: Option<i64> = transaction
        .prepare_cached(&format!(
            "SELECT time FROM {table} WHERE client = ?1 AND nic = ?2 AND time < ?3
             ORDER BY time LIMIT 1 OFFSET ?4"
        ))?
        .query_row(params![client, nic, before, step_rows - 1], |row| row.get(0))
        .optional()?;
    let until = up_to.map_or(before, |time| time + 1);
    if table == "bandwidth_5m" {
        transaction.prepare_cached(&EXPIRE)?.execute(params![client, nic, until])?;
    }
    let delete = format!("DELETE FROM {table} WHERE client = ?1 AND nic = ?2 AND time < ?3");
    Ok(transaction.prepare_cached(&delete)?.execute(params![client, nic, until])?)
}

/// A statement that stores the sums of rows leaving `bandwidth_5m`: `old` selects nic, rx_bytes,
/// tx_bytes, rx_packets, tx_packets.
fn expire(old: &str) -> String {
    format!(
        "UPDATE nics SET expired_rx_bytes = wide_add(expired_rx_bytes, old.rx_bytes),
             expired_tx_bytes = wide_add(expired_tx_bytes, old.tx_bytes),
             expired_rx_packets = wide_add(expired_rx_packets, old.rx_packets),
             expired_tx_packets = wide_add(expired_tx_packets, old.tx_packets)
         FROM (SELECT nic, wide_sum(rx_bytes) AS rx_bytes, wide_sum(tx_bytes) AS tx_bytes,
                   wide_sum(rx_packets) AS rx_packets, wide_sum(tx_packets) AS tx_packets
               FROM ({old}) GROUP BY nic) AS old
         WHERE id = old.nic"
    )
}

static EXPIRE: LazyLock<String> = LazyLock::new(|| {
    expire("SELECT * FROM bandwidth_5m WHERE client = ?1 AND nic = ?2 AND time < ?3")
});

/// Deletes some samples with dates too far off that arrived before `before`; keeps their sums.
fn delete_misdated(transaction: &Transaction<'_>, before: i64) -> Result<usize, Failure> {
    let session: Option<i64> = transaction
        .prepare_cached("SELECT session FROM gaps WHERE reason = 6 AND arrived < ?1 LIMIT 1")?
        .query_row([before], |row| row.get(0))
        .optional()?;
    let Some(session) = session else { return Ok(0) };
    // Whole frames: the rows of each come from one commit.
    let until: Option<i64> = transaction
        .prepare_cached(
            "SELECT first_seq FROM gaps WHERE session = ?1 AND reason = 6 AND arrived < ?2
             ORDER BY first_seq LIMIT 1 OFFSET ?3",
        )?
        .query_row([session, before, STEP_ROWS - 1], |row| row.get(0))
        .optional()?;
    let of = "FROM gaps WHERE session = ?1 AND reason = 6 AND arrived < ?2 AND first_seq <= ?3";
    let key = [session, before, until.unwrap_or(i64::MAX)];
    let old = format!("SELECT nic, rx_bytes, tx_bytes, rx_packets, tx_packets {of}");
    transaction.execute(&expire(&old), key)?;
    transaction.execute(
        &format!(
            "UPDATE sessions SET gap_seqs = gap_seqs - (SELECT sum(last_seq - first_seq + 1)
                 FROM (SELECT DISTINCT first_seq, last_seq {of})) WHERE session = ?1"
        ),
        key,
    )?;
    Ok(transaction.execute(&format!("DELETE {of}"), key)?)
}

/// Forgets one session that both started and was last committed longer ago than rollups are kept, by
/// its host's clock and by the collector's. Its gaps and ledgers go too, so that the sums of each NIC
/// still agree.
fn forget_session(transaction: &Transaction<'_>, before: i64, now: i64) -> Result<usize, Failure> {
    let session: Option<i64> = transaction
        .prepare_cached(
            "SELECT session FROM sessions
             WHERE committed_at < ?1 AND (started < ?1 OR started > ?2) LIMIT 1",
        )?
        .query_row([before, now], |row| row.get(0))
        .optional()?;
    let Some(session) = session else { return Ok(0) };
    let old = "SELECT nic, rx_bytes, tx_bytes, rx_packets, tx_packets FROM gaps
               WHERE session = ?1 AND nic IS NOT NULL
               UNION ALL
               SELECT nic, -counted_rx_bytes, -counted_tx_bytes, -counted_rx_packets,
                   -counted_tx_packets FROM session_nics WHERE session = ?1";
    transaction.execute(&expire(old), [session])?;
    let mut rows = 0;
    for table in ["gaps", "session_nics", "quarantine", "sessions"] {
        let delete = format!("DELETE FROM {table} WHERE session = ?1");
        rows += transaction.prepare_cached(&delete)?.execute(params![session])?;
    }
    Ok(rows)
}

static FORGOTTEN: LazyLock<String> = LazyLock::new(|| {
    let none = |table: &str| match table {
        // Its index starts with the NIC.
        "gaps" => "NOT EXISTS (SELECT 1 FROM gaps WHERE gaps.nic = nics.id)".to_owned(),
        _ => format!(
            "NOT EXISTS (SELECT 1 FROM {table} WHERE {table}.client = nics.client
                 AND {table}.nic = nics.id)"
        ),
    };
    let none = keeping().map(none).collect::<Vec<_>>().join(" AND ");
    format!("SELECT id FROM nics WHERE present = 0 AND {none} LIMIT {STEP_NICS}")
});

/// Forgets some removed NICs without rows, and their ledgers: hosts with short-lived NICs have new ones
/// every minute.
fn forget_nics(transaction: &Transaction<'_>) -> Result<usize, Failure> {
    let mut select = transaction.prepare_cached(&FORGOTTEN)?;
    let gone: Vec<NicId> = select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for nic in &gone {
        for delete in ["DELETE FROM session_nics WHERE nic = ?1", "DELETE FROM nics WHERE id = ?1"]
        {
            transaction.prepare_cached(delete)?.execute([nic])?;
        }
    }
    Ok(gone.len())
}
