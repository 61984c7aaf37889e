//! The register of clients.

use async_trait::async_trait;
use tokio_postgres::Client;
use tokio_postgres::types::Type;
use wire::WallNs;
use wire::id::ClientId;

use super::connect::BEGIN;
use super::error::Failure;
use super::number::bounded;
use super::partition::Table;
use super::session::{time, time_ns};
use super::store::PostgresStore;
use super::tags;
use super::values::{instant, number};
use crate::identity::Revocation;
use crate::store::port::error::StoreError;
use crate::store::port::register::{Forget, Register};
use crate::store::rows::clients::{Registered, StoredRevocation};

#[async_trait]
impl Register for PostgresStore {
    async fn registered(&self) -> Result<Vec<Registered>, StoreError> {
        self.lease(async |db| registered(db).await).await
    }

    async fn revocations(&self, after: u64) -> Result<Vec<StoredRevocation>, StoreError> {
        self.lease(async |db| revocations(db, after).await).await
    }
}

#[async_trait]
impl Forget for PostgresStore {
    async fn forget(&self, client: &ClientId, now_ns: WallNs) -> Result<(), StoreError> {
        self.lease(async |db| forget(db, client, now_ns).await).await
    }

    async fn keep_revocation(
        &self,
        client: &ClientId,
        revocation: &Revocation,
    ) -> Result<(), StoreError> {
        self.lease(async |db| keep_revocation(db, client, revocation).await).await
    }

    async fn readmit(&self, client: &ClientId) -> Result<(), StoreError> {
        self.lease(async |db| readmit(db, client).await).await
    }

    async fn purge(&self, client: &ClientId) -> Result<u64, StoreError> {
        self.lease(async |db| purge(db, client).await).await
    }
}

async fn registered(client: &Client) -> Result<Vec<Registered>, Failure> {
    let select = "SELECT client_id, alias, last_seen_at, forgotten_at FROM clients";
    let mut clients = Vec::new();
    for row in client.query_typed(select, &[]).await? {
        clients.push(Registered {
            client: row.try_get(0)?,
            alias: row.try_get(1)?,
            last_seen_ns: instant(&row, 2)?,
            forgotten_ns: row.try_get::<_, Option<_>>(3)?.map(time_ns),
        });
    }
    Ok(clients)
}

async fn revocations(client: &Client, after: u64) -> Result<Vec<StoredRevocation>, Failure> {
    let select = "SELECT client_id, generation, revoked_at, forgotten, replaced, change
                  FROM revocations WHERE change > $1 OR $1 > (SELECT max(change) FROM revocations)
                  ORDER BY change";
    let mut revocations = Vec::new();
    for row in client.query_typed(select, &[(&bounded(after), Type::INT8)]).await? {
        revocations.push(StoredRevocation {
            client: row.try_get(0)?,
            revocation: Revocation {
                generation: number(&row, 1)?,
                revoked_at: number(&row, 2)?,
                forgotten: row.try_get(3)?,
                replaced: row.try_get(4)?,
            },
            change: number(&row, 5)?,
        });
    }
    Ok(revocations)
}

async fn keep_revocation(
    client: &Client,
    id: &ClientId,
    revocation: &Revocation,
) -> Result<(), Failure> {
    // One at a time, so that no change is committed with a lower number than one already read.
    let lock = format!("{BEGIN}; LOCK TABLE revocations IN SHARE ROW EXCLUSIVE MODE");
    client.batch_execute(&lock).await?;
    let Revocation { generation, revoked_at, forgotten, replaced } = revocation;
    client
        .execute_typed(
            "INSERT INTO revocations
             SELECT $1, $2, $3, $4, $5, coalesce(max(change), 0) + 1 FROM revocations
             ON CONFLICT (client_id) DO UPDATE SET generation = excluded.generation,
                 revoked_at = excluded.revoked_at, forgotten = excluded.forgotten,
                 replaced = excluded.replaced, change = excluded.change
             WHERE revocations.generation < excluded.generation",
            &[
                (&id.as_str(), Type::TEXT),
                (&bounded(*generation), Type::INT8),
                (&bounded(*revoked_at), Type::INT8),
                (forgotten, Type::BOOL),
                (replaced, Type::BOOL),
            ],
        )
        .await?;
    client.batch_execute("COMMIT").await?;
    Ok(())
}

async fn forget(client: &Client, id: &ClientId, now_ns: WallNs) -> Result<(), Failure> {
    client.batch_execute(BEGIN).await?;
    let row = client
        .query_typed_one(
            "WITH gone AS (DELETE FROM enrolled WHERE client_id = $1),
                 place AS (DELETE FROM claims WHERE client_id = $1)
             INSERT INTO clients (client_id, alias, created_at, last_seen_at, agent_version, os,
                 kernel, cpus, sample_interval_ns, forgotten_at)
             VALUES ($1, '', $2, 'epoch', '', '', '', 0, 0, $2)
             ON CONFLICT (client_id) DO UPDATE SET forgotten_at = excluded.forgotten_at
             RETURNING id",
            &[(&id.as_str(), Type::TEXT), (&time(now_ns), Type::TIMESTAMPTZ)],
        )
        .await?;
    tags::forget(client, row.try_get(0)?, now_ns).await?;
    client.batch_execute("COMMIT").await?;
    Ok(())
}

async fn readmit(client: &Client, id: &ClientId) -> Result<(), Failure> {
    let update = "UPDATE clients SET forgotten_at = NULL WHERE client_id = $1";
    client.execute_typed(update, &[(&id.as_str(), Type::TEXT)]).await?;
    Ok(())
}

/// Deletes all rows of a client. Its sessions go first, so that collectors' pending commits for them
/// are refused.
async fn purge(client: &Client, id: &ClientId) -> Result<u64, Failure> {
    let select = "SELECT id FROM clients WHERE client_id = $1";
    let found = client.query_typed(select, &[(&id.as_str(), Type::TEXT)]).await?;
    let Some(row) = found.first() else { return Ok(0) };
    let number: i32 = row.try_get(0)?;
    let mut rows = 0;
    let select = "SELECT session FROM sessions WHERE client = $1";
    for row in client.query_typed(select, &[(&number, Type::INT4)]).await? {
        let session: i64 = row.try_get(0)?;
        let deletes = ["gaps", "session_nics", "quarantine", "sessions"]
            .map(|table| format!("DELETE FROM {table} WHERE session = {session}"));
        rows += delete(client, &deletes).await?;
    }
    let others = ["link_changes", "tag_intervals", "talker_owners", "client_days"];
    for table in Table::ALL.map(Table::name).into_iter().chain(others) {
        rows += delete(client, &[format!("DELETE FROM {table} WHERE client = {number}")]).await?;
    }
    // Last, because the others refer to them.
    rows += delete(client, &[format!("DELETE FROM nics WHERE client = {number}")]).await?;
    Ok(rows)
}

/// Runs statements in one transaction; returns the number of deleted rows.
async fn delete(client: &Client, statements: &[String]) -> Result<u64, Failure> {
    client.batch_execute(&format!("{BEGIN}; SET LOCAL statement_timeout = 0")).await?;
    let mut rows = 0;
    for statement in statements {
        rows += client.execute_typed(statement, &[]).await?;
    }
    client.batch_execute("COMMIT").await?;
    Ok(rows)
}
