//! Packs samples that have got old, up to an hour in each transaction.

use std::time::{Duration, SystemTime};

use tokio::task::spawn_blocking;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::stretch::{self, PackedRow};
use crate::store::postgres::error::Failure;
use crate::store::postgres::number::bounded;
use crate::store::postgres::session::{time, time_ns};
use crate::store::postgres::tables::nics::NicIds;
use crate::store::postgres::to_pack::{PackedRows, at, hour, key};
use crate::store::postgres::values::point;
use crate::store::rows::export;
use crate::store::rows::packed::stretches::{join, stretches, sums_of};
use crate::store::rows::proof::Sums;
use crate::store::rows::series::Point;

/// Most samples of a stretch: half an hour at two a second. A row with its indexes and the last of its chunks
/// (TOAST) takes 2 to 3 KB besides the samples, so shorter ones take more room; but reading one sample in SQL takes
/// as long as its stretch.
const STRETCH_ROWS: usize = 3600;

/// Most samples packed in a transaction: an hour at two a second. Its statements are planned once for all of them.
const MOST: usize = 2 * STRETCH_ROWS;

/// Packs the first samples of a NIC in a range, up to [`MOST`] within an hour, deletes them, and proves that what is
/// packed is the same.
///
/// Samples that come late join the stretch in which they lie, or the one before them if it has room.
pub async fn pack_from(
    db: &Client,
    nic: NicIds,
    [first, to]: [SystemTime; 2],
) -> Result<PackedRows, Failure> {
    let (before, next) = neighbours(db, nic, first).await?;
    let to = next.unwrap_or(to).min(to);
    let (mut rows, to) = oldest_rows(db, nic, [first, to]).await?;
    let sums = sums_of(&rows);
    let differs = || Failure::failed("packed samples differ from what was packed");
    if delete(db, nic, [first, to]).await? != sums {
        return Err(differs());
    }
    let (samples, _) = sums;
    let from = time_ns(first).to_column();
    let joined = before
        .filter(|it| join(it.sums(), it.sums().last_ns.to_column(), from, samples, STRETCH_ROWS));
    if let Some(stretch) = joined {
        rows.splice(..0, stretch.rows()?);
        stretch.delete(db, nic).await?;
    }
    // Packing takes some 10 ms, for which nothing else may wait.
    let packed = spawn_blocking(|| stretches(rows, STRETCH_ROWS)).await;
    for packed in packed.ok().flatten().ok_or_else(differs)? {
        stretch::insert(db, nic, &packed).await?;
    }
    Ok(PackedRows { rows: samples, end: to })
}

/// Within an hour, the last stretch that starts until `first`, and the start of the next one.
async fn neighbours(
    db: &Client,
    nic: NicIds,
    first: SystemTime,
) -> Result<(Option<PackedRow>, Option<SystemTime>), Failure> {
    let [from, to] = hour(first);
    let params = [&key(&nic)[..], &[at(&from), at(&to), at(&first)]].concat();
    let last = format!(
        "SELECT {} FROM packed_samples WHERE client = $1 AND nic = $2 AND time >= $3 AND time < $4
             AND first <= $5 ORDER BY first DESC, time DESC LIMIT 1",
        stretch::COLUMNS
    );
    let before = db.query_typed_opt(&last, &params).await?;
    let before = before.map(|row| PackedRow::read(&row)).transpose()?;
    let next = "SELECT min(first) FROM packed_samples WHERE client = $1 AND nic = $2 AND time >= $3
                    AND time < $4 AND first > $5";
    Ok((before, db.query_typed_one(next, &params).await?.try_get(0)?))
}

/// The first samples of a range, up to [`MOST`], and the end of their range. Those that start at the same time stay
/// together.
async fn oldest_rows(
    db: &Client,
    nic: NicIds,
    [from, to]: [SystemTime; 2],
) -> Result<(Vec<Point>, SystemTime), Failure> {
    let select = async |to: SystemTime, limit: Option<i64>| -> Result<Vec<Point>, Failure> {
        let select = format!(
            "SELECT {} FROM hot_samples WHERE client = $1 AND nic = $2 AND time >= $3 AND time < $4
             ORDER BY time LIMIT $5",
            export::columns(false)
        );
        let limit: [(&(dyn ToSql + Sync), Type); 1] = [(&limit, Type::INT8)];
        let params = [&key(&nic)[..], &[at(&from), at(&to)], &limit].concat();
        let rows = db.query_typed(&select, &params).await?;
        Ok(rows.iter().map(point).collect::<Result<_, _>>()?)
    };
    let mut rows = select(to, Some(bounded(MOST as u64 + 1))).await?;
    let Some(next) = rows.get(MOST).map(|row| time(row.start_ns)) else { return Ok((rows, to)) };
    if next > from {
        rows.retain(|row| row.start_ns < time_ns(next));
        return Ok((rows, next));
    }
    // More than these start at one time.
    let to = next + Duration::from_micros(1);
    Ok((select(to, None).await?, to))
}

/// Deletes the samples of a range. Returns the number and sums of what was deleted.
async fn delete(
    db: &Client,
    nic: NicIds,
    [from, to]: [SystemTime; 2],
) -> Result<(u64, Sums), Failure> {
    let delete = "WITH deleted AS (
             DELETE FROM hot_samples WHERE client = $1 AND nic = $2 AND time >= $3 AND time < $4
             RETURNING rx_bytes, tx_bytes, rx_packets, tx_packets)
         SELECT count(*), coalesce(sum(rx_bytes), 0)::text, coalesce(sum(tx_bytes), 0)::text,
             coalesce(sum(rx_packets), 0)::text, coalesce(sum(tx_packets), 0)::text
         FROM deleted";
    let params = [&key(&nic)[..], &[at(&from), at(&to)]].concat();
    let row = db.query_typed_one(delete, &params).await?;
    let count: i64 = row.try_get(0)?;
    let sum = |at| {
        let text: &str = row.try_get(at)?;
        text.parse().map_err(|_| Failure::failed(format!("{text:?} is no sum of samples")))
    };
    Ok((count.unsigned_abs(), Sums::from_array([sum(1)?, sum(2)?, sum(3)?, sum(4)?])))
}
