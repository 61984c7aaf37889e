//! Silences of alerts.

use async_trait::async_trait;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use wire::WallNs;

use super::connect::BEGIN;
use super::error::Failure;
use super::session::{text, time};
use super::store::PostgresStore;
use super::values::instant;
use crate::store::port::alerts::Silences;
use crate::store::port::error::StoreError;
use crate::store::rows::alerts::AlertSilence;

const COLUMNS: &str = "id, rule, client, nic, tag, from_at, until_at, set_by, reason";

#[async_trait]
impl Silences for PostgresStore {
    async fn add_silence(&self, silence: &AlertSilence) -> Result<(), StoreError> {
        self.lease(async |db| add(db, silence).await).await
    }

    async fn end_silence(
        &self,
        id: &str,
        now_ns: WallNs,
    ) -> Result<Option<AlertSilence>, StoreError> {
        self.lease(async |db| end(db, id, now_ns).await).await
    }
}

pub(super) async fn silences(db: &Client, now_ns: WallNs) -> Result<Vec<AlertSilence>, Failure> {
    let select =
        format!("SELECT {COLUMNS} FROM alert_silences WHERE until_at > $1 ORDER BY until_at, id");
    let rows = db.query_typed(&select, &[(&time(now_ns), Type::TIMESTAMPTZ)]).await?;
    rows.iter().map(silence).collect()
}

fn silence(row: &Row) -> Result<AlertSilence, Failure> {
    Ok(AlertSilence {
        id: row.try_get(0)?,
        rule: row.try_get(1)?,
        client: row.try_get(2)?,
        nic: row.try_get(3)?,
        tag: row.try_get(4)?,
        from_ns: instant(row, 5)?,
        until_ns: instant(row, 6)?,
        by: row.try_get(7)?,
        reason: row.try_get(8)?,
    })
}

async fn add(db: &Client, it: &AlertSilence) -> Result<(), Failure> {
    let insert = format!(
        "INSERT INTO alert_silences ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    );
    let [from, until] = [it.from_ns, it.until_ns].map(time);
    let (by, reason) = (text(&it.by), text(&it.reason));
    let values: [(&(dyn ToSql + Sync), Type); 9] = [
        (&it.id, Type::TEXT),
        (&it.rule, Type::TEXT),
        (&it.client, Type::TEXT),
        (&it.nic, Type::TEXT),
        (&it.tag, Type::TEXT),
        (&from, Type::TIMESTAMPTZ),
        (&until, Type::TIMESTAMPTZ),
        (&by, Type::TEXT),
        (&reason, Type::TEXT),
    ];
    db.execute_typed(&insert, &values).await?;
    Ok(())
}

async fn end(db: &Client, id: &str, now_ns: WallNs) -> Result<Option<AlertSilence>, Failure> {
    db.batch_execute(BEGIN).await?;
    let found = silences(db, now_ns).await?;
    let mut found = found.into_iter().filter(|it| it.id.starts_with(id));
    let ended = match (found.next(), found.next()) {
        (Some(silence), None) => Some(silence),
        _ => None,
    };
    if let Some(silence) = &ended {
        let update = "UPDATE alert_silences SET until_at = $2 WHERE id = $1";
        let values: [(&(dyn ToSql + Sync), Type); 2] =
            [(&silence.id, Type::TEXT), (&time(now_ns), Type::TIMESTAMPTZ)];
        db.execute_typed(update, &values).await?;
    }
    db.batch_execute("COMMIT").await?;
    Ok(ended)
}
