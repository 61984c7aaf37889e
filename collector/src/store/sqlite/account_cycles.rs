//! Keeps accounts' cycles.

use std::fmt::Debug;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use wire::{Bytes, WallNs};

use super::error::Failure;
use super::lease::{Reads, Writes};
use super::number::{bounded, number};
use crate::store::port::account_cycles::{CycleRecords, KeepCycles};
use crate::store::port::error::StoreError;
use crate::store::rows::account_cycles::{
    AccountCycle, AccountEntry, AccountWarning, EntryKind, KeptEntry, faults_of_entries,
    select_cycles,
};

#[async_trait]
impl<T: Reads + Send + Sync + Debug> CycleRecords for T {
    async fn account_cycles(&self, account: &str) -> Result<Vec<AccountCycle>, StoreError> {
        let account = account.to_owned();
        let work = move |db: &mut Connection| {
            let select = format!("{} WHERE account = ?1 ORDER BY starts_at", select_cycles("''"));
            let mut select = db.prepare_cached(&select)?;
            let rows = select.query_map([account], cycle)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        };
        self.readers().lease(work).await
    }

    async fn account_evidence(
        &self,
        account: &str,
        cycle: &str,
    ) -> Result<Option<String>, StoreError> {
        let key = [account.to_owned(), cycle.to_owned()];
        let select = "SELECT evidence FROM account_statements
                      WHERE account = ?1 AND cycle = ?2 AND frozen_at IS NOT NULL";
        let work = move |db: &mut Connection| {
            Ok(db.query_row(select, key, |row| row.get(0)).optional()?)
        };
        self.readers().lease(work).await
    }

    async fn account_entries(&self, account: &str) -> Result<Vec<KeptEntry>, StoreError> {
        let account = account.to_owned();
        self.readers().lease(move |db| entries(db, Some(account))).await
    }

    async fn account_warnings(
        &self,
        account: &str,
        cycle: &str,
    ) -> Result<Vec<AccountWarning>, StoreError> {
        let key = [account.to_owned(), cycle.to_owned()];
        let work = move |db: &mut Connection| {
            let mut select = db.prepare_cached(
                "SELECT account, cycle, warning, at, message FROM account_warnings
                 WHERE account = ?1 AND cycle = ?2 ORDER BY at, warning",
            )?;
            let rows = select.query_map(key, |row| {
                let (account, cycle, warning) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let (at_ns, message) = (WallNs::of_column(row.get(3)?), row.get(4)?);
                Ok(AccountWarning { account, cycle, warning, at_ns, message })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        };
        self.readers().lease(work).await
    }
}

#[async_trait]
impl<T: Writes + Send + Sync + Debug> KeepCycles for T {
    async fn keep_account_cycle(&self, cycle: &AccountCycle) -> Result<bool, StoreError> {
        let cycle = cycle.clone();
        self.writer().lease(move |db| keep_cycle(db, &cycle)).await
    }

    async fn add_account_entry(&self, entry: &AccountEntry) -> Result<(), StoreError> {
        let entry = entry.clone();
        self.writer().lease(move |db| add_entry(db, &entry)).await
    }

    async fn keep_account_warning(&self, warning: &AccountWarning) -> Result<bool, StoreError> {
        let AccountWarning { account, cycle, warning, at_ns, message } = warning.clone();
        let insert = "INSERT INTO account_warnings VALUES (?1, ?2, ?3, ?4, ?5)
                      ON CONFLICT DO NOTHING";
        let work = move |db: &mut Connection| {
            let row = params![account, cycle, warning, at_ns.to_column(), message];
            Ok(db.execute(insert, row)? == 1)
        };
        self.writer().lease(work).await
    }
}

/// Everything that is wrong with frozen cycles and entries.
pub(super) fn faults(db: &Connection) -> Result<Vec<String>, Failure> {
    let mut faults = faults_of_entries(&entries(db, None)?);
    let mut select = db.prepare(&select_cycles("evidence"))?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        faults.extend(cycle(row)?.fault());
    }
    Ok(faults)
}

fn cycle(row: &Row<'_>) -> rusqlite::Result<AccountCycle> {
    let some =
        |at| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(at)?.map(i64::cast_unsigned));
    Ok(AccountCycle {
        account: row.get(0)?,
        cycle: row.get(1)?,
        starts_ns: WallNs::of_column(row.get(2)?),
        ends_ns: WallNs::of_column(row.get(3)?),
        as_of_ns: WallNs::of_column(row.get(4)?),
        frozen_ns: row.get::<_, Option<i64>>(5)?.map(WallNs::of_column),
        rule: row.get(6)?,
        basis: row.get(7)?,
        counted: [number(row, 8)?, number(row, 9)?, number(row, 10)?, number(row, 11)?],
        opening_bytes: Bytes(number(row, 12)?),
        used_bytes: Bytes(number(row, 13)?),
        used_max_bytes: some(14)?.map(Bytes),
        quota_bytes: some(15)?.map(Bytes),
        missing_ns: number(row, 16)?,
        p95_bits_per_second: some(17)?,
        commit_bits_per_second: some(18)?,
        statement: row.get(19)?,
        evidence: row.get(20)?,
        digest: row.get(21)?,
    })
}

