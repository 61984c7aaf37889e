//! Reading clients and series.

use std::collections::HashMap;
use std::time::SystemTime;

use futures_util::TryStreamExt;
use tokio_postgres::types::Type;
use tokio_postgres::{Client as Connection, Error, Row};
use wire::frame::flags;
use wire::id::NicName;
use wire::message::{Host, Nic};

use super::downsample::downsample;
use super::error::Failure;
use super::session::{time, time_ns};
use crate::store::percentile::{Interval, Percentile};
use crate::store::points::{Points, RESOLUTIONS, rows_max};
use crate::store::query::{
    Client, NicRange, PercentileRange, Point, PointCounts, Resolution, Series, SeriesRange,
};

pub(super) async fn clients(connection: &Connection) -> Result<Vec<Client>, Failure> {
    let mut nics: HashMap<i32, Vec<Nic>> = HashMap::new();
    let select = "SELECT name, if_index, mac, mtu, speed_bits, kind, up, stacked, client FROM nics
                  WHERE present ORDER BY name COLLATE \"C\"";
    for row in connection.query_typed(select, &[]).await? {
        nics.entry(row.try_get(8)?).or_default().push(nic(&row)?);
    }
    let rows = connection
        .query_typed(
            "SELECT client_id, alias, created_at, last_seen_at, agent_version, os, kernel, cpus, sample_interval_ns,
                 (SELECT clock_offset_ns FROM sessions WHERE client = clients.id
                  ORDER BY committed_at > now(), committed_at DESC LIMIT 1),
                 id
             FROM clients WHERE forgotten_at IS NULL ORDER BY client_id COLLATE \"C\"",
            &[],
        )
        .await?;
    let mut clients = Vec::with_capacity(rows.len());
    for row in rows {
        let host = Host {
            agent_version: row.try_get(4)?,
            os: row.try_get(5)?,
            kernel: row.try_get(6)?,
            cpus: small(&row, 7)?,
            sample_interval_ns: number(&row, 8)?,
        };
        clients.push(Client {
            client: row.try_get(0)?,
            alias: row.try_get(1)?,
            created_ns: instant(&row, 2)?,
            last_seen_ns: instant(&row, 3)?,
            host,
            clock_offset_ns: row.try_get(9)?,
            nics: nics.remove(&row.try_get(10)?).unwrap_or_default(),
        });
    }
    Ok(clients)
}

fn nic(row: &Row) -> Result<Nic, Error> {
    Ok(Nic {
        name: NicName::new(row.try_get(0)?).unwrap_or_default(),
        index: small(row, 1)?,
        mac: row.try_get::<_, &[u8]>(2)?.try_into().unwrap_or_default(),
        mtu: small(row, 3)?,
        speed_bits: number(row, 4)?,
        kind: row.try_get(5)?,
        up: row.try_get(6)?,
        stacked: row.try_get(7)?,
    })
}

pub(super) fn number(row: &Row, at: usize) -> Result<u64, Error> {
    row.try_get::<_, i64>(at).map(i64::cast_unsigned)
}

