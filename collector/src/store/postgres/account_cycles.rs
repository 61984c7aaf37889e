//! Keeps accounts' cycles.

use std::time::SystemTime;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};
use wire::{Bytes, WallNs};

use super::connect::BEGIN;
use super::error::Failure;
use super::number::bounded;
use super::session::{time, time_ns};
use super::store::PostgresStore;
use super::values::{instant, number};
use crate::store::port::account_cycles::{CycleRecords, KeepCycles};
use crate::store::port::error::StoreError;
use crate::store::rows::account_cycles::{
    AccountCycle, AccountEntry, AccountWarning, EntryKind, KeptEntry, faults_of_entries,
    select_cycles,
};

type Params<'a> = Vec<(&'a (dyn ToSql + Sync), Type)>;

#[async_trait]
impl CycleRecords for PostgresStore {
    async fn account_cycles(&self, account: &str) -> Result<Vec<AccountCycle>, StoreError> {
        self.lease(async |db| {
            let select = format!("{} WHERE account = $1 ORDER BY starts_at", select_cycles("''"));
            let rows = db.query_typed(&select, &[(&account, Type::TEXT)]).await?;
            Ok(rows.iter().map(cycle).collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn account_evidence(
        &self,
        account: &str,
        cycle: &str,
    ) -> Result<Option<String>, StoreError> {
        self.lease(async |db| {
            let select = "SELECT evidence FROM account_statements
                          WHERE account = $1 AND cycle = $2 AND frozen_at IS NOT NULL";
            let key = [(&account as _, Type::TEXT), (&cycle as _, Type::TEXT)];
            let row = db.query_typed_opt(select, &key).await?;
            Ok(row.map(|row| row.try_get(0)).transpose()?)
        })
        .await
    }

    async fn account_entries(&self, account: &str) -> Result<Vec<KeptEntry>, StoreError> {
        self.lease(async |db| entries(db, Some(account)).await).await
    }

    async fn account_warnings(
        &self,
        account: &str,
        cycle: &str,
    ) -> Result<Vec<AccountWarning>, StoreError> {
        self.lease(async |db| {
            let select = "SELECT account, cycle, warning, at, message FROM account_warnings
                          WHERE account = $1 AND cycle = $2 ORDER BY at, warning COLLATE \"C\"";
            let key = [(&account as _, Type::TEXT), (&cycle as _, Type::TEXT)];
            let rows = db.query_typed(select, &key).await?;
            Ok(rows.iter().map(warning).collect::<Result<_, _>>()?)
        })
        .await
    }
}

#[async_trait]
impl KeepCycles for PostgresStore {
    async fn keep_account_cycle(&self, cycle: &AccountCycle) -> Result<bool, StoreError> {
        self.lease(async |db| keep_cycle(db, cycle).await).await
    }

    async fn add_account_entry(&self, entry: &AccountEntry) -> Result<(), StoreError> {
        self.lease(async |db| add_entry(db, entry).await).await
    }

    async fn keep_account_warning(&self, warning: &AccountWarning) -> Result<bool, StoreError> {
        let AccountWarning { account, cycle, warning, at_ns, message } = warning;
        self.lease(async |db| {
            let insert = "INSERT INTO account_warnings VALUES ($1, $2, $3, $4, $5)
                          ON CONFLICT DO NOTHING";
            let at = time(*at_ns);
            let row: Params<'_> = vec![
                (account, Type::TEXT),
                (cycle, Type::TEXT),
                (warning, Type::TEXT),
                (&at, Type::TIMESTAMPTZ),
                (message, Type::TEXT),
            ];
            Ok(db.execute_typed(insert, &row).await? == 1)
        })
        .await
    }
}

/// Everything that is wrong with frozen cycles and entries.
pub(super) async fn faults(db: &Client) -> Result<Vec<String>, Failure> {
    let mut faults = faults_of_entries(&entries(db, None).await?);
    let none: [(&(dyn ToSql + Sync), Type); 0] = [];
    let mut rows = std::pin::pin!(db.query_typed_raw(&select_cycles("evidence"), none).await?);
    while let Some(row) = rows.try_next().await? {
        faults.extend(cycle(&row)?.fault());
    }
    Ok(faults)
}

fn cycle(row: &Row) -> Result<AccountCycle, Error> {
    let some = |at| Ok::<_, Error>(row.try_get::<_, Option<i64>>(at)?.map(i64::cast_unsigned));
    Ok(AccountCycle {
        account: row.try_get(0)?,
        cycle: row.try_get(1)?,
        starts_ns: instant(row, 2)?,
        ends_ns: instant(row, 3)?,
        as_of_ns: instant(row, 4)?,
        frozen_ns: row.try_get::<_, Option<SystemTime>>(5)?.map(time_ns),
        rule: row.try_get(6)?,
        basis: row.try_get(7)?,
        counted: [number(row, 8)?, number(row, 9)?, number(row, 10)?, number(row, 11)?],
        opening_bytes: Bytes(number(row, 12)?),
        used_bytes: Bytes(number(row, 13)?),
        used_max_bytes: some(14)?.map(Bytes),
        quota_bytes: some(15)?.map(Bytes),
        missing_ns: number(row, 16)?,
        p95_bits_per_second: some(17)?,
        commit_bits_per_second: some(18)?,
        statement: row.try_get(19)?,
        evidence: row.try_get(20)?,
        digest: row.try_get(21)?,
    })
}

async fn keep_cycle(db: &Client, it: &AccountCycle) -> Result<bool, Failure> {
    let insert = "INSERT INTO account_statements (account, cycle, starts_at, ends_at, as_of, frozen_at,
            rule, basis, rx_bytes, tx_bytes, rx_packets, tx_packets, opening_bytes, used_bytes,
            used_max_bytes, quota_bytes, missing_ns, p95_bits_per_second, commit_bits_per_second,
            statement, evidence, digest)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
            $20, $21, $22)
        ON CONFLICT (account, cycle) DO UPDATE SET starts_at = excluded.starts_at,
            ends_at = excluded.ends_at, as_of = excluded.as_of, frozen_at = excluded.frozen_at,
            rule = excluded.rule, basis = excluded.basis, rx_bytes = excluded.rx_bytes,
            tx_bytes = excluded.tx_bytes, rx_packets = excluded.rx_packets,
            tx_packets = excluded.tx_packets, opening_bytes = excluded.opening_bytes,
            used_bytes = excluded.used_bytes, used_max_bytes = excluded.used_max_bytes,
            quota_bytes = excluded.quota_bytes, missing_ns = excluded.missing_ns,
            p95_bits_per_second = excluded.p95_bits_per_second,
            commit_bits_per_second = excluded.commit_bits_per_second,
            statement = excluded.statement, evidence = excluded.evidence, digest = excluded.digest
        WHERE account_statements.frozen_at IS NULL AND account_statements.as_of <= excluded.as_of";
    let [starts, ends, as_of] = [it.starts_ns, it.ends_ns, it.as_of_ns].map(time);
    let frozen = it.frozen_ns.map(time);
    let [rx_bytes, tx_bytes, rx_packets, tx_packets] = it.counted.map(bounded);
    let [opening, used] = [it.opening_bytes, it.used_bytes].map(|bytes| bounded(bytes.get()));
    let missing = bounded(it.missing_ns);
    let [most, quota] =
        [it.used_max_bytes, it.quota_bytes].map(|it| it.map(|bytes| bounded(bytes.get())));
    let [p95, commit] =
        [it.p95_bits_per_second, it.commit_bits_per_second].map(|it| it.map(bounded));
    let row: Params<'_> = vec![
        (&it.account, Type::TEXT),
        (&it.cycle, Type::TEXT),
        (&starts, Type::TIMESTAMPTZ),
        (&ends, Type::TIMESTAMPTZ),
        (&as_of, Type::TIMESTAMPTZ),
        (&frozen, Type::TIMESTAMPTZ),
        (&it.rule, Type::TEXT),
        (&it.basis, Type::TEXT),
        (&rx_bytes, Type::INT8),
        (&tx_bytes, Type::INT8),
        (&rx_packets, Type::INT8),
        (&tx_packets, Type::INT8),
        (&opening, Type::INT8),
        (&used, Type::INT8),
        (&most, Type::INT8),
        (&quota, Type::INT8),
        (&missing, Type::INT8),
        (&p95, Type::INT8),
        (&commit, Type::INT8),
        (&it.statement, Type::TEXT),
        (&it.evidence, Type::TEXT),
        (&it.digest, Type::TEXT),
    ];
    Ok(db.execute_typed(insert, &row).await? == 1)
}

