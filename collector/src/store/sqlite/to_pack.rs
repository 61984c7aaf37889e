//! What has got old enough to be packed, of any table of rows that are.

use std::ops::ControlFlow;

use rusqlite::Connection;
use wire::WallNs;

use super::error::Failure;
use super::hot_rows::HotRows;
use super::lease::{Reads, Writes};
use super::store::SqliteStore;
use super::tables::nics::NicIds;
use crate::store::pack::{PackedSome, pack_each};
use crate::store::port::error::StoreError;
use crate::store::rows::packed::stretches::hour_of;

/// Packs rows in a transaction. Perhaps there are none any more.
pub type PackSome = fn(&mut Connection, HotRows) -> Result<PackedSome<i64>, Failure>;

/// Packs the rows of a table before a time, as far as their hour has ended, in short transactions of `most` rows between
/// which commits run. Returns their number.
pub async fn pack(
    store: &SqliteStore,
    table: &'static str,
    most: u32,
    before_ns: WallNs,
    pack_some: PackSome,
) -> Result<u64, StoreError> {
    let until = hour_of(before_ns.to_column());
    let nics = store.readers().lease(move |db| nics_to_pack(db, table, until)).await?;
    pack_each(nics, async |nic, from| {
        let range = [from.unwrap_or(i64::MIN), until];
        let oldest = move |db: &mut Connection| HotRows::oldest(db, table, most, nic, range);
        let mut oldest = store.readers().lease(oldest).await?.into_iter();
        let Some(mut rows) = oldest.next() else { return Ok(None) };
        let mut packed = 0;
        let pack_next = move |db: &mut Connection| {
            let some = pack_some(db, rows)?;
            packed += some.rows;
            Ok(match oldest.next() {
                // Unless a stretch lies between them: then the next step begins with it.
                Some(next) if some.end == rows.last.0 => {
                    rows = next;
                    ControlFlow::Continue(())
                }
                _ => ControlFlow::Break(PackedSome { rows: packed, ..some }),
            })
        };
        store.writer().lease_until(pack_next).await.map(Some)
    })
    .await
}

/// The NICs with rows before a time in a table.
fn nics_to_pack(db: &Connection, table: &str, until: i64) -> Result<Vec<NicIds>, Failure> {
    let mut select = db.prepare_cached(&format!(
        "SELECT client, id FROM nics WHERE EXISTS (SELECT 1 FROM {table} hot
             WHERE hot.client = nics.client AND hot.nic = nics.id AND hot.time < ?1)"
    ))?;
    let nics =
        select.query_map([until], |row| Ok(NicIds { client: row.get(0)?, nic: row.get(1)? }))?;
    Ok(nics.collect::<rusqlite::Result<_>>()?)
}
