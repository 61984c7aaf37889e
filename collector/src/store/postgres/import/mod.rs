//! Moves an embedded store into PostgreSQL, client by client, each in one transaction. An interrupted
//! move continues where it stopped, and a repeated one changes nothing.

mod accounts;
mod columns;
mod rows;
mod source;
mod sums;

use std::collections::HashMap;
use std::sync::Arc;

use tokio_postgres::Client;
use tokio_postgres::types::Type;
use wire::id::SessionId;

use self::columns::Columns;
pub use self::source::ImportSource;
use self::source::TABLES;
pub use self::sums::TableSums;
use super::connect::BEGIN;
use super::error::Failure;
use super::partition;
use super::store::PostgresStore;
use super::tables::{client_days, rollups};
use super::tags;
use crate::store::port::error::StoreError;
use crate::store::rows::tags::TagHistory;
use crate::store::sqlite::Dump;
use crate::time::now_ns;

/// The result of a client's move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// Copied this many rows.
    Now(u64),
    /// It had been moved before.
    Before,
}

impl PostgresStore {
    /// The clients of a file, by id.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if it can't be read.
    pub fn sources(&self, dump: &Dump) -> Result<Vec<ImportSource>, StoreError> {
        let mut sources = Vec::new();
        let read = dump.rows("SELECT id, client_id FROM clients ORDER BY client_id", None, |row| {
            sources.push(ImportSource { id: row.get(0)?, client: row.get(1)? });
            Ok::<_, Failure>(())
        });
        self.outcome(read.map(|()| sources))
    }

    /// Moves what is kept of accounts: statements, entries, warnings. Returns the number of new rows, and
    /// what the database has otherwise.
    ///
    /// # Errors
    /// [`StoreError::Failed`] names the obstacle.
    pub async fn import_accounts(
        &self,
        dump: &Arc<Dump>,
    ) -> Result<(u64, Vec<String>), StoreError> {
        self.lease(async |db| accounts::copy(db, dump).await).await
    }

    /// Moves a client completely or not at all.
    ///
    /// # Errors
    /// [`StoreError::Failed`] names the obstacle.
    pub async fn import(
        &self,
        dump: &Arc<Dump>,
        source: &ImportSource,
    ) -> Result<Moved, StoreError> {
        self.outcome(self.move_client(dump, source).await)
    }

    async fn move_client(&self, dump: &Arc<Dump>, source: &ImportSource) -> Result<Moved, Failure> {
        let moved = self.database.lease(async |db| move_client(db, dump, source).await).await?;
        self.database.make_partitions(partition::ahead(now_ns())).await?;
        Ok(moved)
    }
}

async fn move_client(
    client: &Client,
    dump: &Arc<Dump>,
    source: &ImportSource,
) -> Result<Moved, Failure> {
    for partition in rows::partitions(dump, source)? {
        partition::make(client, partition).await?;
    }
    let begin = format!("{BEGIN}; SET LOCAL statement_timeout = 0; {}", client_days::share());
    client.batch_execute(&begin).await?;
    let moved = if is_there(client, dump, source).await? {
        Moved::Before
    } else {
        Moved::Now(copy(client, dump, source).await?)
    };
    client.batch_execute("COMMIT").await?;
    Ok(moved)
}

/// True if a client was moved before. Fails if the database knows its sessions from elsewhere.
async fn is_there(client: &Client, dump: &Dump, source: &ImportSource) -> Result<bool, Failure> {
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
    // A session that has started there explains more than one that is missing.
    if let Some((session, here)) = behind.min_by_key(|(session, _)| !there.contains_key(session)) {
        return Err(Failure::failed(format!(
            "client {}, session {}: an agent has begun it anew there ({} of {here} sequence \
             numbers); import into a database that no agent has reached yet",
            source.client,
            SessionId::of_column(*session),
            committed(session)
        )));
    }
    Ok(true)
}

/// A client's tags in the file.
fn tag_history(dump: &Dump, source: &ImportSource) -> Result<TagHistory, Failure> {
    Ok(dump.tag_history(source.id)?)
}

/// Copies everything of a client; returns the number of rows.
async fn copy(client: &Client, dump: &Arc<Dump>, source: &ImportSource) -> Result<u64, Failure> {
    let numbers = rows::introduce(client, dump, source).await?;
    let mut copied = 0;
    for table in TABLES {
        let columns = Columns::of(client, dump, table.table).await?;
        let select = format!("SELECT {} FROM {} WHERE {}", columns.list(), table.table, table.of);
        if !table.is_rollup() {
            copied +=
                rows::copy(client, dump, &select, &columns, table.into(), source, &numbers).await?;
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
        client.batch_execute(&rollups::add_rows(table.table, &names, &rows)).await?;
        client.batch_execute(&format!("DROP TABLE {into}")).await?;
    }
    client_days::note_all(client, numbers.client).await?;
    tags::import(client, numbers.client, &tag_history(dump, source)?).await?;
    rows::keep_cut_offs(client, dump).await?;
    Ok(copied)
}
