//! Packs mixes that have got old. What the statement that deletes them returns is what is packed.

use std::sync::LazyLock;

use tokio::task::spawn_blocking;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::row::{array, mix};
use crate::store::postgres::error::Failure;
use crate::store::postgres::number::bounded;
use crate::store::postgres::session::time;
use crate::store::postgres::tables::nics::NicIds;
use crate::store::postgres::to_pack::{PackedRows, ToPack, at, key, take};
use crate::store::postgres::values::instant;
use crate::store::rows::packed::PackedMixes;

/// Mixes packed in a transaction: an hour of those of 10 s is 360.
pub const MOST: u32 = 1024;

/// Packs mixes. `None` if they are too many.
///
/// Mixes that come late become a stretch of their own.
pub async fn pack_rows(db: &Client, to_pack: ToPack) -> Result<Option<PackedRows>, Failure> {
    let read = |row: &Row| mix(instant(row, 0)?, row.try_get(1)?);
    let Some(rows) = take(db, &DELETE, to_pack, read).await? else { return Ok(None) };
    let packed = rows.len() as u64;
    // Packing takes some milliseconds, for which nothing else may wait.
    let pieces = spawn_blocking(|| PackedMixes::of(rows)).await.ok().flatten();
    let differs = || Failure::failed("packed mixes differ from what was packed");
    for piece in &pieces.ok_or_else(differs)? {
        insert(db, to_pack.nic, piece).await?;
    }
    Ok(Some(PackedRows { rows: packed, end: to_pack.range[1] }))
}

static DELETE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "DELETE FROM hot_mixes WHERE client = $1 AND nic = $2 AND time >= $3 AND time < $4
         RETURNING time, {}",
        array(str::to_owned)
    )
});

/// Adds a stretch.
async fn insert(db: &Client, nic: NicIds, piece: &PackedMixes) -> Result<(), Failure> {
    let PackedMixes { columns, mixes, first_ns, last_ns } = piece;
    let (first, last, mixes) = (time(*first_ns), time(*last_ns), bounded(*mixes));
    let values: [(&(dyn ToSql + Sync), Type); 2] = [(&mixes, Type::INT8), (columns, Type::BYTEA)];
    let insert = "INSERT INTO packed_mixes (client, nic, first, time, mixes, columns)
                  VALUES ($1, $2, $3, $4, $5, $6)";
    let params = [&key(&nic)[..], &[at(&first), at(&last)], &values].concat();
    db.execute_typed(insert, &params).await?;
    Ok(())
}
