//! Clients and their sessions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use wire::Seq;
use wire::WallNs;
use wire::id::{ClientId, SessionId};
use wire::message::Hello;

use super::connect::BEGIN;
use super::error::Failure;
use super::group::{GroupWrite, IMPATIENT};
use super::transaction::begin_with;
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

/// An agent that opens its sessions.
#[derive(Debug)]
pub(super) struct Opening {
    pub client: ClientId,
    pub hello: Hello,
    pub now_ns: WallNs,
}

impl Opening {
    /// The sessions that it lists, each once.
    fn sessions(&self) -> BTreeMap<SessionId, WallNs> {
        // The first of several with one id counts.
        let sessions = self.hello.sessions.iter().rev();
        sessions.map(|session| (session.session, session.started_ns)).collect()
    }

    /// The states of its sessions in its order, if all are there.
    fn states(&self, found: &HashMap<SessionId, SessionState>) -> Option<Vec<SessionState>> {
        self.hello.sessions.iter().map(|it| found.get(&it.session).copied()).collect()
    }
}

impl GroupWrite for Opening {
    type Key = ClientId;
    type Done = Vec<SessionState>;

    fn key(&self) -> &ClientId {
        &self.client
    }

    fn rows(&self) -> usize {
        self.hello.sessions.len()
    }

    async fn alone(&self, db: &Client) -> Result<Vec<SessionState>, Failure> {
        let introduced = begin_with(db, BEGIN, introduce(db, &[self])).await?;
        let known = introduced.get(&self.client).ok_or_else(|| unknown_client(&self.client))?;
        let client = self.client.to_string();
        if let Some(at_ns) = known.forgotten_ns {
            return Err(StoreError::Forgotten { client, at_ns }.into());
        }
        // Waits for a commit of these sessions in progress, as any change of their rows does.
        let found = open(db, &[(self, known.number)]).await?;
        let Some(states) = self.states(&found) else {
            return Err(foreign(db, self, known.number).await?);
        };
        db.batch_execute("COMMIT").await?;
        Ok(states)
    }

    async fn together(
        db: &Client,
        openings: &[Arc<Self>],
    ) -> Result<Vec<Option<Vec<SessionState>>>, Failure> {
        let alone = must_wait(db, openings).await?;
        let mut asked = HashSet::new();
        let mut is_fit = |it: &Self| {
            !alone.contains(it.client.as_str()) && it.sessions().keys().all(|it| asked.insert(*it))
        };
        let fit: Vec<&Self> = openings.iter().map(|it| &**it).filter(|it| is_fit(it)).collect();
        let introduced = introduce(db, &fit).await?;
        let known = fit.iter().filter_map(|it| {
            let known = introduced.get(&it.client).filter(|it| it.forgotten_ns.is_none())?;
            Some((*it, known.number))
        });
        let fit: Vec<(&Self, i32)> = known.collect();
        let found = open(db, &fit).await?;
        // Another collector was faster with a session of the same id.
        let raced = || Failure::Raced("a session belongs to another client by now".into());
        let mut opened = HashMap::new();
        for (opening, _) in fit {
            opened.insert(&opening.client, opening.states(&found).ok_or_else(raced)?);
        }
        db.batch_execute("COMMIT").await?;
        Ok(openings.iter().map(|it| opened.remove(&it.client)).collect())
    }
}

