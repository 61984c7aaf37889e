//! Clients, their sessions and their NICs.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use wire::id::{ClientId, NicName};
use wire::message::{Hello, Inventory, Session};

use super::error::Failure;
use super::history::{LINK_CHANGED, LINK_GONE};
use super::int;
use crate::store::nics::NICS_MAX;
use crate::store::{SessionState, StoreError};

pub(super) fn open_sessions(
    db: &mut Connection,
    client: &ClientId,
    hello: &Hello,
    now_ns: u64,
) -> Result<Vec<SessionState>, Failure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (host, now) = (&hello.host, int(now_ns)?);
    let (id, forgotten): (i64, Option<i64>) = transaction.query_row(
        "INSERT INTO clients (client_id, alias, created_at, last_seen_at, agent_version, os,
             kernel, cpus, sample_interval_ns) VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (client_id) DO UPDATE SET alias = excluded.alias,
             last_seen_at = excluded.last_seen_at,
             agent_version = excluded.agent_version, os = excluded.os,
             kernel = excluded.kernel, cpus = excluded.cpus,
             sample_interval_ns = excluded.sample_interval_ns
         RETURNING id, forgotten_at",
        params![
            client.as_str(),
            hello.alias,
            now,
            host.agent_version,
            host.os,
            host.kernel,
            host.cpus,
            int(host.sample_interval_ns)?
        ],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if let Some(at) = forgotten {
        let (client, at_ns) = (client.to_string(), at.cast_unsigned());
        return Err(StoreError::Forgotten { client, at_ns }.into());
    }
    for session in &hello.sessions {
        open_session(&transaction, client, id, session, now)?;
    }
    let sessions: Vec<u64> = hello.sessions.iter().map(|session| session.session).collect();
    let states = states(&transaction, &sessions)?;
    transaction.commit()?;
    Ok(states)
}

fn open_session(
    transaction: &Transaction<'_>,
    client: &ClientId,
    id: i64,
    session: &Session,
    now: i64,
) -> Result<(), Failure> {
    let key = session.session.cast_signed();
    let owner: Option<String> = transaction
        .query_row(
            "SELECT client_id FROM sessions JOIN clients ON clients.id = client
             WHERE session = ?1 AND client <> ?2",
            [key, id],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(owner) = owner {
        let client = client.to_string();
        let foreign = StoreError::ForeignSession { session: session.session, owner, client };
        return Err(foreign.into());
    }
    transaction
        .prepare_cached(
            "INSERT INTO sessions (session, client, started, epoch, committed_at)
             VALUES (?1, ?2, ?3, 1, ?4)
             ON CONFLICT (session) DO UPDATE SET epoch = epoch + 1",
        )?
        .execute([key, id, int(session.started_ns)?, now])?;
    Ok(())
}

/// How far sessions are. Those that are not known are left out.
pub(super) fn states(db: &Connection, sessions: &[u64]) -> Result<Vec<SessionState>, Failure> {
    let mut select = db.prepare_cached(
        "SELECT committed_seq, epoch,
             CASE WHEN digest_seq = committed_seq THEN committed_digest END
         FROM sessions WHERE session = ?1",
    )?;
    let mut states = Vec::with_capacity(sessions.len());
    for &session in sessions {
        let state = select.query_row([session.cast_signed()], |row| {
            let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
            let digest = row.get::<_, Option<i64>>(2)?.map(i64::cast_unsigned);
            Ok(SessionState { session, seq: number(0)?, epoch: number(1)?, digest })
        });
        states.extend(state.optional()?);
    }
    Ok(states)
}

pub(super) fn record_inventory(
    db: &mut Connection,
    client: &ClientId,
    inventory: &Inventory,
    now_ns: u64,
) -> Result<(), Failure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let id: Option<i64> = transaction
        .query_row(
            "UPDATE clients SET last_seen_at = ?2 WHERE client_id = ?1
             RETURNING id",
            params![client.as_str(), int(now_ns)?],
            |row| row.get(0),
        )
        .optional()?;
    let Some(id) = id else { return Err(unknown_client(client)) };
    transaction.execute("UPDATE nics SET present = 0 WHERE client = ?1 AND present = 1", [id])?;
    let mut room = Room::default();
    for nic in &inventory.nics {
        let Some(nic_id) = nic_id(&transaction, id, nic.name, &mut room)? else { continue };
        transaction.prepare_cached(LINK_CHANGED)?.execute(params![nic_id, int(now_ns)?, nic.up])?;
        transaction
            .prepare_cached(
                "UPDATE nics SET if_index = ?2, mac = ?3, mtu = ?4, speed_bits = ?5, kind = ?6,
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
    transaction.prepare_cached(LINK_GONE)?.execute(params![id, int(now_ns)?])?;
    transaction
        .execute("UPDATE nics SET up = 0 WHERE client = ?1 AND present = 0 AND up = 1", [id])?;
    transaction.commit()?;
    Ok(())
}

fn unknown_client(client: &ClientId) -> Failure {
    Failure::Refused(format!("client {client} has opened no session"))
}

pub(super) fn record_clock_offset(
    db: &Connection,
    session: u64,
    offset_ns: i64,
) -> Result<(), Failure> {
    db.prepare_cached("UPDATE sessions SET clock_offset_ns = ?2 WHERE session = ?1")?
        .execute([session.cast_signed(), offset_ns])?;
    Ok(())
}

/// The number of a client, if it is known.
pub(super) fn client_id(db: &Connection, client: &ClientId) -> Result<Option<i64>, Failure> {
    let select = "SELECT id FROM clients WHERE client_id = ?1";
    Ok(db.prepare_cached(select)?.query_row([client.as_str()], |row| row.get(0)).optional()?)
}

/// How many more NICs clients may have, by their numbers, as far as that was asked for within a
/// transaction.
pub(super) type Room = HashMap<i64, i64>;

/// The number of a NIC, which is made known where it is not. `None` of a NIC too many.
pub(super) fn nic_id(
    db: &Connection,
    client: i64,
    name: NicName,
    room: &mut Room,
) -> Result<Option<i64>, Failure> {
    let name = name.as_str().ok_or_else(|| Failure::Refused("a NIC without name".into()))?;
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
