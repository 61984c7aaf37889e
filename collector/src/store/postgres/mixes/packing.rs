//! Packs mixes that have got old. What the statement that deletes them returns is what is packed.

use std::sync::LazyLock;
use std::time::SystemTime;

use tokio::task::spawn_blocking;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::row::{array, mix};
use crate::store::postgres::error::Failure;
use crate::store::postgres::number::bounded;
use crate::store::postgres::session::time;
use crate::store::postgres::tables::nics::NicIds;
use crate::store::postgres::to_pack::{PackedRows, at, key};
use crate::store::postgres::values::instant;
use crate::store::rows::packed::{MixRow, PackedMixes};

/// Most mixes of a stretch: an hour of those of 10 s is 360.
const STRETCH_MIXES: usize = 1024;

/// Packs the first mixes of a NIC in a range, up to [`STRETCH_MIXES`].
///
/// Mixes that come late become a stretch of their own.
pub async fn pack_from(
    db: &Client,
    nic: NicIds,
    [from, to]: [SystemTime; 2],
) -> Result<PackedRows, Failure> {
    let to = end(db, nic, [from, to]).await?;
    let rows = take(db, nic, [from, to]).await?;
    let mixes = rows.len() as u64;
    // Packing takes some milliseconds, for which nothing else may wait.
    let pieces = spawn_blocking(|| PackedMixes::of(rows)).await.ok().flatten();
    let differs = || Failure::failed("packed mixes differ from what was packed");
    for piece in &pieces.ok_or_else(differs)? {
        insert(db, nic, piece).await?;
    }
    Ok(PackedRows { rows: mixes, end: to })
}

/// The end of the first mixes of a range, up to [`STRETCH_MIXES`], or of the range: those that start at the same time
/// stay together.
async fn end(db: &Client, nic: NicIds, [from, to]: [SystemTime; 2]) -> Result<SystemTime, Failure> {
    let select = format!(
        "SELECT time + interval '1 microsecond' FROM hot_mixes
         WHERE client = $1 AND nic = $2 AND time >= $3 AND time < $4
         ORDER BY time OFFSET {} LIMIT 1",
        STRETCH_MIXES - 1
    );
    let params = [&key(&nic)[..], &[at(&from), at(&to)]].concat();
    let end = db.query_typed_opt(&select, &params).await?;
    Ok(end.map(|row| row.try_get(0)).transpose()?.unwrap_or(to))
}

static DELETE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "DELETE FROM hot_mixes WHERE client = $1 AND nic = $2 AND time >= $3 AND time < $4
         RETURNING time, {}",
        array(str::to_owned)
    )
});

/// Deletes the mixes of a range and returns them.
async fn take(
    db: &Client,
    nic: NicIds,
    [from, to]: [SystemTime; 2],
) -> Result<Vec<MixRow>, Failure> {
    let params = [&key(&nic)[..], &[at(&from), at(&to)]].concat();
    let rows = db.query_typed(&DELETE, &params).await?;
    rows.iter().map(|row: &Row| mix(instant(row, 0)?, row.try_get(1)?)).collect()
}

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
