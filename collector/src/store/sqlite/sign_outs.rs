//! Signed-out browser sessions.

use async_trait::async_trait;
use rusqlite::{Connection, TransactionBehavior, params};

use super::error::Failure;
use super::lease::{Reads, Writes};
use super::number::{int, number};
use super::store::SqliteStore;
use crate::store::port::error::StoreError;
use crate::store::port::sign_outs::SignOuts;
use crate::store::rows::sign_outs::SignOut;

#[async_trait]
impl SignOuts for SqliteStore {
    async fn sign_outs(&self, after: u64) -> Result<(Vec<SignOut>, u64), StoreError> {
        self.readers().lease(move |db| after_change(db, after)).await
    }

    async fn keep_sign_out(&self, sign_out: &SignOut, now_s: u64) -> Result<(), StoreError> {
        let sign_out = sign_out.clone();
        self.writer().lease(move |db| keep(db, &sign_out, now_s)).await
    }
}

fn after_change(db: &Connection, after: u64) -> Result<(Vec<SignOut>, u64), Failure> {
    let mut select = db.prepare_cached(
        "SELECT session, ends_at, change FROM sign_outs
         WHERE change > ?1 OR ?1 > (SELECT max(change) FROM sign_outs) ORDER BY change",
    )?;
    let mut last = after;
    let rows = select.query_map([int(after)?], |row| {
        last = number(row, 2)?;
        Ok(SignOut { session: row.get(0)?, ends_at: number(row, 1)? })
    })?;
    let sign_outs = rows.collect::<rusqlite::Result<_>>()?;
    Ok((sign_outs, last))
}

fn keep(db: &mut Connection, sign_out: &SignOut, now_s: u64) -> Result<(), Failure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute(
        "INSERT INTO sign_outs
         SELECT ?1, ?2, coalesce(max(change), 0) + 1 FROM sign_outs WHERE true
         ON CONFLICT (session) DO NOTHING",
        params![sign_out.session, int(sign_out.ends_at)?],
    )?;
    // The last change stays, because the next number is derived from it.
    transaction.execute(
        "DELETE FROM sign_outs WHERE ends_at < ?1
             AND change < (SELECT max(change) FROM sign_outs)",
        [int(now_s)?],
    )?;
    transaction.commit()?;
    Ok(())
}
