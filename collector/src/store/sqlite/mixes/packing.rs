//! Packs mixes that have got old. They are read, packed and deleted in one transaction of the writing connection, so
//! that nothing can come in between; the few hundred mixes of an hour keep it for a few milliseconds.

use std::sync::LazyLock;

use rusqlite::{Connection, TransactionBehavior, params};
use wire::WallNs;

use crate::store::pack::PackedSome;
use crate::store::rows::columns::mix_columns;
use crate::store::rows::packed::{MixRow, PackedMixes};
use crate::store::sqlite::error::Failure;
use crate::store::sqlite::hot_rows::HotRows;
use crate::store::sqlite::number::bounded;

/// Most mixes packed in a transaction: an hour of those of 10 s is 360.
pub const STEP_MIXES: u32 = 1024;

/// The columns of the figures of a mix, in the order in which they are packed.
static FIGURES: LazyLock<String> = LazyLock::new(|| {
    let figures: Vec<String> = mix_columns().collect();
    format!("time, interval_ns, {}", figures.join(", "))
});

/// Packs mixes in a transaction.
///
/// Mixes that come late become a stretch of their own.
pub fn pack_some(db: &mut Connection, hot: HotRows) -> Result<PackedSome<i64>, Failure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let rows: Vec<MixRow> = hot.read(&transaction, &FIGURES)?;
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
            .execute(params![hot.nic.client, hot.nic.nic, first, last, bounded(mixes), columns])?;
    }
    hot.delete(&transaction, packed)?;
    transaction.commit()?;
    // Others that start with the last one may be left.
    Ok(PackedSome { rows: packed, end: hot.last.0 })
}