fn keep_cycle(db: &Connection, it: &AccountCycle) -> Result<bool, Failure> {
    let [rx_bytes, tx_bytes, rx_packets, tx_packets] = it.counted.map(bounded);
    let mut insert = db.prepare_cached(
        "INSERT OR REPLACE INTO account_statements
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
             ?20, ?21, ?22
         WHERE NOT EXISTS (SELECT 1 FROM account_statements WHERE account = ?1 AND cycle = ?2
                           AND (frozen_at IS NOT NULL OR as_of > ?5))",
    )?;
    let kept = insert.execute(params![
        it.account,
        it.cycle,
        it.starts_ns.to_column(),
        it.ends_ns.to_column(),
        it.as_of_ns.to_column(),
        it.frozen_ns.map(WallNs::to_column),
        it.rule,
        it.basis,
        rx_bytes,
        tx_bytes,
        rx_packets,
        tx_packets,
        bounded(it.opening_bytes.get()),
        bounded(it.used_bytes.get()),
        it.used_max_bytes.map(|bytes| bounded(bytes.get())),
        it.quota_bytes.map(|bytes| bounded(bytes.get())),
        bounded(it.missing_ns),
        it.p95_bits_per_second.map(bounded),
        it.commit_bits_per_second.map(bounded),
        it.statement,
        it.evidence,
        it.digest,
    ])?;
    // One that is replaced counts once.
    Ok(kept == 1)
}

fn entries(db: &Connection, account: Option<String>) -> Result<Vec<KeptEntry>, Failure> {
    let mut select = db.prepare_cached(
        "SELECT nth, account, cycle, kind, bytes, reason, operator, at, digest FROM account_entries
         WHERE account = coalesce(?1, account) ORDER BY nth",
    )?;
    let rows = select.query_map([account], |row| {
        let kind: String = row.get(3)?;
        let entry = AccountEntry {
            account: row.get(1)?,
            cycle: row.get(2)?,
            kind: EntryKind::named(&kind),
            bytes: Bytes(number(row, 4)?),
            reason: row.get(5)?,
            operator: row.get(6)?,
            at_s: number(row, 7)? / 1_000_000_000,
        };
        Ok(KeptEntry { nth: number(row, 0)?, entry, digest: row.get(8)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn add_entry(db: &mut Connection, entry: &AccountEntry) -> Result<(), Failure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let last = "SELECT nth, digest FROM account_entries ORDER BY nth DESC LIMIT 1";
    let last: Option<(i64, String)> =
        transaction.query_row(last, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (nth, before) = last.unwrap_or_default();
    let AccountEntry { account, cycle, kind, bytes, reason, operator, at_s } = entry;
    transaction.execute(
        "INSERT INTO account_entries VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            nth + 1,
            account,
            cycle,
            kind.name(),
            bounded(bytes.get()),
            reason,
            operator,
            bounded(at_s.saturating_mul(1_000_000_000)),
            entry.seal(&before),
        ],
    )?;
    transaction.commit()?;
    Ok(())
}
