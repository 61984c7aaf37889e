//! Packs mixes that have got old. What the statement that deletes them returns is what is packed, so that nothing can
//! come in between; the few hundred mixes of an hour keep the writing connection for a few milliseconds.

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use wire::WallNs;

use super::tables::HOT;
use crate::store::pack::PackedSome;
use crate::store::rows::columns::mix_columns;
use crate::store::rows::packed::stretches::{HOUR, hour_of};
use crate::store::rows::packed::{MixRow, PackedMixes};
use crate::store::sqlite::error::Failure;
use crate::store::sqlite::number::{bounded, number};
use crate::store::sqlite::tables::nics::NicIds;
use crate::store::sqlite::to_pack::oldest;

/// Most mixes packed in a transaction: an hour of those of 10 s is 360.
const STEP_MIXES: i64 = 1024;

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
    let rows = take(&transaction, nic, [first, to])?;
    let packed = rows.len() as u64;
    // Others that start with the last one may be left.
    let end = rows.iter().map(|row| row.start_ns.to_column()).max().unwrap_or(to);
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
    transaction.commit()?;
    Ok(Some(PackedSome { rows: packed, end }))
}

static DELETE: LazyLock<String> = LazyLock::new(|| {
    let figures: Vec<String> = mix_columns().collect();
    format!(
        "DELETE FROM {HOT} WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND time <= ?4
             AND (time < ?4 OR nth <= ?5)
         RETURNING time, interval_ns, {}",
        figures.join(", ")
    )
});

/// Deletes the first mixes of a range and returns them.
fn take(db: &Connection, nic: NicIds, [from, to]: [i64; 2]) -> Result<Vec<MixRow>, Failure> {
    let last = db
        .prepare_cached(
            "SELECT time, nth FROM hot_mixes WHERE client = ?1 AND nic = ?2 AND time >= ?3
                 AND time < ?4 ORDER BY time, nth LIMIT 1 OFFSET ?5",
        )?
        .query_row(params![nic.client, nic.nic, from, to, STEP_MIXES - 1], |row| {
            Ok((row.get(0)?, row.get(1)?))
        });
    let (time, nth) = last.optional()?.unwrap_or((to - 1, i64::MAX));
    let mut delete = db.prepare_cached(&DELETE)?;
    let mix = |row: &Row<'_>| {
        let mut figures = [0; _];
        for (at, figure) in figures.iter_mut().enumerate() {
            *figure = number(row, 2 + at)?;
        }
        let start_ns = WallNs::of_column(row.get(0)?);
        Ok(MixRow { start_ns, interval_ns: number(row, 1)?, figures })
    };
    let rows = delete.query_map(params![nic.client, nic.nic, from, time, nth], mix)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
