//! Client ids in use.

use async_trait::async_trait;
use rustls::pki_types::UnixTime;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};
use wire::WallNs;
use wire::id::ClientId;

use super::error::Failure;
use super::session::time;
use super::store::PostgresStore;
use crate::identity::{ClientIds, UsesError};

#[async_trait]
impl ClientIds for PostgresStore {
    async fn take_id(&self, client: &ClientId, now: UnixTime) -> Result<bool, UsesError> {
        Ok(self.lease(async |db| take(db, client, now).await).await?)
    }

    async fn give_back_id(&self, client: &ClientId) -> Result<(), UsesError> {
        Ok(self.lease(async |db| give_back(db, client).await).await?)
    }

    async fn has_id(&self, client: &ClientId) -> Result<bool, UsesError> {
        Ok(self.lease(async |db| has(db, client).await).await?)
    }
}

async fn take(db: &Client, client: &ClientId, now: UnixTime) -> Result<bool, Failure> {
    // Two collectors that take the same id at the same time wait for each other at its row.
    let insert = "INSERT INTO enrolled (client_id, enrolled_at)
                  SELECT $1, $2 WHERE NOT EXISTS (
                      SELECT 1 FROM clients WHERE client_id = $1 AND forgotten_at IS NULL)
                  ON CONFLICT (client_id) DO NOTHING";
    let now = time(WallNs(now.as_secs().saturating_mul(1_000_000_000)));
    let values: [(&(dyn ToSql + Sync), Type); 2] =
        [(&client.as_str(), Type::TEXT), (&now, Type::TIMESTAMPTZ)];
    Ok(db.execute_typed(insert, &values).await? == 1)
}

async fn give_back(db: &Client, client: &ClientId) -> Result<(), Failure> {
    let delete = "DELETE FROM enrolled WHERE client_id = $1";
    db.execute_typed(delete, &[(&client.as_str(), Type::TEXT)]).await?;
    Ok(())
}

async fn has(db: &Client, client: &ClientId) -> Result<bool, Failure> {
    let select = "SELECT EXISTS (SELECT 1 FROM enrolled WHERE client_id = $1)
                  OR EXISTS (SELECT 1 FROM clients WHERE client_id = $1
                             AND forgotten_at IS NULL)";
    let row = db.query_typed_one(select, &[(&client.as_str(), Type::TEXT)]).await?;
    Ok(row.try_get(0)?)
}