async fn entries(db: &Client, account: Option<&str>) -> Result<Vec<KeptEntry>, Failure> {
    let select = "SELECT nth, account, cycle, kind, bytes, reason, operator, at, digest
                  FROM account_entries WHERE account = coalesce($1, account) ORDER BY nth";
    let rows = db.query_typed(select, &[(&account, Type::TEXT)]).await?;
    let kept = |row: &Row| {
        let entry = AccountEntry {
            account: row.try_get(1)?,
            cycle: row.try_get(2)?,
            kind: EntryKind::named(row.try_get(3)?),
            bytes: Bytes(number(row, 4)?),
            reason: row.try_get(5)?,
            operator: row.try_get(6)?,
            at_s: instant(row, 7)? / 1_000_000_000,
        };
        Ok::<_, Error>(KeptEntry { nth: number(row, 0)?, entry, digest: row.try_get(8)? })
    };
    Ok(rows.iter().map(kept).collect::<Result<_, _>>()?)
}

fn warning(row: &Row) -> Result<AccountWarning, Error> {
    let (account, cycle, warning) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    Ok(AccountWarning {
        account,
        cycle,
        warning,
        at_ns: instant(row, 3)?,
        message: row.try_get(4)?,
    })
}

async fn add_entry(db: &Client, entry: &AccountEntry) -> Result<(), Failure> {
    // One at a time, so that each is sealed with the one before.
    let lock = format!("{BEGIN}; LOCK TABLE account_entries IN SHARE ROW EXCLUSIVE MODE");
    db.batch_execute(&lock).await?;
    let last = "SELECT nth, digest FROM account_entries ORDER BY nth DESC LIMIT 1";
    let (nth, before): (i64, String) = match db.query_typed_opt(last, &[]).await? {
        Some(row) => (row.try_get(0)?, row.try_get(1)?),
        None => Default::default(),
    };
    let AccountEntry { account, cycle, kind, bytes, reason, operator, at_s } = entry;
    let (nth, bytes, at) =
        (nth + 1, bounded(bytes.get()), time(WallNs(at_s.saturating_mul(1_000_000_000))));
    let (kind, digest) = (kind.name(), entry.seal(&before));
    let row: Params<'_> = vec![
        (&nth, Type::INT8),
        (account, Type::TEXT),
        (cycle, Type::TEXT),
        (&kind, Type::TEXT),
        (&bytes, Type::INT8),
        (reason, Type::TEXT),
        (operator, Type::TEXT),
        (&at, Type::TIMESTAMPTZ),
        (&digest, Type::TEXT),
    ];
    let insert = "INSERT INTO account_entries VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    db.execute_typed(insert, &row).await?;
    db.batch_execute("COMMIT").await?;
    Ok(())
}
