//! What has got old enough to be packed, of any table of rows that are.

use rusqlite::{Connection, params};
use wire::WallNs;

use super::error::Failure;
use super::lease::{Reads, Writes};
use super::store::SqliteStore;
use super::tables::nics::NicIds;
use crate::store::pack::{PackedSome, pack_each};
use crate::store::port::error::StoreError;
use crate::store::rows::packed::stretches::hour_of;

/// Packs the oldest rows of a NIC in a range, in a transaction. `None` if there are none.
pub type PackSome =
    fn(&mut Connection, NicIds, [i64; 2]) -> Result<Option<PackedSome<i64>>, Failure>;

/// Packs the rows of a table before a time, as far as their hour has ended, in short transactions of `most` rows between
/// which commits run. Returns their number.
pub async fn pack(
    store: &SqliteStore,
    hot: &'static str,
    most: u32,
    before_ns: WallNs,
    pack_some: PackSome,
) -> Result<u64, StoreError> {
    let until = hour_of(before_ns.to_column());
    let nics = store.readers().lease(move |db| nics_to_pack(db, hot, until)).await?;
    pack_each(nics, async |nic, from| {
        let range = [from.unwrap_or(i64::MIN), until];
        match store.readers().lease(move |db| read_ahead(db, hot, most, nic, range)).await? {
            0 => Ok(None),
            _ => store.writer().lease(move |db| pack_some(db, nic, range)).await,
        }
    })
    .await
}

/// Reads the rows that are packed next, so that their pages are in memory by the time for which commits wait: the system
/// may have to fetch each from a slow disk. Returns their number.
fn read_ahead(
    db: &Connection,
    hot: &str,
    most: u32,
    nic: NicIds,
    [from, to]: [i64; 2],
) -> Result<u32, Failure> {
    let mut select = db.prepare_cached(&format!(
        "SELECT count(*) FROM (SELECT 1 FROM {hot} WHERE client = ?1 AND nic = ?2 AND time >= ?3
             AND time < ?4 ORDER BY time, nth LIMIT ?5)"
    ))?;
    let key = params![nic.client, nic.nic, from, to, most];
    Ok(select.query_row(key, |row| row.get(0))?)
}

/// The NICs with rows before a time in a table.
fn nics_to_pack(db: &Connection, hot: &str, until: i64) -> Result<Vec<NicIds>, Failure> {
    let mut select = db.prepare_cached(&format!(
        "SELECT client, id FROM nics WHERE EXISTS (SELECT 1 FROM {hot} hot
             WHERE hot.client = nics.client AND hot.nic = nics.id AND hot.time < ?1)"
    ))?;
    let nics =
        select.query_map([until], |row| Ok(NicIds { client: row.get(0)?, nic: row.get(1)? }))?;
    Ok(nics.collect::<rusqlite::Result<_>>()?)
}

/// Start of a NIC's oldest row in a range of a table.
pub fn oldest(
    db: &Connection,
    hot: &str,
    nic: NicIds,
    [from, to]: [i64; 2],
) -> Result<Option<i64>, Failure> {
    let mut select = db.prepare_cached(&format!(
        "SELECT min(time) FROM {hot} WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND time < ?4"
    ))?;
    Ok(select.query_row(params![nic.client, nic.nic, from, to], |row| row.get(0))?)
}

/// Deletes what was packed: the rows of a NIC from a time to time and `nth` of the last. Fails unless they are as many as
/// were packed.
pub fn delete_packed(
    db: &Connection,
    hot: &str,
    nic: NicIds,
    first: i64,
    (last, nth): (i64, i64),
    packed: u64,
) -> Result<(), Failure> {
    let mut delete = db.prepare_cached(&format!(
        "DELETE FROM {hot} WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND time <= ?4
             AND (time < ?4 OR nth <= ?5)"
    ))?;
    let deleted = delete.execute(params![nic.client, nic.nic, first, last, nth])? as u64;
    if deleted == packed {
        return Ok(());
    }
    Err(Failure::File(
        format!("{packed} rows of {hot} are packed, {deleted} would be deleted").into(),
    ))
}