/// A number of 32 bits, kept in a wider column since PostgreSQL has no unsigned ones.
fn small(row: &Row, at: usize) -> Result<u32, Error> {
    number(row, at).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

pub(super) fn instant(row: &Row, at: usize) -> Result<u64, Error> {
    row.try_get::<_, SystemTime>(at).map(time_ns)
}

pub(super) async fn series(
    connection: &Connection,
    range: &SeriesRange,
) -> Result<Series, Failure> {
    let SeriesRange { client, nic, from_ns, to_ns, .. } = range.clone();
    let Some(key) = nic_key(connection, &NicRange { client, nic, from_ns, to_ns }).await? else {
        let resolution = range.resolution.unwrap_or(Resolution::Raw);
        return Ok(Series { resolution, points: Vec::new() });
    };
    let resolution = match range.resolution {
        Some(resolution) => resolution,
        None => choose(connection, &key, rows_max(range)).await?,
    };
    let (table, length) = table(resolution);
    if count(connection, &key, table, range.limit).await?.is_none() {
        let points = downsample(connection, &key, range, (table, length)).await?;
        return Ok(Series { resolution, points });
    }
    let select = format!(
        "SELECT time, {length}, rx_bytes, rx_packets::bigint, rx_captured::bigint,
             rx_peak_1ms_bytes, rx_peak_10ms_bytes, tx_bytes, tx_packets::bigint,
             tx_captured::bigint, tx_peak_1ms_bytes, tx_peak_10ms_bytes, drops::bigint, flags
         FROM {table} WHERE client = $1 AND nic = $2 AND time >= $3 AND time < $4 ORDER BY time"
    );
    let mut points = Points::new(range);
    let mut rows = std::pin::pin!(connection.query_typed_raw(&select, key.params()).await?);
    while let Some(row) = rows.try_next().await? {
        // More than were counted: they have come since.
        points.push(point(&row)?);
    }
    Ok(Series { resolution, points: points.finish() })
}

pub(super) async fn percentile(
    connection: &Connection,
    range: &PercentileRange,
) -> Result<Percentile, Failure> {
    let found = Percentile::of_nothing(range);
    let PercentileRange { client, nic, .. } = range;
    let select = "SELECT c.id, array_agg(n.id) FROM clients c JOIN nics n ON n.client = c.id
                  WHERE c.client_id = $1 AND n.name = coalesce($2, n.name) GROUP BY c.id";
    let ids = [(client as _, Type::TEXT), (nic as _, Type::TEXT)];
    let Some(ids) = connection.query_typed_opt(select, &ids).await? else { return Ok(found) };
    let (client, nics): (i32, Vec<i32>) = (ids.try_get(0)?, ids.try_get(1)?);
    let select = "SELECT time, rx_bytes, tx_bytes, covered_ns FROM bandwidth_5m
                  WHERE client = $1 AND nic = ANY ($2) AND time >= $3 AND time < $4
                    AND ($5 OR flags & $6 = 0)";
    let rows = connection
        .query_typed(
            select,
            &[
                (&client, Type::INT4),
                (&nics, Type::INT4_ARRAY),
                (&time(found.from_ns), Type::TIMESTAMPTZ),
                (&time(found.to_ns), Type::TIMESTAMPTZ),
                (&nic.is_some(), Type::BOOL),
                (&flags::STACKED.cast_signed(), Type::INT4),
            ],
        )
        .await?;
    let interval = |row: &Row| {
        let (start_ns, rx_bytes) = (instant(row, 0)?, number(row, 1)?);
        let (tx_bytes, covered_ns) = (number(row, 2)?, number(row, 3)?);
        Ok::<_, Error>(Interval { start_ns, rx_bytes, tx_bytes, covered_ns })
    };
    Ok(found.with(&rows.iter().map(interval).collect::<Result<Vec<_>, _>>()?))
}

/// The numbers by which rows of a NIC are found. `None`: there is no such NIC.
pub(super) async fn nic_key(
    connection: &Connection,
    range: &NicRange,
) -> Result<Option<Key>, Failure> {
    let ids = connection
        .query_typed_opt(
            "SELECT clients.id, nics.id FROM clients JOIN nics ON nics.client = clients.id
             WHERE client_id = $1 AND name = $2",
            &[(&range.client, Type::TEXT), (&range.nic, Type::TEXT)],
        )
        .await?;
    let Some(ids) = ids else { return Ok(None) };
    Ok(Some(Key {
        client: ids.try_get(0)?,
        nic: ids.try_get(1)?,
        from: time(range.from_ns),
        to: time(range.to_ns),
    }))
}

/// How many rows of a table there are, `None` if more than `most`.
async fn count(
    connection: &Connection,
    key: &Key,
    table: &str,
    most: usize,
) -> Result<Option<i64>, Failure> {
    let most = i64::try_from(most).unwrap_or(i64::MAX - 1);
    let count = format!(
        "SELECT count(*) FROM (SELECT 1 FROM {table} WHERE client = $1 AND nic = $2
             AND time >= $3 AND time < $4 LIMIT {most} + 1) AS few"
    );
    let count: i64 = connection.query_typed_one(&count, &key.params()).await?.try_get(0)?;
    Ok((count <= most).then_some(count))
}

/// Which rows of a table are asked for.
#[derive(Debug)]
pub(super) struct Key {
    pub client: i32,
    pub nic: i32,
    pub from: SystemTime,
    pub to: SystemTime,
}

impl Key {
    pub fn params(&self) -> [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 4] {
        [
            (&self.client, Type::INT4),
            (&self.nic, Type::INT4),
            (&self.from, Type::TIMESTAMPTZ),
            (&self.to, Type::TIMESTAMPTZ),
        ]
    }
}

pub(super) const fn table(resolution: Resolution) -> (&'static str, &'static str) {
    match resolution {
        Resolution::Raw => ("bandwidth_stats", "interval_ns"),
        Resolution::Minute => ("bandwidth_1m", "covered_ns"),
        Resolution::FiveMinutes => ("bandwidth_5m", "covered_ns"),
    }
}

/// The finest resolution that still has the whole range, and in few enough rows.
pub(super) async fn choose(
    connection: &Connection,
    key: &Key,
    rows_max: usize,
) -> Result<Resolution, Failure> {
    let select = "SELECT raw_from, rollup_1m_from, rollup_5m_from FROM retention";
    let kept_from = connection.query_typed_one(select, &[]).await?;
    for (at, resolution) in RESOLUTIONS.into_iter().enumerate() {
        if kept_from.try_get::<_, SystemTime>(at)? > key.from {
            continue;
        }
        let (table, _) = table(resolution);
        if count(connection, key, table, rows_max).await?.is_some() {
            return Ok(resolution);
        }
    }
    Ok(Resolution::FiveMinutes)
}

pub(super) fn point(row: &Row) -> Result<Point, Error> {
    let peak = |at| row.try_get::<_, i32>(at).map(i32::cast_unsigned);
    let counts = |at: usize| {
        Ok::<_, Error>(PointCounts {
            bytes: number(row, at)?,
            packets: number(row, at + 1)?,
            captured: number(row, at + 2)?,
            peak_1ms_bytes: peak(at + 3)?,
            peak_10ms_bytes: peak(at + 4)?,
        })
    };
    Ok(Point {
        start_ns: instant(row, 0)?,
        interval_ns: number(row, 1)?,
        rx: counts(2)?,
        tx: counts(7)?,
        drops: number(row, 12)?,
        flags: row.try_get::<_, i32>(13)?.cast_unsigned(),
    })
}

/// A sum of figures as [`number`] reads it: of 64 bits, of which the largest stands for all that is
/// larger. 0 of nothing.
pub(super) fn sum(figure: &str) -> String {
    let (signed, most) = (i64::MAX, u64::MAX);
    format!(
        "(CASE WHEN sum({figure}) > {signed} THEN least(sum({figure}), {most}) - {most} - 1
          ELSE coalesce(sum({figure}), 0) END)::bigint"
    )
}
