//! Reads traffic breakdowns and events.

use rusqlite::{Connection, Row, params};
use wire::frame::Mix;
use wire::{Bytes, Packets, WallNs};

use super::error::Failure;
use super::mixes;
use super::number::number;
use super::points::{RowKey, nic_key};
use super::query::{choose, rollup};
use super::samples::SampleReader;
use crate::store::rows::history::{
    EVENT_FLAGS, EVENT_ROWS_MAX, EventKind, NicEvent, newest, row_events,
};
use crate::store::rows::series::{NicRange, Point};

pub(super) fn mix(db: &mut Connection, range: &NicRange) -> Result<Mix, Failure> {
    let transaction = db.transaction()?;
    let Some(key) = nic_key(&transaction, range)? else { return Ok(Mix::default()) };
    mixes::sum(&transaction, &key)
}

pub(super) fn events(
    db: &mut Connection,
    range: &NicRange,
    limit: usize,
) -> Result<Vec<NicEvent>, Failure> {
    let transaction = db.transaction()?;
    let Some(key) = nic_key(&transaction, range)? else { return Ok(Vec::new()) };
    let limit_rows = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut events = Vec::new();

    match rollup(choose(&transaction, &key, EVENT_ROWS_MAX)?) {
        None => {
            for row in SampleReader::of(&transaction)?.rows(&key)? {
                let Point { start_ns, interval_ns, drops, flags, .. } = row?;
                events.extend(row_events(start_ns, interval_ns, drops, flags));
            }
        }
        Some(table) => {
            let mut select = transaction.prepare_cached(&format!(
                "SELECT time, covered_ns, drops, flags FROM {table}
                 WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND time < ?4
                     AND (drops > 0 OR flags & {EVENT_FLAGS} <> 0)
                 ORDER BY time DESC LIMIT {limit_rows}"
            ))?;
            let mut rows = select.query(key.params())?;
            while let Some(row) = rows.next()? {
                let (start_ns, drops) = (WallNs::of_column(row.get(0)?), Packets(number(row, 2)?));
                events.extend(row_events(start_ns, number(row, 1)?, drops, row.get(3)?));
            }
        }
    }

    let RowKey { client, nic, from, to } = key;
    let mut started = transaction.prepare_cached(
        "SELECT started FROM sessions WHERE client = ?1 AND started >= ?2 AND started < ?3
         ORDER BY started DESC LIMIT ?4",
    )?;
    let at = |row: &Row<'_>, kind| {
        Ok(NicEvent { time_ns: WallNs::of_column(row.get(0)?), interval_ns: 0, kind })
    };
    let rows =
        started.query_map([client, from, to, limit_rows], |row| at(row, EventKind::Started))?;
    events.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);

    let mut links = transaction.prepare_cached(
        "SELECT time, up FROM link_changes WHERE client = ?1 AND nic = ?2 AND time >= ?3
             AND time < ?4 ORDER BY time DESC LIMIT ?5",
    )?;
    let rows = links.query_map(params![client, nic, from, to, limit_rows], |row| {
        let up: bool = row.get(1)?;
        at(row, if up { EventKind::LinkUp } else { EventKind::LinkDown })
    })?;
    events.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);

    let mut gaps = transaction.prepare_cached(
        "SELECT time, interval_ns, reason, rx_bytes, tx_bytes FROM gaps
         WHERE session IN (SELECT session FROM sessions WHERE client = ?1) AND nic = ?2
             AND time + interval_ns > ?3 AND time < ?4 ORDER BY time DESC LIMIT ?5",
    )?;
    let rows = gaps.query_map(params![client, nic, from, to, limit_rows], |row| {
        let (rx_bytes, tx_bytes) = (Bytes(number(row, 3)?), Bytes(number(row, 4)?));
        let kind = EventKind::Gap { reason: row.get(2)?, rx_bytes, tx_bytes };
        Ok(NicEvent { time_ns: WallNs::of_column(row.get(0)?), interval_ns: number(row, 1)?, kind })
    })?;
    events.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);
    Ok(newest(events, limit))
}
