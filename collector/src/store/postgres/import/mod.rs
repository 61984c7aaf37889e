//! Moving an embedded store into PostgreSQL, client by client, each in one transaction: a move that
//! was broken off goes on where it was, and one that is repeated changes nothing.

mod columns;
mod rows;
mod sums;

use std::collections::HashMap;
use std::sync::Arc;

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use self::columns::Columns;
pub use self::sums::TableSums;
use super::commit::add_rollups;
use super::connect::BEGIN;
use super::error::Failure;
use super::partition::{self, Table};
use super::{PostgresStore, now_ns};
use crate::store::StoreError;
use crate::store::sqlite::Dump;

/// A client of the embedded store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its number there.
    id: i64,
    /// Its id.
    pub client: String,
}

/// What came of a client's move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// All of it was copied: so many rows.
    Now(u64),
    /// It was all there already.
    Before,
}

/// The tables that are copied row by row, in an order that references allow, and which of their
/// rows belong to a client.
const TABLES: [Copied; 9] = [
    Copied { table: "sessions", of: "client = ?1" },
    Copied { table: "session_nics", of: OF_SESSIONS },
    Copied { table: "bandwidth_stats", of: "client = ?1" },
    Copied { table: "traffic_mix", of: "client = ?1" },
    Copied { table: "gaps", of: "client = ?1" },
    Copied { table: "link_changes", of: "client = ?1" },
    Copied { table: "quarantine", of: OF_SESSIONS },
    Copied { table: "bandwidth_1m", of: "client = ?1" },
    Copied { table: "bandwidth_5m", of: "client = ?1" },
];

const OF_SESSIONS: &str = "session IN (SELECT session FROM sessions WHERE client = ?1)";

#[derive(Debug, Clone, Copy)]
struct Copied {
    table: &'static str,
    of: &'static str,
}

impl Copied {
    /// Whether rows of it may be there already, to be added to.
    fn is_rollup(self) -> bool {
        [Table::Minutes, Table::FiveMinutes].iter().any(|table| table.name() == self.table)
    }
}

/// Numbers of a client and its NICs, by those they have in the file.
#[derive(Debug, Clone)]
struct Numbers {
    client: i32,
    nics: HashMap<i64, i32>,
}

impl PostgresStore {
    /// The clients of a file, by id.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if it can't be read.
    pub fn sources(&self, dump: &Dump) -> Result<Vec<Source>, StoreError> {
        let mut sources = Vec::new();
        let read = dump.rows("SELECT id, client_id FROM clients ORDER BY client_id", None, |row| {
            sources.push(Source { id: row.get(0)?, client: row.get(1)? });
            Ok::<_, Failure>(())
        });
        self.told(read.map(|()| sources))
    }

    /// Moves a client with all that belongs to it, or nothing of it.
    ///
    /// # Errors
    /// [`StoreError::Failed`] says what is in the way.
    pub async fn import(&self, dump: &Arc<Dump>, source: &Source) -> Result<Moved, StoreError> {
        self.told(self.move_client(dump, source).await)
    }

    async fn move_client(&self, dump: &Arc<Dump>, source: &Source) -> Result<Moved, Failure> {
        let lease = self.database.lease().await?;
        for partition in rows::partitions(dump, source)? {
            partition::make(&lease, partition).await?;
        }
        let begin = format!("{BEGIN}; SET LOCAL statement_timeout = 0");
        lease.batch_execute(&begin).await?;
        let moved = if is_there(&lease, dump, source).await? {
            Moved::Before
        } else {
            Moved::Now(copy(&lease, dump, source).await?)
        };
        lease.batch_execute("COMMIT").await?;
        lease.give_back();
        self.database.make_partitions(partition::ahead(now_ns())).await?;
        Ok(moved)
    }
}

/// Whether a client was moved before. Sessions that the database knows from elsewhere are refused.
async fn is_there(client: &Client, dump: &Dump, source: &Source) -> Result<bool, Failure> {
    let here = rows::sessions(dump, source)?;
    if here.is_empty() {
        let select = "SELECT id FROM clients WHERE client_id = $1";
        return Ok(client
            .query_typed_opt(select, &[(&source.client, Type::TEXT)])
            .await?
            .is_some());
    }
    let sessions: Vec<i64> = here.iter().map(|(session, _)| *session).collect();
    let select = "SELECT session, committed_seq FROM sessions WHERE session = ANY ($1)";
    let mut there = HashMap::new();
    for row in client.query_typed(select, &[(&sessions, Type::INT8_ARRAY)]).await? {
        there.insert(row.try_get::<_, i64>(0)?, row.try_get::<_, i64>(1)?);
    }
    if there.is_empty() {
        return Ok(false);
    }
    let committed = |session| there.get(session).copied().unwrap_or(0);
    let behind = here.iter().filter(|(session, here)| committed(session) < *here);
    // One that has begun there tells more than one that is missing.
    if let Some((session, here)) = behind.min_by_key(|(session, _)| !there.contains_key(session)) {
        return Err(Failure::Failed(format!(
            "client {}, session {:016x}: an agent has begun it anew there ({} of {here} sequence \
             numbers); import into a database that no agent has reached yet",
            source.client,
            session.cast_unsigned(),
            committed(session)
        )));
    }
    Ok(true)
}

/// Copies all that belongs to a client; gives the number of rows.
async fn copy(client: &Client, dump: &Arc<Dump>, source: &Source) -> Result<u64, Failure> {
    let numbers = rows::introduce(client, dump, source).await?;
    let mut copied = 0;
    for table in TABLES {
        let columns = Columns::of(client, dump, table.table).await?;
        let select = format!("SELECT {} FROM {} WHERE {}", columns.list(), table.table, table.of);
        if !table.is_rollup() {
            copied +=
                rows::copy(client, dump, &select, &columns, table.table, source, &numbers).await?;
            continue;
        }
        let into = format!("imported_{}", table.table);
        let make = format!("CREATE TEMPORARY TABLE {into} (LIKE {}) ON COMMIT DROP", table.table);
        client.batch_execute(&make).await?;
        copied += rows::copy(client, dump, &select, &columns, &into, source, &numbers).await?;
        let names = columns.names().filter(|name| !["time", "client", "nic"].contains(name));
        let names: Vec<&str> = names.collect();
        let rows = format!(
            "SELECT time, client, nic, {} FROM {into} ORDER BY client, nic, time",
            names.join(", ")
        );
        client.batch_execute(&add_rollups(table.table, &names, &rows)).await?;
        client.batch_execute(&format!("DROP TABLE {into}")).await?;
    }
    rows::keep_cut_offs(client, dump).await?;
    Ok(copied)
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(format!("the embedded store can't be read: {error}"))
    }
}
