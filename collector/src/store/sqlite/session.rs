//! Clients and their sessions.

use rusqlite::{Connection, OptionalExtension, params};
use wire::Seq;
use wire::WallNs;
use wire::id::{ClientId, SessionId};
use wire::message::{Hello, Session};

use super::error::Failure;
use super::number::int;
use crate::store::port::error::StoreError;
use crate::store::port::write::SessionState;
use crate::store::rows::epoch::Epoch;

pub(super) fn open_sessions(
    db: &Connection,
    client: &ClientId,
    hello: &Hello,
    now_ns: WallNs,
) -> Result<Vec<SessionState>, Failure> {
    let (host, now) = (&hello.host, now_ns.to_column());
    let mut introduce = db.prepare_cached(
        "INSERT INTO clients (client_id, alias, created_at, last_seen_at, agent_version, os,
             kernel, cpus, sample_interval_ns) VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (client_id) DO UPDATE SET alias = excluded.alias,
             last_seen_at = excluded.last_seen_at,
             agent_version = excluded.agent_version, os = excluded.os,
             kernel = excluded.kernel, cpus = excluded.cpus,
             sample_interval_ns = excluded.sample_interval_ns
         RETURNING id, forgotten_at",
    )?;
    let (id, forgotten): (i64, Option<i64>) = introduce.query_row(
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
        let (client, at_ns) = (client.to_string(), WallNs::of_column(at));
        return Err(StoreError::Forgotten { client, at_ns }.into());
    }
    for session in &hello.sessions {
        open_session(db, client, id, session, now)?;
    }
    let sessions: Vec<SessionId> = hello.sessions.iter().map(|session| session.session).collect();
    states(db, &sessions)
}

fn open_session(
    db: &Connection,
    client: &ClientId,
    id: i64,
    session: &Session,
    now: i64,
) -> Result<(), Failure> {
    let key = session.session.to_column();
    let owner: Option<String> = db
        .prepare_cached(
            "SELECT client_id FROM sessions JOIN clients ON clients.id = client
             WHERE session = ?1 AND client <> ?2",
        )?
        .query_row([key, id], |row| row.get(0))
        .optional()?;
    if let Some(owner) = owner {
        let client = client.to_string();
        let foreign = StoreError::ForeignSession { session: session.session, owner, client };
        return Err(foreign.into());
    }
    db.prepare_cached(
        "INSERT INTO sessions (session, client, started, epoch, committed_at)
             VALUES (?1, ?2, ?3, 1, ?4)
             ON CONFLICT (session) DO UPDATE SET epoch = epoch + 1",
    )?
    .execute([key, id, session.started_ns.to_column(), now])?;
    Ok(())
}

/// The progress of sessions. Unknown ones are left out.
pub(super) fn states(
    db: &Connection,
    sessions: &[SessionId],
) -> Result<Vec<SessionState>, Failure> {
    let mut select = db.prepare_cached(
        "SELECT committed_seq, epoch,
             CASE WHEN digest_seq = committed_seq THEN committed_digest END
         FROM sessions WHERE session = ?1",
    )?;
    let mut states = Vec::with_capacity(sessions.len());
    for &session in sessions {
        let state = select.query_row([session.to_column()], |row| {
            let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
            let digest = row.get::<_, Option<i64>>(2)?.map(i64::cast_unsigned);
            Ok(SessionState {
                session,
                seq: Seq::of_column(row.get(0)?),
                epoch: Epoch(number(1)?),
                digest,
            })
        });
        states.extend(state.optional()?);
    }
    Ok(states)
}

pub(super) fn record_clock_offset(
    db: &Connection,
    session: SessionId,
    offset_ns: i64,
) -> Result<(), Failure> {
    db.prepare_cached("UPDATE sessions SET clock_offset_ns = ?2 WHERE session = ?1")?
        .execute([session.to_column(), offset_ns])?;
    Ok(())
}
