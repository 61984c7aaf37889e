//! Reads incidents of alerts with their messages, and silences.

use std::time::SystemTime;

use async_trait::async_trait;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use wire::WallNs;

use super::error::Failure;
use super::session::{time, time_ns};
use super::silences::silences;
use super::store::PostgresStore;
use super::values::{instant, small};
use crate::store::port::alerts::AlertReader;
use crate::store::port::error::StoreError;
use crate::store::rows::alerts::{
    AlertCursor, AlertDelivery, AlertEvent, AlertIncident, AlertPage, AlertRange, AlertSilence,
    AlertSubject, INCIDENT_COLUMNS,
};

#[async_trait]
impl AlertReader for PostgresStore {
    async fn alerts(&self, range: &AlertRange) -> Result<AlertPage, StoreError> {
        self.lease(async |db| page(db, range).await).await
    }

    async fn silences(&self, now_ns: WallNs) -> Result<Vec<AlertSilence>, StoreError> {
        self.lease(async |db| silences(db, now_ns).await).await
    }
}

pub(super) fn incident(row: &Row) -> Result<AlertIncident, Failure> {
    Ok(AlertIncident {
        id: row.try_get(0)?,
        rule: row.try_get(1)?,
        measure: row.try_get(2)?,
        severity: row.try_get(3)?,
        subject: AlertSubject {
            client: row.try_get(4)?,
            nic: row.try_get(5)?,
            direction: row.try_get(6)?,
            name: row.try_get(7)?,
        },
        since_ns: instant(row, 8)?,
        fired_ns: instant(row, 9)?,
        resolved_ns: row.try_get::<_, Option<SystemTime>>(10)?.map(time_ns),
        value: row.try_get(11)?,
        bound: row.try_get(12)?,
        worst: row.try_get(13)?,
        worst_ns: instant(row, 14)?,
        detail: row.try_get(15)?,
        muted: row.try_get(16)?,
        announced: row.try_get(17)?,
        ended: row.try_get(18)?,
    })
}

async fn page(db: &Client, range: &AlertRange) -> Result<AlertPage, Failure> {
    let AlertRange { firing, from_ns, to_ns, rule, client, after, limit } = range;
    let (fired, id) = after.as_ref().map(|AlertCursor { fired_ns, id }| (*fired_ns, id)).unzip();
    let select = format!(
        "SELECT {INCIDENT_COLUMNS} FROM alerts WHERE fired_at < $1 AND (resolved_at IS NULL OR resolved_at >= $2)
             AND ($3 IS NULL OR (resolved_at IS NULL) = $3) AND ($4 IS NULL OR rule = $4)
             AND ($5 IS NULL OR client = $5) AND ($6 IS NULL OR (fired_at, id) < ($6, $7))
         ORDER BY fired_at DESC, id DESC LIMIT $8"
    );
    // PostgreSQL's calendar ends before 64 bits of nanoseconds do.
    let within = |it: WallNs| time(WallNs::of_column(it.to_column()));
    let [from, to] = [*from_ns, *to_ns].map(within);
    let (fired, limit) = (fired.map(within), i64::try_from(*limit).unwrap_or(i64::MAX));
    let values: [(&(dyn ToSql + Sync), Type); 8] = [
        (&to, Type::TIMESTAMPTZ),
        (&from, Type::TIMESTAMPTZ),
        (firing, Type::BOOL),
        (rule, Type::TEXT),
        (client, Type::TEXT),
        (&fired, Type::TIMESTAMPTZ),
        (&id, Type::TEXT),
        (&limit, Type::INT8),
    ];
    let rows = db.query_typed(&select, &values).await?;
    let incidents = rows.iter().map(incident).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<&str> = incidents.iter().map(|it| it.id.as_str()).collect();
    let select =
        "SELECT incident, event, target, state, attempts, ended_at, error FROM alert_messages
                  WHERE incident = ANY($1) ORDER BY incident, event, target";
    let rows = db.query_typed(select, &[(&ids, Type::TEXT_ARRAY)]).await?;
    let deliveries = rows.iter().map(delivery).collect::<Result<_, _>>()?;
    Ok(AlertPage { incidents, deliveries })
}

fn delivery(row: &Row) -> Result<AlertDelivery, Failure> {
    Ok(AlertDelivery {
        incident: row.try_get(0)?,
        event: AlertEvent::of_name(row.try_get(1)?),
        target: row.try_get(2)?,
        state: row.try_get(3)?,
        attempts: small(row, 4)?,
        ended_ns: row.try_get::<_, Option<SystemTime>>(5)?.map(time_ns),
        error: row.try_get(6)?,
    })
}
