//! Mixes: a row each in `hot_mixes` while they are new, then packed in `packed_mixes`. Whoever reads mixes reads both
//! here, or through the view `traffic_mix`.

mod packing;
mod row;

use std::iter;
use std::pin::pin;
use std::sync::LazyLock;

use futures_util::TryStreamExt;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};
use wire::WallNs;
use wire::frame::Mix;

use self::row::{array, mix};
use super::database::Postgres;
use super::error::Failure;
use super::faults::named;
use super::key::nic_key;
use super::partition::Table;
use super::to_pack::{self, Packable};
use super::values::{self, instant, number};
use crate::store::rows::history::mix_of;
use crate::store::rows::packed::{MixRow, span, unpack, unpack_where};
use crate::store::rows::series::NicRange;
use crate::time::Time;

/// Packs mixes before a time, as far as their hour has ended, in short transactions between which commits run.
/// Returns their number.
pub(super) async fn pack(database: &Postgres, before_ns: WallNs) -> Result<u64, Failure> {
    let tables = Packable { rows: Table::Mix, stretches: Table::PackedMixes, most: packing::MOST };
    to_pack::pack(database, tables, before_ns, packing::pack_rows).await
}

/// Packed mixes that can't be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "packed mixes from {first} on are damaged, or others than noted; restore the database from a backup, or delete \
     this row of packed_mixes to do without them"
)]
struct UnreadableMixes {
    first: Time,
}

impl UnreadableMixes {
    fn of(stretch: &Row, first: usize) -> Result<Self, tokio_postgres::Error> {
        Ok(Self { first: Time(instant(stretch, first)?) })
    }
}

impl From<UnreadableMixes> for Failure {
    fn from(unreadable: UnreadableMixes) -> Self {
        Self::failed(unreadable)
    }
}

/// Sums of the mixes in a row each, and the stretches that may have some in a range. One statement,
/// so that mixes that are packed meanwhile are seen once.
static SUMS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {}, NULL::timestamptz, NULL::bigint, NULL::bytea FROM hot_mixes
         WHERE client = $1 AND nic = $2 AND time >= $3 AND time < $4
         UNION ALL
         SELECT NULL, first, mixes, columns FROM packed_mixes WHERE client = $1 AND nic = $2
             AND time >= $3 AND first < $4 AND time < $4 + interval '1 hour'",
        array(values::sum)
    )
});

/// What the mixes of a NIC that start in a range add up to.
pub(super) async fn sum(db: &Client, range: &NicRange) -> Result<Mix, Failure> {
    let Some(key) = nic_key(db, range).await? else { return Ok(Mix::default()) };
    let rows = db.query_typed(&SUMS, &key.params()).await?;
    let mut failed = None;
    let mixes = rows.iter().map_while(|row| {
        let mixes = mixes_of(row, range);
        mixes.map_err(|failure| failed = Some(failure)).ok()
    });
    let sum = mix_of(mixes.flatten());
    failed.map_or(Ok(sum), Err)
}

/// The mixes of a row of [`SUMS`].
fn mixes_of(row: &Row, range: &NicRange) -> Result<Vec<MixRow>, Failure> {
    if let Some(sums) = row.try_get(0)? {
        return Ok(vec![mix(range.from_ns, sums)?]);
    }
    let keep = |start_ns| (range.from_ns..range.to_ns).contains(&start_ns);
    match unpack_where(row.try_get(3)?, number(row, 2)?, keep) {
        Some(mixes) => Ok(mixes),
        None => Err(UnreadableMixes::of(row, 1)?.into()),
    }
}

/// Unpacks all stretches, and says which ones can't be relied on.
pub(super) async fn faults(db: &Client) -> Result<Vec<String>, Failure> {
    let select = "SELECT nic, first, time, mixes, columns FROM packed_mixes";
    let mut unreadable = Vec::new();
    let mut stretches = pin!(db.query_typed_raw(select, iter::empty::<(i32, Type)>()).await?);
    while let Some(row) = stretches.try_next().await? {
        let noted = (number(&row, 3)?, [instant(&row, 1)?, instant(&row, 2)?]);
        let mixes: Option<Vec<MixRow>> = unpack(row.try_get(4)?);
        if mixes.and_then(|mixes| span(&mixes)) != Some(noted) {
            unreadable.push((row.try_get(0)?, UnreadableMixes::of(&row, 1)?));
        }
    }
    named(db, unreadable).await
}
