//! Reads events.

use std::pin::pin;

use futures_util::TryStreamExt;
use tokio_postgres::types::Type;
use tokio_postgres::{Client as Connection, Error, Row};
use wire::{Bytes, Packets};

use super::error::Failure;
use super::key::nic_key;
use super::resolution::{choose, rollup};
use super::samples;
use super::values::{instant, number};
use crate::store::rows::history::{
    EVENT_FLAGS, EVENT_ROWS_MAX, EventKind, NicEvent, newest, row_events,
};
use crate::store::rows::series::{NicRange, Point};

pub(super) async fn events(
    connection: &Connection,
    range: &NicRange,
    limit: usize,
) -> Result<Vec<NicEvent>, Failure> {
    let Some(key) = nic_key(connection, range).await? else { return Ok(Vec::new()) };
    let mut events = Vec::new();

    match rollup(choose(connection, &key, EVENT_ROWS_MAX).await?) {
        None => {
            let mut rows = pin!(samples::eventful_rows(connection, &key).await?);
            while let Some(row) = rows.try_next().await? {
                let Point { start_ns, interval_ns, drops, flags, .. } = row;
                events.extend(row_events(start_ns, interval_ns, drops, flags));
            }
        }
        Some(table) => {
            let select = format!(
                "SELECT time, covered_ns, drops::bigint, flags FROM {table}
                 WHERE client = $1 AND nic = $2 AND time >= $3 AND time < $4
                     AND (drops > 0 OR flags & {EVENT_FLAGS} <> 0) ORDER BY time DESC LIMIT {limit}"
            );
            for row in connection.query_typed(&select, &key.params()).await? {
                let flags = row.try_get::<_, i32>(3)?.cast_unsigned();
                let (start_ns, drops) = (instant(&row, 0)?, Packets(number(&row, 2)?));
                events.extend(row_events(start_ns, number(&row, 1)?, drops, flags));
            }
        }
    }

    let at = |row: &Row, kind| {
        Ok::<_, Error>(NicEvent { time_ns: instant(row, 0)?, interval_ns: 0, kind })
    };
    let select = format!(
        "SELECT started FROM sessions WHERE client = $1 AND started >= $2 AND started < $3
         ORDER BY started DESC LIMIT {limit}"
    );
    let from_to = [
        (&key.client as &(dyn tokio_postgres::types::ToSql + Sync), Type::INT4),
        (&key.from, Type::TIMESTAMPTZ),
        (&key.to, Type::TIMESTAMPTZ),
    ];
    for row in connection.query_typed(&select, &from_to).await? {
        events.push(at(&row, EventKind::Started)?);
    }

    let select = format!(
        "SELECT time, up FROM link_changes WHERE client = $1 AND nic = $2 AND time >= $3
             AND time < $4 ORDER BY time DESC LIMIT {limit}"
    );
    for row in connection.query_typed(&select, &key.params()).await? {
        let kind = if row.try_get(1)? { EventKind::LinkUp } else { EventKind::LinkDown };
        events.push(at(&row, kind)?);
    }

    let select = format!(
        "SELECT time, interval_ns, rx_bytes, tx_bytes, reason FROM gaps
         WHERE session IN (SELECT session FROM sessions WHERE client = $1) AND nic = $2
             AND time + interval_ns / 1000 * interval '1 microsecond' > $3 AND time < $4
         ORDER BY time DESC LIMIT {limit}"
    );
    for row in connection.query_typed(&select, &key.params()).await? {
        let reason = u8::try_from(row.try_get::<_, i16>(4)?).unwrap_or_default();
        let (rx_bytes, tx_bytes) = (Bytes(number(&row, 2)?), Bytes(number(&row, 3)?));
        let kind = EventKind::Gap { reason, rx_bytes, tx_bytes };
        events.push(NicEvent { time_ns: instant(&row, 0)?, interval_ns: number(&row, 1)?, kind });
    }
    Ok(newest(events, limit))
}
