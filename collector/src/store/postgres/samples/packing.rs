//! Packs samples that have got old, a stretch in each transaction.

use std::time::SystemTime;

use tokio_postgres::{Client, Row};

use super::stretch::{self, PackedRow};
use crate::store::postgres::error::Failure;
use crate::store::postgres::partition::Table;
use crate::store::postgres::session::time_ns;
use crate::store::postgres::tables::nics::NicIds;
use crate::store::postgres::to_pack::{at, end, hour, key};
use crate::store::postgres::values::point;
use crate::store::rows::export;
use crate::store::rows::packed::stretches::{join, stretches, sums_of};
use crate::store::rows::proof::Sums;
use crate::store::rows::series::Point;

/// Most samples of a stretch: half an hour at two a second. A row with its indexes and the last of its chunks
/// (TOAST) takes 2 to 3 KB besides the samples, so shorter ones take more room; but reading one sample in SQL takes
/// as long as its stretch.
const STRETCH_ROWS: usize = 3600;

/// Packs the first samples of a NIC in a range, up to [`STRETCH_ROWS`] within an hour, proves that what is packed is
/// the same, and deletes them. Returns their number.
///
/// Samples that come late join the stretch in which they lie, or the one before them if it has room.
pub async fn pack_from(
    db: &Client,
    nic: NicIds,
    [first, to]: [SystemTime; 2],
) -> Result<u64, Failure> {
    let (before, next) = neighbours(db, nic, first).await?;
    let to = next.unwrap_or(to).min(to);
    let to = end(db, Table::Stats, nic, [first, to], STRETCH_ROWS).await?;
    let sums = sums(db, nic, [first, to]).await?;
    let mut rows = take(db, nic, [first, to]).await?;
    let differs = || Failure::failed("packed samples differ from what was packed");
    if sums != sums_of(&rows) {
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
    for packed in stretches(rows, STRETCH_ROWS).ok_or_else(differs)? {
        stretch::insert(db, nic, &packed).await?;
    }
    Ok(samples)
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

/// Number and sums of the samples of a range.
async fn sums(
    db: &Client,
    nic: NicIds,
    [from, to]: [SystemTime; 2],
) -> Result<(u64, Sums), Failure> {
    let select =
        "SELECT count(*), coalesce(sum(rx_bytes), 0)::text, coalesce(sum(tx_bytes), 0)::text,
             coalesce(sum(rx_packets), 0)::text, coalesce(sum(tx_packets), 0)::text
         FROM hot_samples WHERE client = $1 AND nic = $2 AND time >= $3 AND time < $4";
    let params = [&key(&nic)[..], &[at(&from), at(&to)]].concat();
    let row = db.query_typed_one(select, &params).await?;
    let count: i64 = row.try_get(0)?;
    let sum = |at| {
        let text: &str = row.try_get(at)?;
        text.parse().map_err(|_| Failure::failed(format!("{text:?} is no sum of samples")))
    };
    Ok((count.unsigned_abs(), Sums::from_array([sum(1)?, sum(2)?, sum(3)?, sum(4)?])))
}

/// Deletes the samples of a range and returns them, by start.
async fn take(
    db: &Client,
    nic: NicIds,
    [from, to]: [SystemTime; 2],
) -> Result<Vec<Point>, Failure> {
    let delete = format!(
        "DELETE FROM hot_samples WHERE client = $1 AND nic = $2 AND time >= $3 AND time < $4
         RETURNING {}",
        export::columns(false)
    );
    let params = [&key(&nic)[..], &[at(&from), at(&to)]].concat();
    let rows = db.query_typed(&delete, &params).await?;
    let mut rows: Vec<Point> = rows.iter().map(|row: &Row| point(row)).collect::<Result<_, _>>()?;
    rows.sort_by_key(|row| row.start_ns);
    Ok(rows)
}
