//! What has got old enough to be packed, of any table of rows that are.

use rusqlite::{Connection, params};

use super::error::Failure;
use super::tables::nics::NicIds;

/// The NICs with rows before a time in a table.
pub fn nics_to_pack(db: &Connection, hot: &str, until: i64) -> Result<Vec<NicIds>, Failure> {
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
