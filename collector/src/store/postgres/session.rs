//! Clients, their sessions and their NICs.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};
use wire::id::{ClientId, NicName};
use wire::message::{Hello, Inventory};

use super::connect::TIMEOUTS;
use super::error::Failure;
use super::history::{LINK_CHANGED, LINK_GONE};
use crate::store::{SessionState, StoreError};

/// Most NICs that are kept of one client, whatever it sends.
const NICS_MAX: i64 = 65_536;

/// A time as PostgreSQL takes it.
pub(super) fn time(time_ns: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(time_ns)
}

/// Nanoseconds since 1970.
pub(super) fn time_ns(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Text as PostgreSQL takes it, which knows no NUL.
fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

pub(super) async fn open_sessions(
    client: &Client,
    id: &ClientId,
    hello: &Hello,
    now_ns: u64,
) -> Result<Vec<SessionState>, Failure> {
    client.batch_execute(&format!("BEGIN; {TIMEOUTS}")).await?;
    let (host, now) = (&hello.host, time(now_ns));
    let row = client
        .query_typed_one(
            "INSERT INTO clients (client_id, alias, created_at, last_seen_at, agent_version, os,
                 kernel, cpus, sample_interval_ns) VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (client_id) DO UPDATE SET alias = excluded.alias,
                 last_seen_at = greatest(clients.last_seen_at, excluded.last_seen_at),
                 agent_version = excluded.agent_version, os = excluded.os,
                 kernel = excluded.kernel, cpus = excluded.cpus,
                 sample_interval_ns = excluded.sample_interval_ns
             RETURNING id",
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
    let (mut keys, mut starts) = (Vec::new(), Vec::new());
    for session in &hello.sessions {
        let key = session.session.cast_signed();
        if !keys.contains(&key) {
            keys.push(key);
            starts.push(time(session.started_ns));
        }
    }
    client
        .execute_typed(
            "INSERT INTO sessions (session, client, started, epoch, committed_at)
             SELECT session, $3, started, 1, $4 FROM unnest($1, $2) AS new (session, started)
             ORDER BY session
             ON CONFLICT (session) DO UPDATE SET epoch = sessions.epoch + 1
                 WHERE sessions.client = excluded.client",
            &[
                (&keys, Type::INT8_ARRAY),
                (&starts, Type::TIMESTAMPTZ_ARRAY),
                (&number, Type::INT4),
                (&now, Type::TIMESTAMPTZ),
            ],
        )
        .await?;
    let foreign = client
        .query_typed_opt(
            "SELECT session, client_id FROM sessions JOIN clients ON clients.id = client
             WHERE session = ANY ($1) AND client <> $2 ORDER BY session LIMIT 1",
            &[(&keys, Type::INT8_ARRAY), (&number, Type::INT4)],
        )
        .await?;
    if let Some(row) = foreign {
        let session = row.try_get::<_, i64>(0)?.cast_unsigned();
        let (owner, client) = (row.try_get(1)?, id.to_string());
        return Err(StoreError::ForeignSession { session, owner, client }.into());
    }
    let sessions: Vec<u64> = hello.sessions.iter().map(|session| session.session).collect();
    let states = states(client, &sessions).await?;
    client.batch_execute("COMMIT").await?;
    Ok(states)
}

/// How far sessions are, in the order asked for, once no commit of them is under way any more.
/// Those that are not known are left out.
pub(super) async fn states(
    client: &Client,
    sessions: &[u64],
) -> Result<Vec<SessionState>, Failure> {
    let keys: Vec<i64> = sessions.iter().map(|session| session.cast_signed()).collect();
    let rows = client
        .query_typed(
            "SELECT session, committed_seq, epoch FROM sessions WHERE session = ANY ($1)
             ORDER BY session FOR UPDATE",
            &[(&keys, Type::INT8_ARRAY)],
        )
        .await?;
    let mut found = HashMap::new();
    for row in rows {
        let number = |at| row.try_get::<_, i64>(at).map(i64::cast_unsigned);
        let state = SessionState { session: number(0)?, seq: number(1)?, epoch: number(2)? };
        found.insert(state.session, state);
    }
    Ok(sessions.iter().filter_map(|session| found.get(session).copied()).collect())
}

pub(super) async fn record_inventory(
    client: &Client,
    id: &ClientId,
    inventory: &Inventory,
    now_ns: u64,
) -> Result<(), Failure> {
    client.batch_execute(&format!("BEGIN; {TIMEOUTS}")).await?;
    let row = client
        .query_typed_opt(
            "UPDATE clients SET last_seen_at = greatest(last_seen_at, $2) WHERE client_id = $1
             RETURNING id",
            &[(&id.as_str(), Type::TEXT), (&time(now_ns), Type::TIMESTAMPTZ)],
        )
        .await?;
    let Some(row) = row else { return Err(unknown_client(id)) };
    let number: i32 = row.try_get(0)?;
    let names: Vec<NicName> = inventory.nics.iter().map(|nic| nic.name).collect();
    add_nics(client, number, &names).await?;
    let absent = "UPDATE nics SET present = false WHERE client = $1 AND present";
    client.execute_typed(absent, &[(&number, Type::INT4)]).await?;
    let now = (&time(now_ns) as &(dyn ToSql + Sync), Type::TIMESTAMPTZ);
    for nic in &inventory.nics {
        let changed = [
            (&number as &(dyn ToSql + Sync), Type::INT4),
            (&nic.name.as_str(), Type::TEXT),
            (&nic.up, Type::BOOL),
            now.clone(),
        ];
        client.execute_typed(LINK_CHANGED, &changed).await?;
        client
            .execute_typed(
                "UPDATE nics SET if_index = $3, mac = $4, mtu = $5, speed_bits = $6, kind = $7,
                     up = $8, stacked = $9, present = true WHERE client = $1 AND name = $2",
                &[
                    (&number, Type::INT4),
                    (&nic.name.as_str(), Type::TEXT),
                    (&i64::from(nic.index), Type::INT8),
                    (&nic.mac.as_slice(), Type::BYTEA),
                    (&i64::from(nic.mtu), Type::INT8),
                    (&nic.speed_bits.min(i64::MAX as u64).cast_signed(), Type::INT8),
                    (&text(&nic.kind), Type::TEXT),
                    (&nic.up, Type::BOOL),
                    (&nic.stacked, Type::BOOL),
                ],
            )
            .await?;
    }
    client.execute_typed(LINK_GONE, &[(&number, Type::INT4), now]).await?;
    let down = "UPDATE nics SET up = false WHERE client = $1 AND NOT present AND up";
    client.execute_typed(down, &[(&number, Type::INT4)]).await?;
    client.batch_execute("COMMIT").await?;
    Ok(())
}

pub(super) async fn record_clock_offset(
    client: &Client,
    session: u64,
    offset_ns: i64,
) -> Result<(), Failure> {
    client
        .execute_typed(
            "UPDATE sessions SET clock_offset_ns = $2 WHERE session = $1",
            &[(&session.cast_signed(), Type::INT8), (&offset_ns, Type::INT8)],
        )
        .await?;
    Ok(())
}

pub(super) fn unknown_client(client: &ClientId) -> Failure {
    Failure::Refused(format!("client {client} has opened no session"))
}

/// Makes NICs of a client known, as far as it may have any more.
pub(super) async fn add_nics(
    client: &Client,
    number: i32,
    names: &[NicName],
) -> Result<(), Failure> {
    let names: Vec<&str> = names.iter().filter_map(NicName::as_str).collect();
    client
        .execute_typed(
            "INSERT INTO nics (client, name) SELECT DISTINCT $1, name FROM unnest($2) AS new (name)
             WHERE (SELECT count(*) FROM nics WHERE client = $1) < $3
             ON CONFLICT (client, name) DO NOTHING",
            &[(&number, Type::INT4), (&names, Type::TEXT_ARRAY), (&NICS_MAX, Type::INT8)],
        )
        .await?;
    Ok(())
}
