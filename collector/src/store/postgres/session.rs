//! Clients and their sessions.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};
use wire::Seq;
use wire::WallNs;
use wire::id::{ClientId, SessionId};
use wire::message::Hello;

use super::connect::BEGIN;
use super::error::Failure;
use crate::store::port::error::StoreError;
use crate::store::port::write::SessionState;
use crate::store::rows::epoch::Epoch;

/// A time for PostgreSQL.
pub(super) fn time(time_ns: WallNs) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(time_ns.get())
}

/// Nanoseconds since 1970.
pub(super) fn time_ns(time: SystemTime) -> WallNs {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    WallNs(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// Text for PostgreSQL, which doesn't accept NUL.
pub(super) fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

pub(super) async fn open_sessions(
    client: &Client,
    id: &ClientId,
    hello: &Hello,
    now_ns: WallNs,
) -> Result<Vec<SessionState>, Failure> {
    client.batch_execute(BEGIN).await?;
    let (host, now) = (&hello.host, time(now_ns));
    let row = client
        .query_typed_one(
            "INSERT INTO clients (client_id, alias, created_at, last_seen_at, agent_version, os,
                 kernel, cpus, sample_interval_ns) VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (client_id) DO UPDATE SET alias = excluded.alias,
                 last_seen_at = excluded.last_seen_at,
                 agent_version = excluded.agent_version, os = excluded.os,
                 kernel = excluded.kernel, cpus = excluded.cpus,
                 sample_interval_ns = excluded.sample_interval_ns
             RETURNING id, forgotten_at",
            &[
                (&id.as_str(), Type::TEXT),
                (&text(&hello.alias), Type::TEXT),
                (&now, Type::TIMESTAMPTZ),
                (&text(&host.agent_version), Type::TEXT),
                (&text(&host.os), Type::TEXT),
                (&text(&host.kernel), Type::TEXT),
                (&i64::from(host.cpus), Type::INT8),
                (&host.sample_interval_ns.cast_signed(), Type::INT8),
            ],
        )
        .await?;
    let number: i32 = row.try_get(0)?;
    if let Some(at) = row.try_get::<_, Option<SystemTime>>(1)? {
        let (client, at_ns) = (id.to_string(), time_ns(at));
        return Err(StoreError::Forgotten { client, at_ns }.into());
    }
    let (mut keys, mut starts) = (Vec::new(), Vec::new());
    for session in &hello.sessions {
        let key = session.session.to_column();
        if !keys.contains(&key) {
            keys.push(key);
            starts.push(time(session.started_ns));
        }
    }
    // Waits for a commit of these sessions in progress, as any change of their rows does.
    let rows = client
        .query_typed(
            "INSERT INTO sessions (session, client, started, epoch, committed_at)
             SELECT session, $3, started, 1, $4 FROM unnest($1, $2) AS new (session, started)
             ORDER BY session
             ON CONFLICT (session) DO UPDATE SET epoch = sessions.epoch + 1
                 WHERE sessions.client = excluded.client
             RETURNING session, committed_seq, epoch,
                 CASE WHEN digest_seq = committed_seq THEN committed_digest END",
            &[
                (&keys, Type::INT8_ARRAY),
                (&starts, Type::TIMESTAMPTZ_ARRAY),
                (&number, Type::INT4),
                (&now, Type::TIMESTAMPTZ),
            ],
        )
        .await?;
    if rows.len() < keys.len() {
        return Err(foreign(client, id, number, &keys).await?);
    }
    let sessions: Vec<SessionId> = hello.sessions.iter().map(|session| session.session).collect();
    let states = in_order(&rows, &sessions)?;
    client.batch_execute("COMMIT").await?;
    Ok(states)
}

/// The owner of a session that a client asked to open.
async fn foreign(
    client: &Client,
    id: &ClientId,
    number: i32,
    keys: &[i64],
) -> Result<Failure, Failure> {
    let row = client
        .query_typed_one(
            "SELECT session, client_id FROM sessions JOIN clients ON clients.id = client
             WHERE session = ANY ($1) AND client <> $2 ORDER BY session LIMIT 1",
            &[(&keys, Type::INT8_ARRAY), (&number, Type::INT4)],
        )
        .await?;
    let session = SessionId::of_column(row.try_get(0)?);
    let (owner, client) = (row.try_get(1)?, id.to_string());
    Ok(StoreError::ForeignSession { session, owner, client }.into())
}

/// The progress of sessions, in the given order, after their commits in progress have ended. Unknown
/// ones are left out.
pub(super) async fn states(
    client: &Client,
    sessions: &[SessionId],
) -> Result<Vec<SessionState>, Failure> {
    let keys: Vec<i64> = sessions.iter().copied().map(SessionId::to_column).collect();
    let rows = client
        .query_typed(
            "SELECT session, committed_seq, epoch,
                 CASE WHEN digest_seq = committed_seq THEN committed_digest END FROM sessions
             WHERE session = ANY ($1)
             ORDER BY session FOR UPDATE",
            &[(&keys, Type::INT8_ARRAY)],
        )
        .await?;
    in_order(&rows, sessions)
}

/// Rows of session, committed number, epoch and digest, in the order of `sessions`.
fn in_order(rows: &[Row], sessions: &[SessionId]) -> Result<Vec<SessionState>, Failure> {
    let mut found = HashMap::new();
    for row in rows {
        let number = |at| row.try_get::<_, i64>(at).map(i64::cast_unsigned);
        let digest = row.try_get::<_, Option<i64>>(3)?.map(i64::cast_unsigned);
        let session = SessionId::of_column(row.try_get(0)?);
        let state = SessionState {
            session,
            seq: Seq::of_column(row.try_get(1)?),
            epoch: Epoch(number(2)?),
            digest,
        };
        found.insert(state.session, state);
    }
    Ok(sessions.iter().filter_map(|session| found.get(session).copied()).collect())
}

pub(super) async fn record_clock_offset(
    client: &Client,
    session: SessionId,
    offset_ns: i64,
) -> Result<(), Failure> {
    client
        .execute_typed(
            "UPDATE sessions SET clock_offset_ns = $2 WHERE session = $1",
            &[(&session.to_column(), Type::INT8), (&offset_ns, Type::INT8)],
        )
        .await?;
    Ok(())
}

pub(super) fn unknown_client(client: &ClientId) -> Failure {
    Failure::refused(format!("client {client} has opened no session"))
}
