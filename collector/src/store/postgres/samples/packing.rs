//! Packs samples that have got old, up to an hour in each transaction.

use std::sync::LazyLock;
use std::time::SystemTime;

use tokio::task::spawn_blocking;
use tokio_postgres::Client;

use super::stretch::{self, PackedRow};
use crate::store::postgres::error::Failure;
use crate::store::postgres::session::time_ns;
use crate::store::postgres::tables::nics::NicIds;
use crate::store::postgres::to_pack::{PackedRows, ToPack, at, hour, key, take};
use crate::store::postgres::values::point;
use crate::store::rows::export;
use crate::store::rows::packed::PackedSums;
use crate::store::rows::packed::stretches::{join, stretches};

/// Most samples of a stretch: a quarter of an hour at two a second. A row with its indexes and the last of its chunks
/// (TOAST) takes 2 to 3 KB besides the samples, so shorter ones take more room; but reading one sample in SQL takes
/// as long as its stretch.
const STRETCH_ROWS: usize = 1800;

/// Samples packed in a transaction: an hour at two a second. Its statements are planned once for all of them.
pub const MOST: u32 = 7200;

static DELETE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "DELETE FROM hot_samples WHERE client = $1 AND nic = $2 AND time >= $3 AND time < $4
         RETURNING {}",
        export::columns(false)
    )
});

/// Packs samples, proves that what is packed is the same, and deletes them. `None` if they are too many.
///
/// Samples that come late join the stretch in which they lie, or the one before them if it has room.
pub async fn pack_rows(db: &Client, to_pack: ToPack) -> Result<Option<PackedRows>, Failure> {
    let ToPack { nic, range: [first, to], .. } = to_pack;
    let (before, next) = neighbours(db, nic, first).await?;
    let to = next.unwrap_or(to).min(to);
    let taken = take(db, &DELETE, ToPack { range: [first, to], ..to_pack }, |row| Ok(point(row)?));
    let Some(mut rows) = taken.await? else { return Ok(None) };
    let samples = rows.len() as u64;
    if samples == 0 {
        // Another collector packed them.
        return Ok(Some(PackedRows { rows: 0, end: to }));
    }
    let from = time_ns(first).to_column();
    let joined = before.filter(|it| {
        let PackedSums { rows, last_ns, .. } = it.sums();
        join(*rows, last_ns.to_column(), from, samples, STRETCH_ROWS)
    });
    if let Some(stretch) = joined {
        rows.splice(..0, stretch.rows()?);
        stretch.delete(db, nic).await?;
    }
    // Packing takes some 10 ms, for which nothing else may wait.
    let packed = spawn_blocking(|| stretches(rows, STRETCH_ROWS)).await.ok().flatten();
    let differs = || Failure::failed("packed samples differ from what was packed");
    for packed in packed.ok_or_else(differs)? {
        stretch::insert(db, nic, &packed).await?;
    }
    Ok(Some(PackedRows { rows: samples, end: to }))
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
