//! `clients` and `nics`: the numbers that rows refer to.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use wire::id::{ClientId, NicName};

use crate::store::rows::facts::{BatchRows, NicIndex};
use crate::store::rows::nics::{NICS_MAX, NicId};
use crate::store::sqlite::error::Failure;

/// Numbers of a client and one of its NICs.
#[derive(Debug, Clone, Copy)]
pub struct NicIds {
    /// Of `clients`.
    pub client: i64,
    /// Of `nics`.
    pub nic: NicId,
}

/// The numbers of all NICs; `None` for those beyond the limit.
pub fn resolve(
    transaction: &Transaction<'_>,
    facts: &BatchRows<'_>,
) -> Result<Vec<Option<NicIds>>, Failure> {
    let mut room = Room::default();
    // The NICs of a client follow each other.
    let mut last: Option<(&ClientId, Option<i64>)> = None;
    let number = |&(client, name)| {
        let id = match last {
            Some((of, id)) if of == client => id,
            _ => client_id(transaction, client)?,
        };
        last = Some((client, id));
        // A missing client has no session either: the cursors report that.
        let Some(client) = id else {
            return Ok(Some(NicIds { client: 0, nic: NicId::default() }));
        };
        Ok(nic_id(transaction, client, name, &mut room)?.map(|nic| NicIds { client, nic }))
    };
    facts.nics.iter().map(number).collect()
}

/// The numbers of the NIC with this index in [`BatchRows::nics`].
pub fn ids(nics: &[NicIds], nic: NicIndex) -> Result<NicIds, Failure> {
    nics.get(nic).copied().ok_or_else(|| Failure::refused(format!("no NIC with index {nic}")))
}

/// The number of a client, if known.
fn client_id(db: &Connection, client: &ClientId) -> Result<Option<i64>, Failure> {
    let select = "SELECT id FROM clients WHERE client_id = ?1";
    Ok(db.prepare_cached(select)?.query_row([client.as_str()], |row| row.get(0)).optional()?)
}

/// Remaining NICs that clients may add, by client number, as queried so far in this transaction.
pub type Room = HashMap<i64, i64>;

/// The number of a NIC, which is added if missing. `None` beyond the limit.
pub fn nic_id(
    db: &Connection,
    client: i64,
    name: NicName,
    room: &mut Room,
) -> Result<Option<NicId>, Failure> {
    let name = name.as_str().ok_or_else(|| Failure::refused("a NIC without name"))?;
    let known = db
        .prepare_cached("SELECT id FROM nics WHERE client = ?1 AND name = ?2")?
        .query_row(params![client, name], |row| row.get(0))
        .optional()?;
    if known.is_some() {
        return Ok(known);
    }
    let room = match room.entry(client) {
        Entry::Occupied(room) => room.into_mut(),
        Entry::Vacant(room) => {
            let count = "SELECT count(*) FROM nics WHERE client = ?1";
            let count: i64 = db.prepare_cached(count)?.query_row([client], |row| row.get(0))?;
            room.insert(NICS_MAX - count)
        }
    };
    if *room <= 0 {
        return Ok(None);
    }
    *room -= 1;
    let insert = "INSERT INTO nics (client, name) VALUES (?1, ?2) RETURNING id";
    Ok(Some(db.prepare_cached(insert)?.query_row(params![client, name], |row| row.get(0))?))
}
