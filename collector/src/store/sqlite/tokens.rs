//! Uses of tokens, also beside a running collector.

use std::fmt::Debug;

use async_trait::async_trait;
use rusqlite::{Connection, TransactionBehavior, params};

use super::error::Failure;
use super::lease::Writes;
use crate::identity::{TokenUse, TokenUses, UsesError};

#[async_trait]
impl<T: Writes + Send + Sync + Debug> TokenUses for T {
    async fn take(&self, of: &TokenUse) -> Result<bool, UsesError> {
        let of = of.clone();
        Ok(self.writer().lease(move |db| take(db, &of)).await?)
    }

    async fn give_back(&self, token: &str) -> Result<(), UsesError> {
        let token = token.to_owned();
        let update = "UPDATE token_uses SET used = used - 1 WHERE token = ?1 AND used > 0";
        let work = move |db: &mut Connection| {
            db.execute(update, [token])?;
            Ok(())
        };
        Ok(self.writer().lease(work).await?)
    }

    async fn use_up(&self, of: &TokenUse) -> Result<(), UsesError> {
        let of = of.clone();
        let insert = "INSERT INTO token_uses (token, used, expires_at) VALUES (?1, ?2, ?3)
                      ON CONFLICT (token) DO UPDATE SET used = max(used, excluded.used)";
        let work = move |db: &mut Connection| {
            db.execute(insert, params![of.token, of.allowed, of.expires_ns().to_column()])?;
            Ok(())
        };
        Ok(self.writer().lease(work).await?)
    }

    async fn used(&self) -> Result<Vec<(String, u32)>, UsesError> {
        Ok(self.writer().lease(|db| used(db)).await?)
    }
}

fn take(db: &mut Connection, of: &TokenUse) -> Result<bool, Failure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let long_ago = of.forgotten_ns().to_column();
    transaction.execute("DELETE FROM token_uses WHERE expires_at < ?1", [long_ago])?;
    let taken = transaction.execute(
        "INSERT INTO token_uses (token, used, expires_at) VALUES (?1, 1, ?3)
         ON CONFLICT (token) DO UPDATE SET used = used + 1 WHERE used < ?2",
        params![of.token, of.allowed, of.expires_ns().to_column()],
    )?;
    transaction.commit()?;
    Ok(taken == 1)
}

fn used(db: &Connection) -> Result<Vec<(String, u32)>, Failure> {
    let mut select = db.prepare_cached("SELECT token, used FROM token_uses")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
