//! NICs from agents' inventories, and changes of their links.

use rusqlite::{Connection, OptionalExtension, params};
use wire::WallNs;
use wire::id::ClientId;
use wire::message::Inventory;

use super::error::Failure;
use super::number::int;
use super::tables::nics::{Room, nic_id};

pub(super) fn record(
    db: &Connection,
    client: &ClientId,
    inventory: &Inventory,
    now_ns: WallNs,
) -> Result<(), Failure> {
    let id: Option<i64> = db
        .prepare_cached("UPDATE clients SET last_seen_at = ?2 WHERE client_id = ?1 RETURNING id")?
        .query_row(params![client.as_str(), now_ns.to_column()], |row| row.get(0))
        .optional()?;
    let Some(id) = id else { return Err(unknown_client(client)) };
    db.prepare_cached("UPDATE nics SET present = 0 WHERE client = ?1 AND present = 1")?
        .execute([id])?;
    let mut room = Room::default();
    for nic in &inventory.nics {
        let Some(nic_id) = nic_id(db, id, nic.name, &mut room)? else { continue };
        db.prepare_cached(LINK_CHANGED)?.execute(params![nic_id, now_ns.to_column(), nic.up])?;
        db
            .prepare_cached(
                "UPDATE nics SET if_index = ?2, mac = ?3, mtu = ?4, 
                     speed_bits = CASE WHEN ?5 = 0 AND ?7 = 0 THEN speed_bits ELSE ?5 END, kind = ?6,
                     up = ?7, stacked = ?8, present = 1 WHERE id = ?1",
            )?
            .execute(params![
                nic_id,
                nic.index,
                nic.mac,
                nic.mtu,
                int(nic.speed_bits)?,
                nic.kind,
                nic.up,
                nic.stacked
            ])?;
    }
    db.prepare_cached(LINK_GONE)?.execute(params![id, now_ns.to_column()])?;
    db.prepare_cached("UPDATE nics SET up = 0 WHERE client = ?1 AND present = 0 AND up = 1")?
        .execute([id])?;
    Ok(())
}

pub(super) fn unknown_client(client: &ClientId) -> Failure {
    Failure::refused(format!("client {client} has opened no session"))
}

/// Records changed links before the newest inventory is stored: NIC by NIC, then those no longer
/// listed.
const LINK_CHANGED: &str = "
    INSERT OR REPLACE INTO link_changes
    SELECT client, id, ?2, ?3 FROM nics WHERE id = ?1 AND up <> ?3 AND if_index <> 0";
const LINK_GONE: &str = "
    INSERT OR REPLACE INTO link_changes
    SELECT client, id, ?2, 0 FROM nics WHERE client = ?1 AND present = 0 AND up = 1";
