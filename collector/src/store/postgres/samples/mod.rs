//! Samples: a row each in `hot_samples` while they are new, then packed in `packed_samples`. Whoever reads
//! samples reads both here, or through the view `bandwidth_stats`.

mod packing;
mod proof;
mod stretch;

use std::pin::pin;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use tokio_postgres::{Client, Error, Row};
use wire::WallNs;

pub(super) use self::proof::proof;
use self::stretch::DamagedSamples;
use super::database::Postgres;
use super::error::Failure;
use super::key::RowKey;
use super::partition::Table;
use super::session::time_ns;
use super::to_pack::{self, Packable};
use super::values::{instant, number, point};
use crate::store::rows::export::{self, Starts};
use crate::store::rows::history::EVENT_FLAGS;
use crate::store::rows::packed::stretches::{Unpacking, few_by_numbers};
use crate::store::rows::packed::{ROWS_MAX, bytes_of_starts, starts, unpack_where};
use crate::store::rows::series::Point;
use crate::time::Time;

/// Stretches that may have samples in the range of a [`RowKey`].
const TOUCHING: &str = "FROM packed_samples WHERE client = $1 AND nic = $2
             AND time >= $3 AND first < $4 AND time < $4 + interval '1 hour'";

/// Place of a stretch's columns in a row of [`select`].
const PACKED: usize = 18;

/// Packs samples before a time, as far as their hour has ended, in short transactions between which commits
/// run. Returns their number.
pub(super) async fn pack(database: &Postgres, before_ns: WallNs) -> Result<u64, Failure> {
    let tables = Packable { rows: Table::Stats, stretches: Table::Packed, most: packing::MOST };
    to_pack::pack(database, tables, before_ns, packing::pack_rows).await
}

/// Samples and stretches that may have some in the range of a [`RowKey`], by the start of their first one. `only`
/// is a condition on `drops` and `flags` that holds for a stretch if it holds for one of its samples.
fn select(gaps: bool, only: &str) -> String {
    let rows = |table: &str, of_gaps, only: &str| {
        format!(
            "SELECT {}, NULL::bytea FROM {table}
             WHERE client = $1 AND nic = $2 AND time >= $3 AND time < $4{only}",
            export::columns(of_gaps)
        )
    };
    let besides =
        if gaps { format!(" UNION ALL {}", rows("gaps", true, "")) } else { String::new() };
    format!(
        "{}{besides} UNION ALL
         SELECT first, samples, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, columns
         {TOUCHING}{only}
         ORDER BY 1",
        rows("hot_samples", false, only)
    )
}

/// Reads the samples of a NIC that start in a range, oldest first. Of those with the same start, packed ones
/// come first.
pub(super) async fn rows(
    db: &Client,
    key: &RowKey,
) -> Result<impl Stream<Item = Result<Point, Failure>> + use<>, Failure> {
    read(db, key, select(false, ""), point, |point| point).await
}

/// Like [`rows`], but perhaps without those of which there is no event to tell.
pub(super) async fn eventful_rows(
    db: &Client,
    key: &RowKey,
) -> Result<impl Stream<Item = Result<Point, Failure>> + use<>, Failure> {
    let only = format!(" AND (drops > 0 OR flags & {EVENT_FLAGS} <> 0)");
    read(db, key, select(false, &only), point, |point| point).await
}

/// Samples and gaps, by start: a row by itself is read by `row`, a packed one becomes one by `packed`.
pub(super) async fn rows_and_gaps<R, F, P>(
    db: &Client,
    key: &RowKey,
    row: F,
    packed: P,
) -> Result<impl Stream<Item = Result<R, Failure>> + use<R, F, P>, Failure>
where
    R: Starts,
    F: Fn(&Row) -> Result<R, Error>,
    P: Fn(Point) -> R,
{
    read(db, key, select(true, ""), row, packed).await
}

async fn read<R, F, P>(
    db: &Client,
    key: &RowKey,
    select: String,
    row: F,
    packed: P,
) -> Result<impl Stream<Item = Result<R, Failure>> + use<R, F, P>, Failure>
where
    R: Starts,
    F: Fn(&Row) -> Result<R, Error>,
    P: Fn(Point) -> R,
{
    let range = time_ns(key.from)..time_ns(key.to);
    let found = db.query_typed_raw(&select, key.params()).await?;
    let mut unpacking = Unpacking::default();
    let unpacked = move |found: Option<Result<Row, Error>>| -> Result<Vec<R>, Failure> {
        let Some(found) = found else { return Ok(std::mem::take(&mut unpacking).rest()) };
        let found = found?;
        let Some(columns) = found.try_get::<_, Option<&[u8]>>(PACKED)? else {
            return Ok(unpacking.row(row(&found)?));
        };
        let samples = number(&found, 1)?;
        let rows = unpack_where(columns, samples, |start_ns| range.contains(&start_ns));
        let rows = rows.ok_or(DamagedSamples { first: Time(instant(&found, 0)?) })?;
        Ok(unpacking.stretch(rows.into_iter().map(&packed)))
    };
    let found = found.map(Some).chain(stream::iter([None])).map(unpacked);
    Ok(found.map_ok(|rows| stream::iter(rows.into_iter().map(Ok))).try_flatten())
}

/// True if samples couldn't be read because they are damaged: a stream of others goes on after this.
pub(super) fn is_damage(failure: &Failure) -> bool {
    matches!(failure, Failure::Failed(cause) if cause.is::<DamagedSamples>())
}

/// True if at most `most` samples of a NIC start in a range. Only if the numbers of its stretches don't tell, their
/// starts are read.
pub(super) async fn are_few(db: &Client, key: &RowKey, most: usize) -> Result<bool, Failure> {
    let few = most as u64;
    let numbers = format!(
        "SELECT (SELECT count(*) FROM (SELECT 1 FROM hot_samples WHERE client = $1 AND nic = $2
                     AND time >= $3 AND time < $4 LIMIT {few} + 1) AS hot),
             coalesce(sum(samples) FILTER (WHERE first >= $3 AND time < $4), 0)::bigint,
             coalesce(sum(samples), 0)::bigint {TOUCHING}"
    );
    let numbers = db.query_typed_one(&numbers, &key.params()).await?;
    let (hot, packed) = (number(&numbers, 0)?, [number(&numbers, 1)?, number(&numbers, 2)?]);
    match few_by_numbers(hot, packed, few) {
        Some(are_few) => Ok(are_few),
        None => Ok(hot + packed[0] + at_edges(db, key).await? <= few),
    }
}

/// Number of samples that start in a range, of stretches that reach beyond it.
async fn at_edges(db: &Client, key: &RowKey) -> Result<u64, Failure> {
    let [head, row] = [bytes_of_starts(0), bytes_of_starts(1) - bytes_of_starts(0)];
    let starts_of = format!(
        "SELECT substring(columns FROM 1 FOR ({head} + {row} * least(samples, {ROWS_MAX}))::int), first
         {TOUCHING} AND (first < $3 OR time >= $4)"
    );
    let range = time_ns(key.from)..time_ns(key.to);
    let mut stretches = pin!(db.query_typed_raw(&starts_of, key.params()).await?);
    let mut samples = 0;
    while let Some(row) = stretches.try_next().await? {
        let starts = starts(row.try_get(0)?);
        let starts = starts.ok_or(DamagedSamples { first: Time(instant(&row, 1)?) })?;
        samples += starts.iter().filter(|start_ns| range.contains(start_ns)).count() as u64;
    }
    Ok(samples)
}
