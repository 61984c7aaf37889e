//! Reads incidents of alerts with their messages, and silences.

use std::fmt::Debug;

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use wire::WallNs;

use super::error::Failure;
use super::lease::Reads;
use super::silences::silences;
use crate::store::port::alerts::AlertReader;
use crate::store::port::error::StoreError;
use crate::store::rows::alerts::{
    AlertCursor, AlertDelivery, AlertEvent, AlertIncident, AlertPage, AlertRange, AlertSilence,
    AlertSubject, INCIDENT_COLUMNS,
};

#[async_trait]
impl<T: Reads + Send + Sync + Debug> AlertReader for T {
    async fn alerts(&self, range: &AlertRange) -> Result<AlertPage, StoreError> {
        let range = range.clone();
        self.readers().lease(move |db| page(db, &range)).await
    }

    async fn silences(&self, now_ns: WallNs) -> Result<Vec<AlertSilence>, StoreError> {
        self.readers().lease(move |db| silences(db, now_ns)).await
    }
}

pub(super) fn incident(row: &Row<'_>) -> rusqlite::Result<AlertIncident> {
    Ok(AlertIncident {
        id: row.get(0)?,
        rule: row.get(1)?,
        measure: row.get(2)?,
        severity: row.get(3)?,
        subject: AlertSubject {
            client: row.get(4)?,
            nic: row.get(5)?,
            direction: row.get(6)?,
            name: row.get(7)?,
        },
        since_ns: row.get(8).map(WallNs::of_column)?,
        fired_ns: row.get(9).map(WallNs::of_column)?,
        resolved_ns: row.get::<_, Option<i64>>(10)?.map(WallNs::of_column),
        value: row.get(11)?,
        bound: row.get(12)?,
        worst: row.get(13)?,
        worst_ns: row.get(14).map(WallNs::of_column)?,
        detail: row.get(15)?,
        muted: row.get(16)?,
        announced: row.get(17)?,
        ended: row.get(18)?,
    })
}

fn page(db: &Connection, range: &AlertRange) -> Result<AlertPage, Failure> {
    let AlertRange { firing, from_ns, to_ns, rule, client, after, limit } = range;
    let (fired, id) = after.as_ref().map(|AlertCursor { fired_ns, id }| (fired_ns, id)).unzip();
    let select = format!(
        "SELECT {INCIDENT_COLUMNS} FROM alerts WHERE fired_at < ?1 AND (resolved_at IS NULL OR resolved_at >= ?2)
             AND (?3 IS NULL OR (resolved_at IS NULL) = ?3) AND (?4 IS NULL OR rule = ?4)
             AND (?5 IS NULL OR client = ?5) AND (?6 IS NULL OR (fired_at, id) < (?6, ?7))
         ORDER BY fired_at DESC, id DESC LIMIT ?8"
    );
    let mut select = db.prepare_cached(&select)?;
    let [from, to] = [from_ns, to_ns].map(|it| it.to_column());
    let (fired, limit) =
        (fired.map(|it| it.to_column()), i64::try_from(*limit).unwrap_or(i64::MAX));
    let asked = params![to, from, firing, rule, client, fired, id, limit];
    let incidents = select.query_map(asked, incident)?;
    let incidents = incidents.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut select = db.prepare_cached(
        "SELECT event, target, state, attempts, ended_at, error FROM alert_messages
         WHERE incident = ?1 ORDER BY event, target",
    )?;
    let mut deliveries = Vec::new();
    for AlertIncident { id, .. } in &incidents {
        let some = select.query_map([id], |row| {
            Ok(AlertDelivery {
                incident: id.clone(),
                event: AlertEvent::of_name(&row.get::<_, String>(0)?),
                target: row.get(1)?,
                state: row.get(2)?,
                attempts: row.get(3)?,
                ended_ns: row.get::<_, Option<i64>>(4)?.map(WallNs::of_column),
                error: row.get(5)?,
            })
        })?;
        deliveries.extend(some.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    Ok(AlertPage { incidents, deliveries })
}
