//! Client ids in use, also beside a running collector.

use std::fmt::Debug;

use async_trait::async_trait;
use rusqlite::{Connection, params};
use rustls::pki_types::UnixTime;
use wire::id::ClientId;

use super::error::Failure;
use super::lease::Writes;
use super::number::int;
use crate::identity::{ClientIds, UsesError};

#[async_trait]
impl<T: Writes + Send + Sync + Debug> ClientIds for T {
    async fn take_id(&self, client: &ClientId, now: UnixTime) -> Result<bool, UsesError> {
        let client = client.clone();
        let now_ns = now.as_secs().saturating_mul(1_000_000_000).min(i64::MAX as u64);
        Ok(self.writer().lease(move |db| take(db, &client, int(now_ns)?)).await?)
    }

    async fn give_back_id(&self, client: &ClientId) -> Result<(), UsesError> {
        let client = client.clone();
        Ok(self.writer().lease(move |db| give_back(db, &client)).await?)
    }

    async fn has_id(&self, client: &ClientId) -> Result<bool, UsesError> {
        let client = client.clone();
        Ok(self.writer().lease(move |db| has(db, &client)).await?)
    }
}

fn take(db: &Connection, client: &ClientId, now: i64) -> Result<bool, Failure> {
    let taken = db.execute(
        "INSERT INTO enrolled (client_id, enrolled_at)
         SELECT ?1, ?2 WHERE NOT EXISTS (
             SELECT 1 FROM clients WHERE client_id = ?1 AND forgotten_at IS NULL)
         ON CONFLICT (client_id) DO NOTHING",
        params![client.as_str(), now],
    )?;
    Ok(taken == 1)
}

/// Releases the id again, if the client never connected.
pub(super) fn give_back(db: &Connection, client: &ClientId) -> Result<(), Failure> {
    db.execute("DELETE FROM enrolled WHERE client_id = ?1", [client.as_str()])?;
    Ok(())
}

fn has(db: &Connection, client: &ClientId) -> Result<bool, Failure> {
    let select = "SELECT EXISTS (SELECT 1 FROM enrolled WHERE client_id = ?1)
                  OR EXISTS (SELECT 1 FROM clients WHERE client_id = ?1 AND forgotten_at IS NULL)";
    Ok(db.query_row(select, [client.as_str()], |row| row.get(0))?)
}
