//! Silences of alerts, also beside a running collector.

use std::fmt::Debug;

use async_trait::async_trait;
use rusqlite::{Connection, Row, TransactionBehavior, params};
use wire::WallNs;

use super::error::Failure;
use super::lease::Writes;
use crate::store::port::alerts::Silences;
use crate::store::port::error::StoreError;
use crate::store::rows::alerts::AlertSilence;

const COLUMNS: &str = "id, rule, client, nic, tag, from_at, until_at, set_by, reason";

#[async_trait]
impl<T: Writes + Send + Sync + Debug> Silences for T {
    async fn add_silence(&self, silence: &AlertSilence) -> Result<(), StoreError> {
        let silence = silence.clone();
        self.writer().lease(move |db| add(db, &silence)).await
    }

    async fn end_silence(
        &self,
        id: &str,
        now_ns: WallNs,
    ) -> Result<Option<AlertSilence>, StoreError> {
        let id = id.to_owned();
        self.writer().lease(move |db| end(db, &id, now_ns)).await
    }
}

pub(super) fn silences(db: &Connection, now_ns: WallNs) -> Result<Vec<AlertSilence>, Failure> {
    let select =
        format!("SELECT {COLUMNS} FROM alert_silences WHERE until_at > ?1 ORDER BY until_at, id");
    let mut select = db.prepare_cached(&select)?;
    let rows = select.query_map([now_ns.to_column()], silence)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn silence(row: &Row<'_>) -> rusqlite::Result<AlertSilence> {
    Ok(AlertSilence {
        id: row.get(0)?,
        rule: row.get(1)?,
        client: row.get(2)?,
        nic: row.get(3)?,
        tag: row.get(4)?,
        from_ns: row.get(5).map(WallNs::of_column)?,
        until_ns: row.get(6).map(WallNs::of_column)?,
        by: row.get(7)?,
        reason: row.get(8)?,
    })
}

fn add(db: &Connection, it: &AlertSilence) -> Result<(), Failure> {
    let insert = format!(
        "INSERT INTO alert_silences ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
    );
    let [from, until] = [it.from_ns, it.until_ns].map(WallNs::to_column);
    let AlertSilence { id, rule, client, nic, tag, by, reason, .. } = it;
    db.execute(&insert, params![id, rule, client, nic, tag, from, until, by, reason])?;
    Ok(())
}

fn end(db: &mut Connection, id: &str, now_ns: WallNs) -> Result<Option<AlertSilence>, Failure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = silences(&transaction, now_ns)?;
    let mut found = found.into_iter().filter(|it| it.id.starts_with(id));
    let (Some(silence), None) = (found.next(), found.next()) else { return Ok(None) };
    let update = "UPDATE alert_silences SET until_at = ?2 WHERE id = ?1";
    transaction.execute(update, params![silence.id, now_ns.to_column()])?;
    transaction.commit()?;
    Ok(Some(silence))
}
