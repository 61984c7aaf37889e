//! The ids that clients have.

use async_trait::async_trait;
use rustls::pki_types::UnixTime;
use tokio_postgres::types::{ToSql, Type};
use wire::id::ClientId;

use super::PostgresStore;
use super::session::time;
use crate::identity::{ClientIds, UsesError};

#[async_trait]
impl ClientIds for PostgresStore {
    async fn take_id(&self, client: &ClientId, now: UnixTime) -> Result<bool, UsesError> {
        // Two collectors that take the same id at the same time wait for each other at its row.
        let insert = "INSERT INTO enrolled (client_id, enrolled_at)
                      SELECT $1, $2 WHERE NOT EXISTS (
                          SELECT FROM clients WHERE client_id = $1 AND forgotten_at IS NULL)
                      ON CONFLICT (client_id) DO NOTHING";
        let now = time(now.as_secs().saturating_mul(1_000_000_000));
        let take = async {
            let lease = self.database.lease().await?;
            let values: [(&(dyn ToSql + Sync), Type); 2] =
                [(&client.as_str(), Type::TEXT), (&now, Type::TIMESTAMPTZ)];
            let taken = lease.execute_typed(insert, &values).await?;
            lease.give_back();
            Ok(taken == 1)
        };
        Ok(self.told(take.await)?)
    }

    async fn give_back_id(&self, client: &ClientId) -> Result<(), UsesError> {
        let give_back = async {
            let lease = self.database.lease().await?;
            let delete = "DELETE FROM enrolled WHERE client_id = $1";
            lease.execute_typed(delete, &[(&client.as_str(), Type::TEXT)]).await?;
            lease.give_back();
            Ok(())
        };
        Ok(self.told(give_back.await)?)
    }

    async fn has_id(&self, client: &ClientId) -> Result<bool, UsesError> {
        let select = "SELECT EXISTS (SELECT FROM enrolled WHERE client_id = $1)
                      OR EXISTS (SELECT FROM clients WHERE client_id = $1
                                 AND forgotten_at IS NULL)";
        let has = async {
            let lease = self.database.lease().await?;
            let row = lease.query_typed_one(select, &[(&client.as_str(), Type::TEXT)]).await?;
            lease.give_back();
            Ok(row.try_get(0)?)
        };
        Ok(self.told(has.await)?)
    }
}
