//! Packs mixes that have got old. They are read, packed and deleted in one transaction of the writing connection, so
//! that nothing can come in between; the few hundred mixes of an hour keep it for a few milliseconds.

use std::sync::LazyLock;

use rusqlite::{Connection, TransactionBehavior, params};
use wire::WallNs;

use super::tables::HOT;
use crate::store::pack::PackedSome;
use crate::store::rows::columns::mix_columns;
use crate::store::rows::packed::stretches::{HOUR, hour_of};
use crate::store::rows::packed::{MixRow, PackedMixes};
use crate::store::sqlite::error::Failure;
use crate::store::sqlite::number::{bounded, number};
use crate::store::sqlite::tables::nics::NicIds;
use crate::store::sqlite::to_pack::{delete_packed, oldest};

/// Most mixes packed in a transaction: an hour of those of 10 s is 360.
pub const STEP_MIXES: u32 = 1024;

/// Packs the oldest mixes of a NIC in a range, up to [`STEP_MIXES`] within an hour. `None` if there are none.
///
/// Mixes that come late become a stretch of their own.
pub fn pack_some(
    db: &mut Connection,
    nic: NicIds,
    range: [i64; 2],
) -> Result<Option<PackedSome<i64>>, Failure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let Some(first) = oldest(&transaction, HOT, nic, range)? else { return Ok(None) };
    let to = hour_of(first).saturating_add(HOUR).min(range[1]);
    let (rows, last) = hot_rows(&transaction, nic, [first, to])?;
    let packed = rows.len() as u64;
    let pieces = PackedMixes::of(rows)
        .ok_or_else(|| Failure::File("packed mixes differ from what was packed".into()))?;
    for PackedMixes { columns, mixes, first_ns, last_ns } in pieces {
        let [first, last] = [first_ns, last_ns].map(WallNs::to_column);
        transaction
            .prepare_cached(
                "INSERT INTO packed_mixes (client, nic, first, time, mixes, columns)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![nic.client, nic.nic, first, last, bounded(mixes), columns])?;
    }
    delete_packed(&transaction, HOT, nic, first, last, packed)?;
    transaction.commit()?;
    // Others that start with the last one may be left.
    Ok(Some(PackedSome { rows: packed, end: last.0 }))
}

static SELECT: LazyLock<String> = LazyLock::new(|| {
    let figures: Vec<String> = mix_columns().collect();
    format!(
        "SELECT time, nth, interval_ns, {} FROM {HOT}
         WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND time < ?4 ORDER BY time, nth LIMIT ?5",
        figures.join(", ")
    )
});

/// The first mixes of a range, and time and `nth` of the last.
fn hot_rows(
    db: &Connection,
    nic: NicIds,
    [from, to]: [i64; 2],
) -> Result<(Vec<MixRow>, (i64, i64)), Failure> {
    let mut select = db.prepare_cached(&SELECT)?;
    let mut rows = select.query(params![nic.client, nic.nic, from, to, STEP_MIXES])?;
    let (mut mixes, mut last) = (Vec::new(), (from, 0));
    while let Some(row) = rows.next()? {
        last = (row.get(0)?, row.get(1)?);
        let mut figures = [0; _];
        for (at, figure) in figures.iter_mut().enumerate() {
            *figure = number(row, 3 + at)?;
        }
        let start_ns = WallNs::of_column(last.0);
        mixes.push(MixRow { start_ns, interval_ns: number(row, 2)?, figures });
    }
    Ok((mixes, last))
}
