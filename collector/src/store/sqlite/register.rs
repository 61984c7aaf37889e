//! The register of clients, also beside a running collector.

use std::fmt::Debug;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use wire::WallNs;
use wire::id::ClientId;

use super::enrolled;
use super::error::Failure;
use super::lease::{Reads, Writes};
use super::number::{bounded, number};
use super::tables::stored::{STEP_ROWS, Stored, stored};
use super::tags;
use crate::identity::Revocation;
use crate::store::port::error::StoreError;
use crate::store::port::register::{Forget, Register};
use crate::store::rows::clients::{Registered, StoredRevocation};
use crate::store::rows::nics::NicId;
use crate::store::rows::tables::timed;

#[async_trait]
impl<T: Reads + Send + Sync + Debug> Register for T {
    async fn registered(&self) -> Result<Vec<Registered>, StoreError> {
        self.readers().lease(|db| registered(db)).await
    }

    async fn revocations(&self, after: u64) -> Result<Vec<StoredRevocation>, StoreError> {
        self.readers().lease(move |db| revocations(db, after)).await
    }
}

#[async_trait]
impl<T: Writes + Send + Sync + Debug> Forget for T {
    async fn forget(&self, client: &ClientId, now_ns: WallNs) -> Result<(), StoreError> {
        let client = client.clone();
        self.writer().lease(move |db| forget(db, &client, now_ns)).await
    }

    async fn keep_revocation(
        &self,
        client: &ClientId,
        revocation: &Revocation,
    ) -> Result<(), StoreError> {
        let (client, revocation) = (client.clone(), revocation.clone());
        self.writer().lease(move |db| keep_revocation(db, &client, &revocation)).await
    }

    async fn readmit(&self, client: &ClientId) -> Result<(), StoreError> {
        let client = client.clone();
        self.writer().lease(move |db| readmit(db, &client)).await
    }

    async fn purge(&self, client: &ClientId) -> Result<u64, StoreError> {
        let mut rows = 0;
        loop {
            let client = client.clone();
            match self.writer().lease(move |db| purge_some(db, &client)).await? {
                0 => return Ok(rows),
                some => rows += some,
            }
        }
    }
}

fn registered(db: &Connection) -> Result<Vec<Registered>, Failure> {
    let mut select =
        db.prepare_cached("SELECT client_id, alias, last_seen_at, forgotten_at FROM clients")?;
    let rows = select.query_map([], |row| {
        Ok(Registered {
            client: row.get(0)?,
            alias: row.get(1)?,
            last_seen_ns: WallNs::of_column(row.get(2)?),
            forgotten_ns: row.get::<_, Option<i64>>(3)?.map(WallNs::of_column),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn revocations(db: &Connection, after: u64) -> Result<Vec<StoredRevocation>, Failure> {
    let mut select = db.prepare_cached(
        "SELECT client_id, generation, revoked_at, forgotten, replaced, change
         FROM revocations WHERE change > ?1 OR ?1 > (SELECT max(change) FROM revocations)
         ORDER BY change",
    )?;
    let rows = select.query_map([bounded(after)], |row| {
        Ok(StoredRevocation {
            client: row.get(0)?,
            revocation: Revocation {
                generation: number(row, 1)?,
                revoked_at: number(row, 2)?,
                forgotten: row.get(3)?,
                replaced: row.get(4)?,
            },
            change: number(row, 5)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn keep_revocation(
    db: &Connection,
    client: &ClientId,
    revocation: &Revocation,
) -> Result<(), Failure> {
    let Revocation { generation, revoked_at, forgotten, replaced } = *revocation;
    db.execute(
        "INSERT INTO revocations
         SELECT ?1, ?2, ?3, ?4, ?5, coalesce(max(change), 0) + 1 FROM revocations WHERE true
         ON CONFLICT (client_id) DO UPDATE SET generation = excluded.generation,
             revoked_at = excluded.revoked_at, forgotten = excluded.forgotten,
             replaced = excluded.replaced, change = excluded.change
         WHERE revocations.generation < excluded.generation",
        params![client.as_str(), bounded(generation), bounded(revoked_at), forgotten, replaced],
    )?;
    Ok(())
}

fn forget(db: &mut Connection, client: &ClientId, now_ns: WallNs) -> Result<(), Failure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    enrolled::give_back(&transaction, client)?;
    let id = transaction.query_row(
        "INSERT INTO clients (client_id, alias, created_at, last_seen_at, agent_version, os,
             kernel, cpus, sample_interval_ns, forgotten_at)
         VALUES (?1, '', ?2, 0, '', '', '', 0, 0, ?2)
         ON CONFLICT (client_id) DO UPDATE SET forgotten_at = excluded.forgotten_at RETURNING id",
        params![client.as_str(), now_ns.to_column()],
        |row| row.get(0),
    )?;
    tags::forget(&transaction, id, now_ns)?;
    transaction.commit()?;
    Ok(())
}

fn readmit(db: &Connection, client: &ClientId) -> Result<(), Failure> {
    db.execute("UPDATE clients SET forgotten_at = NULL WHERE client_id = ?1", [client.as_str()])?;
    Ok(())
}

/// Deletes some rows of a client; returns their number, 0 once there are none. Its sessions go first,
/// so that a collector's pending commits for them are refused.
fn purge_some(db: &mut Connection, client: &ClientId) -> Result<u64, Failure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let id = "SELECT id FROM clients WHERE client_id = ?1";
    let id: Option<i64> =
        transaction.query_row(id, [client.as_str()], |row| row.get(0)).optional()?;
    let Some(id) = id else { return Ok(0) };
    let mut rows = 0;
    let session = "SELECT session FROM sessions WHERE client = ?1 LIMIT 1";
    let session: Option<i64> = transaction.query_row(session, [id], |row| row.get(0)).optional()?;
    if let Some(session) = session {
        for table in ["gaps", "session_nics", "quarantine", "sessions"] {
            let delete = format!("DELETE FROM {table} WHERE session = ?1");
            rows += transaction.execute(&delete, [session])?;
        }
    }
    // One NIC after the other, in the order of the rows.
    let nics = {
        let mut select = transaction.prepare_cached("SELECT id FROM nics WHERE client = ?1")?;
        let nics = select.query_map([id], |row| row.get::<_, NicId>(0))?;
        nics.collect::<rusqlite::Result<Vec<_>>>()?
    };
    'some: for Stored { name: table, step_rows, .. } in stored(timed()) {
        for nic in &nics {
            if rows > 0 {
                break 'some;
            }
            rows += transaction
                .prepare_cached(&format!(
                    "DELETE FROM {table} WHERE client = ?1 AND nic = ?2 AND time <= coalesce(
                         (SELECT time FROM {table} WHERE client = ?1 AND nic = ?2
                          ORDER BY time LIMIT 1 OFFSET ?3), 9223372036854775807)"
                ))?
                .execute(params![id, nic, step_rows - 1])?;
        }
    }
    for table in ["tag_intervals", "talker_owners", "client_days"] {
        if rows == 0 {
            rows += transaction.execute(&format!("DELETE FROM {table} WHERE client = ?1"), [id])?;
        }
    }
    if rows == 0 {
        rows += transaction.execute(
            "DELETE FROM nics WHERE id IN (SELECT id FROM nics WHERE client = ?1 LIMIT ?2)",
            [id, STEP_ROWS],
        )?;
    }
    transaction.commit()?;
    Ok(rows as u64)
}
