//! Reads series and percentiles.

use std::pin::pin;

use futures_util::TryStreamExt;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Row};
use wire::Bytes;
use wire::frame::flags;

use super::downsample::downsample;
use super::error::Failure;
use super::key::{count, nic_key};
use super::resolution::{choose, rollup};
use super::samples;
use super::session::time;
use super::values::{instant, number, point};
use crate::store::rows::nics::NicId;
use crate::store::rows::percentile::{FiveMinuteRow, Percentile, PercentileRange};
use crate::store::rows::points::{Points, rows_max};
use crate::store::rows::series::{NicRange, Resolution, Series, SeriesRange};

pub(super) async fn series(db: &Client, range: &SeriesRange) -> Result<Series, Failure> {
    let SeriesRange { client, nic, from_ns, to_ns, .. } = range.clone();
    let Some(key) = nic_key(db, &NicRange { client, nic, from_ns, to_ns }).await? else {
        let resolution = range.resolution.unwrap_or(Resolution::Raw);
        return Ok(Series { resolution, points: Vec::new() });
    };
    let resolution = match range.resolution {
        Some(resolution) => resolution,
        None => choose(db, &key, rows_max(range)).await?,
    };
    let mut points = Points::new(range);
    let Some(table) = rollup(resolution) else {
        let mut rows = pin!(samples::rows(db, &key).await?);
        while let Some(point) = rows.try_next().await? {
            points.push(point);
        }
        return Ok(Series { resolution, points: points.finish() });
    };
    if count(db, &key, table, range.limit).await?.is_none() {
        let points = downsample(db, &key, range, table).await?;
        return Ok(Series { resolution, points });
    }
    let select = format!(
        "SELECT time, covered_ns, rx_bytes, rx_packets::bigint, rx_captured::bigint,
             rx_peak_1ms_bytes, rx_peak_10ms_bytes, tx_bytes, tx_packets::bigint,
             tx_captured::bigint, tx_peak_1ms_bytes, tx_peak_10ms_bytes, drops::bigint, flags
         FROM {table} WHERE client = $1 AND nic = $2 AND time >= $3 AND time < $4 ORDER BY time"
    );
    let mut rows = pin!(db.query_typed_raw(&select, key.params()).await?);
    while let Some(row) = rows.try_next().await? {
        // There may be more rows than counted: they arrived since.
        points.push(point(&row)?);
    }
    Ok(Series { resolution, points: points.finish() })
}

pub(super) async fn percentile(
    db: &Client,
    range: &PercentileRange,
) -> Result<Percentile, Failure> {
    let found = Percentile::of_nothing(range);
    let PercentileRange { client, nic, .. } = range;
    let select = "SELECT c.id, array_agg(n.id) FROM clients c JOIN nics n ON n.client = c.id
                  WHERE c.client_id = $1 AND n.name = coalesce($2, n.name) GROUP BY c.id";
    let ids = [(client as _, Type::TEXT), (nic as _, Type::TEXT)];
    let Some(ids) = db.query_typed_opt(select, &ids).await? else { return Ok(found) };
    let (client, nics): (i32, Vec<NicId>) = (ids.try_get(0)?, ids.try_get(1)?);
    let select = "SELECT time, rx_bytes, tx_bytes, covered_ns FROM bandwidth_5m
                  WHERE client = $1 AND nic = ANY ($2) AND time >= $3 AND time < $4
                    AND ($5 OR flags & $6 = 0)";
    let rows = db
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
        let (start_ns, rx_bytes) = (instant(row, 0)?, Bytes(number(row, 1)?));
        let (tx_bytes, covered_ns) = (Bytes(number(row, 2)?), number(row, 3)?);
        Ok::<_, Error>(FiveMinuteRow { start_ns, rx_bytes, tx_bytes, covered_ns })
    };
    Ok(found.with(&rows.iter().map(interval).collect::<Result<Vec<_>, _>>()?))
}
