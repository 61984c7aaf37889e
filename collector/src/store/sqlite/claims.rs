//! Second hosts. Claims need no table, because a single collector uses the file.

use async_trait::async_trait;
use rusqlite::{Connection, params};
use wire::WallNs;
use wire::id::ClientId;

use super::error::Failure;
use super::lease::{Reads, Writes};
use super::store::{SqliteReader, SqliteStore};
use crate::store::port::claims::{Claims, SecondHosts};
use crate::store::port::error::StoreError;
use crate::store::rows::claims::SecondHostRecord;

#[async_trait]
impl Claims for SqliteStore {
    async fn note_second_host(&self, second: &SecondHostRecord) -> Result<(), StoreError> {
        let second = second.clone();
        self.writer().lease(move |db| note(db, &second)).await
    }

    async fn forget_second_host(&self, client: &ClientId) -> Result<(), StoreError> {
        let client = client.clone();
        self.writer()
            .lease(move |db| {
                db.execute("DELETE FROM second_hosts WHERE client_id = ?1", [client.as_str()])?;
                Ok(())
            })
            .await
    }
}

#[async_trait]
impl SecondHosts for SqliteReader {
    async fn second_hosts(&self) -> Result<Vec<SecondHostRecord>, StoreError> {
        self.readers().lease(|db| second_hosts(db)).await
    }
}

#[async_trait]
impl SecondHosts for SqliteStore {
    async fn second_hosts(&self) -> Result<Vec<SecondHostRecord>, StoreError> {
        self.readers().lease(|db| second_hosts(db)).await
    }
}

fn note(db: &Connection, second: &SecondHostRecord) -> Result<(), Failure> {
    let SecondHostRecord { client, since_ns, told_ns, kept, refused, what } = second;
    db.execute(
        "INSERT INTO second_hosts (client_id, since, told_at, kept, refused, what)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (client_id) DO UPDATE SET
             since = CASE WHEN told_at >= ?7 THEN min(since, excluded.since)
                 ELSE excluded.since END,
             told_at = excluded.told_at, kept = excluded.kept, refused = excluded.refused,
             what = excluded.what",
        params![
            client,
            since_ns.to_column(),
            told_ns.to_column(),
            kept.to_string(),
            refused.to_string(),
            what,
            second.same_since_ns().to_column()
        ],
    )?;
    Ok(())
}

fn second_hosts(db: &Connection) -> Result<Vec<SecondHostRecord>, Failure> {
    let mut select = db.prepare_cached(
        "SELECT client_id, since, told_at, kept, refused, what FROM second_hosts",
    )?;
    let mut rows = select.query([])?;
    let mut known = Vec::new();
    while let Some(row) = rows.next()? {
        let address = |at| row.get::<_, String>(at).map(|text| text.parse());
        // A collector never writes an invalid address.
        let (Ok(kept), Ok(refused)) = (address(3)?, address(4)?) else { continue };
        let time = |at| row.get(at).map(WallNs::of_column);
        let (since_ns, told_ns) = (time(1)?, time(2)?);
        let (client, what) = (row.get(0)?, row.get(5)?);
        known.push(SecondHostRecord { client, since_ns, told_ns, kept, refused, what });
    }
    Ok(known)
}
