//! Mixes: a row each in `hot_mixes` while they are new, then packed in `packed_mixes`. Whoever reads mixes reads both
//! here, or through the view `traffic_mix`.

pub(super) mod functions;
mod packing;
mod tables;

use std::sync::LazyLock;

use rusqlite::Connection;
use wire::WallNs;
use wire::frame::Mix;

pub(super) use self::tables::{HOT, PACKED};
use super::error::Failure;
use super::number::number;
use super::points::{RowKey, touching};
use super::store::SqliteStore;
use super::to_pack;
use super::wide::narrow;
use crate::store::port::error::StoreError;
use crate::store::rows::columns::mix_columns;
use crate::store::rows::history::{add_to, mix_of};
use crate::store::rows::packed::{MixRow, span, unpack, unpack_where};
use crate::time::Time;

/// Packs mixes before a time, as far as their hour has ended, in short transactions between which commits run.
/// Returns their number.
pub(super) async fn pack(store: &SqliteStore, before_ns: WallNs) -> Result<u64, StoreError> {
    to_pack::pack(store, HOT, packing::STEP_MIXES, before_ns, packing::pack_some).await
}

/// Packed mixes that can't be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "packed mixes from {first} on are damaged (packed_mixes.id = {id}); restore the database from a backup, or \
     delete this row to do without them"
)]
struct DamagedMixes {
    id: i64,
    first: Time,
}

impl DamagedMixes {
    const fn of(id: i64, first: i64) -> Self {
        Self { id, first: Time(WallNs::of_column(first)) }
    }
}

impl From<DamagedMixes> for Failure {
    fn from(damaged: DamagedMixes) -> Self {
        Self::File(damaged.into())
    }
}

/// Sums of the mixes in a row each, of length and figures.
static SUMS: LazyLock<String> = LazyLock::new(|| {
    let sums: Vec<String> = mix_columns().map(|name| format!("wide_sum({name})")).collect();
    format!(
        "SELECT wide_sum(interval_ns), {} FROM {HOT}
         WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND time < ?4",
        sums.join(", ")
    )
});

static STRETCHES: LazyLock<String> =
    LazyLock::new(|| format!("SELECT id, first, mixes, columns {}", touching(PACKED)));

/// What the mixes of a NIC that start in a range add up to. `db` is in a transaction.
pub(super) fn sum(db: &Connection, key: &RowKey) -> Result<Mix, Failure> {
    let hot = db.prepare_cached(&SUMS)?.query_row(key.params(), |row| {
        let mut figures = [0; _];
        for (at, figure) in figures.iter_mut().enumerate() {
            *figure = narrow(row, 1 + at)?;
        }
        Ok(MixRow { start_ns: WallNs(0), interval_ns: narrow(row, 0)?, figures })
    })?;
    let mut sum = mix_of([hot]);
    let mut stretches = db.prepare_cached(&STRETCHES)?;
    let mut stretches = stretches.query(key.params())?;
    while let Some(row) = stretches.next()? {
        let columns = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
        let packed: Option<Vec<MixRow>> =
            unpack_where(columns, number(row, 2)?, |start_ns| key.covers(start_ns));
        let packed = packed.ok_or(DamagedMixes::of(row.get(0)?, row.get(1)?))?;
        packed.iter().for_each(|row| add_to(&mut sum, row));
    }
    Ok(sum)
}

/// Unpacks all stretches, and says which ones can't be relied on.
pub(super) fn faults(db: &Connection) -> Result<Vec<String>, Failure> {
    let mut stretches = db.prepare(
        "SELECT p.id, p.first, p.time, p.mixes, p.columns, c.client_id, n.name FROM packed_mixes p
         JOIN clients c ON c.id = p.client JOIN nics n ON n.id = p.nic ORDER BY p.id",
    )?;
    let mut stretches = stretches.query([])?;
    let mut faults = Vec::new();
    while let Some(row) = stretches.next()? {
        let (id, first): (i64, i64) = (row.get(0)?, row.get(1)?);
        let noted = (number(row, 3)?, [first, row.get(2)?].map(WallNs::of_column));
        let columns = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?;
        if unpack(columns).is_none_or(|rows: Vec<MixRow>| span(&rows) != Some(noted)) {
            let (client, nic): (String, String) = (row.get(5)?, row.get(6)?);
            faults.push(format!("client {client}, NIC {nic}: {}", DamagedMixes::of(id, first)));
        }
    }
    Ok(faults)
}