/// Begins the transaction of a group and locks the rows that are there. Returns the clients of which others
/// hold a row, those with a session of another client, and those that an operator has forgotten.
async fn must_wait(db: &Client, openings: &[Arc<Opening>]) -> Result<HashSet<String>, Failure> {
    let clients: Vec<&str> = openings.iter().map(|it| it.client.as_str()).collect();
    let (mut sessions, mut of) = (Vec::new(), Vec::new());
    for opening in openings {
        for session in opening.sessions().into_keys() {
            sessions.push(session.to_column());
            of.push(opening.client.as_str());
        }
    }
    // A commit may hold sessions and want their clients.
    let select = "
        WITH free AS MATERIALIZED (
            SELECT id FROM clients WHERE client_id = ANY ($1) AND forgotten_at IS NULL
            FOR NO KEY UPDATE SKIP LOCKED
        ), idle AS MATERIALIZED (
            SELECT session FROM sessions WHERE session = ANY ($2) FOR NO KEY UPDATE SKIP LOCKED
        )
        SELECT client_id FROM clients WHERE client_id = ANY ($1) AND id NOT IN (SELECT id FROM free)
        UNION ALL
        SELECT asked.client_id FROM unnest($2, $3) AS asked (session, client_id)
            JOIN sessions USING (session) JOIN clients AS owners ON owners.id = sessions.client
        WHERE owners.client_id <> asked.client_id OR session NOT IN (SELECT session FROM idle)";
    let values = [
        (&clients as _, Type::TEXT_ARRAY),
        (&sessions as _, Type::INT8_ARRAY),
        (&of as _, Type::TEXT_ARRAY),
    ];
    let begin = format!("{BEGIN}{IMPATIENT}");
    let rows = begin_with(db, &begin, db.query_typed(select, &values)).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// A client as it is known now.
struct IntroducedClient {
    number: i32,
    forgotten_ns: Option<WallNs>,
}

/// Registers clients.
async fn introduce(
    db: &Client,
    openings: &[&Opening],
) -> Result<HashMap<ClientId, IntroducedClient>, Failure> {
    // In one order, so that two collectors don't wait for each other.
    let insert = "
        INSERT INTO clients (client_id, alias, created_at, last_seen_at, agent_version, os, kernel, cpus,
            sample_interval_ns)
        SELECT client_id, alias, at, at, agent_version, os, kernel, cpus, sample_interval_ns
        FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) AS new (client_id, alias, at, agent_version, os,
            kernel, cpus, sample_interval_ns)
        ORDER BY client_id COLLATE \"C\"
        ON CONFLICT (client_id) DO UPDATE SET alias = excluded.alias,
            last_seen_at = excluded.last_seen_at,
            agent_version = excluded.agent_version, os = excluded.os,
            kernel = excluded.kernel, cpus = excluded.cpus,
            sample_interval_ns = excluded.sample_interval_ns
        RETURNING client_id, id, forgotten_at";
    let texts = |of: fn(&Opening) -> &str| -> Vec<String> {
        openings.iter().map(|it| text(of(it))).collect()
    };
    let hosts = || openings.iter().map(|it| &it.hello.host);
    let values: [(&(dyn ToSql + Sync), Type); 8] = [
        (&texts(|it| it.client.as_str()), Type::TEXT_ARRAY),
        (&texts(|it| &it.hello.alias), Type::TEXT_ARRAY),
        (&openings.iter().map(|it| time(it.now_ns)).collect::<Vec<_>>(), Type::TIMESTAMPTZ_ARRAY),
        (&texts(|it| &it.hello.host.agent_version), Type::TEXT_ARRAY),
        (&texts(|it| &it.hello.host.os), Type::TEXT_ARRAY),
        (&texts(|it| &it.hello.host.kernel), Type::TEXT_ARRAY),
        (&hosts().map(|it| i64::from(it.cpus)).collect::<Vec<_>>(), Type::INT8_ARRAY),
        (
            &hosts().map(|it| it.sample_interval_ns.cast_signed()).collect::<Vec<_>>(),
            Type::INT8_ARRAY,
        ),
    ];
    let rows = db.query_typed(insert, &values).await?;
    let mut known = HashMap::new();
    for row in rows {
        let forgotten_ns = row.try_get::<_, Option<_>>(2)?.map(time_ns);
        // The row of one of these clients.
        if let Ok(client) = ClientId::new(row.try_get(0)?) {
            known.insert(client, IntroducedClient { number: row.try_get(1)?, forgotten_ns });
        }
    }
    Ok(known)
}

