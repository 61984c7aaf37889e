//! Uses of tokens.

use async_trait::async_trait;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::error::Failure;
use super::session::time;
use super::store::PostgresStore;
use crate::identity::{TokenUse, TokenUses, UsesError};

#[async_trait]
impl TokenUses for PostgresStore {
    async fn take(&self, of: &TokenUse) -> Result<bool, UsesError> {
        Ok(self.lease(async |db| take(db, of).await).await?)
    }

    async fn give_back(&self, token: &str) -> Result<(), UsesError> {
        Ok(self.lease(async |db| give_back(db, token).await).await?)
    }

    async fn use_up(&self, of: &TokenUse) -> Result<(), UsesError> {
        Ok(self.lease(async |db| use_up(db, of).await).await?)
    }

    async fn used(&self) -> Result<Vec<(String, u32)>, UsesError> {
        Ok(self.lease(async |db| used(db).await).await?)
    }
}

/// Two collectors that take the last use at the same time wait for each other at the row.
async fn take(client: &Client, of: &TokenUse) -> Result<bool, Failure> {
    let forgotten = time(of.forgotten_ns());
    let delete = "DELETE FROM token_uses WHERE expires_at < $1";
    client.execute_typed(delete, &[(&forgotten, Type::TIMESTAMPTZ)]).await?;
    let insert = "INSERT INTO token_uses (token, used, expires_at) VALUES ($1, 1, $3)
                  ON CONFLICT (token) DO UPDATE SET used = token_uses.used + 1
                  WHERE token_uses.used < $2";
    let (allowed, until) = (i64::from(of.allowed), time(of.expires_ns()));
    let values: [(&(dyn ToSql + Sync), Type); 3] =
        [(&of.token, Type::TEXT), (&allowed, Type::INT8), (&until, Type::TIMESTAMPTZ)];
    Ok(client.execute_typed(insert, &values).await? == 1)
}

async fn give_back(client: &Client, token: &str) -> Result<(), Failure> {
    let update = "UPDATE token_uses SET used = used - 1 WHERE token = $1 AND used > 0";
    client.execute_typed(update, &[(&token, Type::TEXT)]).await?;
    Ok(())
}

async fn use_up(client: &Client, of: &TokenUse) -> Result<(), Failure> {
    let insert = "INSERT INTO token_uses (token, used, expires_at) VALUES ($1, $2, $3)
                  ON CONFLICT (token)
                  DO UPDATE SET used = greatest(token_uses.used, excluded.used)";
    let (allowed, until) = (i64::from(of.allowed), time(of.expires_ns()));
    let values: [(&(dyn ToSql + Sync), Type); 3] =
        [(&of.token, Type::TEXT), (&allowed, Type::INT8), (&until, Type::TIMESTAMPTZ)];
    client.execute_typed(insert, &values).await?;
    Ok(())
}

async fn used(client: &Client) -> Result<Vec<(String, u32)>, Failure> {
    let mut used = Vec::new();
    for row in client.query_typed("SELECT token, used FROM token_uses", &[]).await? {
        let times: i64 = row.try_get(1)?;
        used.push((row.try_get(0)?, u32::try_from(times).unwrap_or(u32::MAX)));
    }
    Ok(used)
}
