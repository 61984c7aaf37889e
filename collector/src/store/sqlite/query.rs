//! Reads clients and series.

use rusqlite::{Connection, Row, params};
use wire::frame::flags;
use wire::id::NicName;
use wire::message::{Host, Nic};
use wire::{Bytes, WallNs};

use super::error::Failure;
use super::number::number;
use super::points::{RowKey, nic_key, point};
use super::samples::SampleReader;
use crate::store::rows::clients::Client;
use crate::store::rows::percentile::PercentileRange;
use crate::store::rows::percentile::{FiveMinuteRow, Percentile};
use crate::store::rows::points::{Points, RESOLUTIONS, rows_max};
use crate::store::rows::series::{NicRange, Resolution, Series, SeriesRange};

pub(super) fn ready(db: &Connection) -> Result<(), Failure> {
    Ok(db.query_row("SELECT raw_from FROM retention", [], |_| Ok(()))?)
}

pub(super) fn clients(db: &Connection) -> Result<Vec<Client>, Failure> {
    let mut nics = db.prepare_cached(
        "SELECT name, if_index, mac, mtu, speed_bits, kind, up, stacked FROM nics
         WHERE client = ?1 AND present = 1 ORDER BY name",
    )?;
    let mut clients = db.prepare_cached(
        "SELECT client_id, alias, created_at, last_seen_at, agent_version, os, kernel,
             cpus, sample_interval_ns,
             (SELECT clock_offset_ns FROM sessions WHERE client = clients.id
              ORDER BY committed_at > (unixepoch() + 1) * 1000000000, committed_at DESC LIMIT 1),
             id
         FROM clients WHERE forgotten_at IS NULL ORDER BY client_id",
    )?;
    let rows = clients.query_map([], |row| {
        let host = Host {
            agent_version: row.get(4)?,
            os: row.get(5)?,
            kernel: row.get(6)?,
            cpus: row.get(7)?,
            sample_interval_ns: number(row, 8)?,
        };
        let id: i64 = row.get(10)?;
        Ok(Client {
            client: row.get(0)?,
            alias: row.get(1)?,
            created_ns: WallNs::of_column(row.get(2)?),
            last_seen_ns: WallNs::of_column(row.get(3)?),
            host,
            clock_offset_ns: row.get(9)?,
            nics: nics.query_map([id], nic)?.collect::<rusqlite::Result<_>>()?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn nic(row: &Row<'_>) -> rusqlite::Result<Nic> {
    let name: String = row.get(0)?;
    Ok(Nic {
        name: NicName::new(&name).unwrap_or_default(),
        index: row.get(1)?,
        mac: row.get(2)?,
        mtu: row.get(3)?,
        speed_bits: number(row, 4)?,
        kind: row.get(5)?,
        up: row.get(6)?,
        stacked: row.get(7)?,
    })
}

pub(super) fn series(db: &mut Connection, range: &SeriesRange) -> Result<Series, Failure> {
    // One snapshot for everything.
    let transaction = db.transaction()?;
    let SeriesRange { client, nic, from_ns, to_ns, resolution, .. } = range.clone();
    let Some(key) = nic_key(&transaction, &NicRange { client, nic, from_ns, to_ns })? else {
        let resolution = resolution.unwrap_or(Resolution::Raw);
        return Ok(Series { resolution, points: Vec::new() });
    };
    let resolution = match resolution {
        Some(resolution) => resolution,
        None => choose(&transaction, &key, rows_max(range))?,
    };
    let mut points = Points::new(range);
    let Some(table) = rollup(resolution) else {
        for row in SampleReader::of(&transaction)?.rows(&key)? {
            points.push(row?);
        }
        return Ok(Series { resolution, points: points.finish() });
    };
    let mut select = transaction.prepare_cached(&format!(
        "SELECT time, covered_ns, rx_bytes, rx_packets, rx_captured, rx_peak_1ms_bytes,
             rx_peak_10ms_bytes, tx_bytes, tx_packets, tx_captured, tx_peak_1ms_bytes,
             tx_peak_10ms_bytes, drops, flags FROM {table}
         WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND time < ?4 ORDER BY time"
    ))?;
    let mut rows = select.query(key.params())?;
    while let Some(row) = rows.next()? {
        points.push(point(row)?);
    }
    Ok(Series { resolution, points: points.finish() })
}

pub(super) fn percentile(db: &Connection, range: &PercentileRange) -> Result<Percentile, Failure> {
    let found = Percentile::of_nothing(range);
    let PercentileRange { client, nic, .. } = range;
    // NIC by NIC, because the index starts with client, NIC and time.
    let mut select = db.prepare_cached(
        "SELECT b.time, b.rx_bytes, b.tx_bytes, b.covered_ns FROM clients c
         CROSS JOIN nics n ON n.client = c.id AND n.name = coalesce(?2, n.name)
         CROSS JOIN bandwidth_5m b ON b.client = c.id AND b.nic = n.id
         WHERE c.client_id = ?1 AND b.time >= ?3 AND b.time < ?4
           AND (?2 IS NOT NULL OR b.flags & ?5 = 0)",
    )?;
    let (from, to) = (found.from_ns.to_column(), found.to_ns.to_column());
    let rows = select.query_map(params![client, nic, from, to, flags::STACKED], |row| {
        let (start_ns, rx_bytes) = (WallNs::of_column(row.get(0)?), Bytes(number(row, 1)?));
        let (tx_bytes, covered_ns) = (Bytes(number(row, 2)?), number(row, 3)?);
        Ok(FiveMinuteRow { start_ns, rx_bytes, tx_bytes, covered_ns })
    })?;
    Ok(found.with(&rows.collect::<rusqlite::Result<Vec<_>>>()?))
}

/// The tables of rollups.
pub(super) const MINUTES: &str = "bandwidth_1m";
pub(super) const FIVE_MINUTES: &str = "bandwidth_5m";

/// The table of a rollup. `None` of the samples themselves, which [`SampleReader`] reads.
pub(super) const fn rollup(resolution: Resolution) -> Option<&'static str> {
    match resolution {
        Resolution::Raw => None,
        Resolution::Minute => Some(MINUTES),
        Resolution::FiveMinutes => Some(FIVE_MINUTES),
    }
}

/// The finest resolution that covers the whole range with few enough rows.
pub(super) fn choose(
    db: &Connection,
    key: &RowKey,
    rows_max: usize,
) -> Result<Resolution, Failure> {
    let kept_from: [i64; 3] = db.query_row(
        "SELECT raw_from, rollup_1m_from, rollup_5m_from FROM retention",
        [],
        |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]),
    )?;
    let RowKey { client, nic, from, to } = *key;
    let rows_max = i64::try_from(rows_max).unwrap_or(i64::MAX);
    for (resolution, kept_from) in RESOLUTIONS.into_iter().zip(kept_from) {
        if kept_from > key.from {
            continue;
        }
        let few = match rollup(resolution) {
            None => SampleReader::of(db)?.are_few(db, key, rows_max)?,
            Some(table) => db
                .prepare_cached(&format!(
                    "SELECT count(*) <= ?5 FROM (SELECT 1 FROM {table} WHERE client = ?1
                         AND nic = ?2 AND time >= ?3 AND time < ?4 LIMIT ?5 + 1)"
                ))?
                .query_row(params![client, nic, from, to, rows_max], |row| row.get(0))?,
        };
        if few {
            return Ok(resolution);
        }
    }
    Ok(Resolution::FiveMinutes)
}