/// Opens the sessions of clients with these numbers. Those of other clients are left out.
async fn open(
    db: &Client,
    openings: &[(&Opening, i32)],
) -> Result<HashMap<SessionId, SessionState>, Failure> {
    let (mut keys, mut clients, mut starts, mut times) = (vec![], vec![], vec![], vec![]);
    for (opening, number) in openings {
        for (session, started_ns) in opening.sessions() {
            keys.push(session.to_column());
            clients.push(*number);
            starts.push(time(started_ns));
            times.push(time(opening.now_ns));
        }
    }
    let insert = "
        INSERT INTO sessions (session, client, started, epoch, committed_at)
        SELECT session, client, started, 1, at
        FROM unnest($1, $2, $3, $4) AS new (session, client, started, at)
        ORDER BY session
        ON CONFLICT (session) DO UPDATE SET epoch = sessions.epoch + 1
            WHERE sessions.client = excluded.client
        RETURNING session, committed_seq, epoch,
            CASE WHEN digest_seq = committed_seq THEN committed_digest END";
    let values: [(&(dyn ToSql + Sync), Type); 4] = [
        (&keys, Type::INT8_ARRAY),
        (&clients, Type::INT4_ARRAY),
        (&starts, Type::TIMESTAMPTZ_ARRAY),
        (&times, Type::TIMESTAMPTZ_ARRAY),
    ];
    by_session(&db.query_typed(insert, &values).await?)
}

/// The owner of a session that a client asked to open.
async fn foreign(db: &Client, opening: &Opening, number: i32) -> Result<Failure, Failure> {
    let keys: Vec<i64> = opening.sessions().into_keys().map(SessionId::to_column).collect();
    let row = db
        .query_typed_one(
            "SELECT session, client_id FROM sessions JOIN clients ON clients.id = client
             WHERE session = ANY ($1) AND client <> $2 ORDER BY session LIMIT 1",
            &[(&keys, Type::INT8_ARRAY), (&number, Type::INT4)],
        )
        .await?;
    let session = SessionId::of_column(row.try_get(0)?);
    let (owner, client) = (row.try_get(1)?, opening.client.to_string());
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
    let found = by_session(&rows)?;
    Ok(sessions.iter().filter_map(|session| found.get(session).copied()).collect())
}

/// Rows of session, committed number, epoch and digest.
fn by_session(rows: &[Row]) -> Result<HashMap<SessionId, SessionState>, Failure> {
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
    Ok(found)
}

/// How far an agent's clock is ahead in a session.
#[derive(Debug)]
pub(super) struct ClockReading {
    pub session: SessionId,
    pub offset_ns: i64,
}

impl GroupWrite for ClockReading {
    type Key = SessionId;
    type Done = ();

    fn key(&self) -> &SessionId {
        &self.session
    }

    async fn alone(&self, db: &Client) -> Result<(), Failure> {
        let update = "UPDATE sessions SET clock_offset_ns = $2 WHERE session = $1";
        let values =
            [(&self.session.to_column() as _, Type::INT8), (&self.offset_ns as _, Type::INT8)];
        db.execute_typed(update, &values).await?;
        Ok(())
    }

    /// Those whose sessions no commit holds.
    async fn together(db: &Client, readings: &[Arc<Self>]) -> Result<Vec<Option<()>>, Failure> {
        let update = "
            UPDATE sessions SET clock_offset_ns = new.offset_ns FROM (
                SELECT session, offset_ns
                FROM sessions JOIN unnest($1, $2) AS told (session, offset_ns) USING (session)
                FOR NO KEY UPDATE OF sessions SKIP LOCKED) AS new
            WHERE sessions.session = new.session RETURNING sessions.session";
        let keys: Vec<i64> = readings.iter().map(|it| it.session.to_column()).collect();
        let offsets: Vec<i64> = readings.iter().map(|it| it.offset_ns).collect();
        let values = [(&keys as _, Type::INT8_ARRAY), (&offsets as _, Type::INT8_ARRAY)];
        let rows = db.query_typed(update, &values).await?;
        let done = rows.iter().map(|row| row.try_get(0)).collect::<Result<HashSet<i64>, _>>()?;
        Ok(keys.iter().map(|key| done.contains(key).then_some(())).collect())
    }
}

pub(super) fn unknown_client(client: &ClientId) -> Failure {
    Failure::refused(format!("client {client} has opened no session"))
}
