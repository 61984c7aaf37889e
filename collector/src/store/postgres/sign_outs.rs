//! Signed-out browser sessions.

use async_trait::async_trait;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::connect::BEGIN;
use super::error::Failure;
use super::number::bounded;
use super::store::PostgresStore;
use super::values::number;
use crate::store::port::error::StoreError;
use crate::store::port::sign_outs::SignOuts;
use crate::store::rows::sign_outs::SignOut;

#[async_trait]
impl SignOuts for PostgresStore {
    async fn sign_outs(&self, after: u64) -> Result<(Vec<SignOut>, u64), StoreError> {
        self.lease(async |db| after_change(db, after).await).await
    }

    async fn keep_sign_out(&self, sign_out: &SignOut, now_s: u64) -> Result<(), StoreError> {
        self.lease(async |db| keep(db, sign_out, now_s).await).await
    }
}

async fn after_change(client: &Client, after: u64) -> Result<(Vec<SignOut>, u64), Failure> {
    let select = "SELECT session, ends_at, change FROM sign_outs
                  WHERE change > $1 OR $1 > (SELECT max(change) FROM sign_outs) ORDER BY change";
    let (mut sign_outs, mut last) = (Vec::new(), after);
    for row in client.query_typed(select, &[(&bounded(after), Type::INT8)]).await? {
        sign_outs.push(SignOut { session: row.try_get(0)?, ends_at: number(&row, 1)? });
        last = number(&row, 2)?;
    }
    Ok((sign_outs, last))
}

async fn keep(client: &Client, sign_out: &SignOut, now_s: u64) -> Result<(), Failure> {
    // One at a time, so that no change is committed with a lower number than one already read.
    let lock = format!("{BEGIN}; LOCK TABLE sign_outs IN SHARE ROW EXCLUSIVE MODE");
    client.batch_execute(&lock).await?;
    let insert = "INSERT INTO sign_outs
                  SELECT $1, $2, coalesce(max(change), 0) + 1 FROM sign_outs
                  ON CONFLICT (session) DO NOTHING";
    let params =
        [(&sign_out.session as _, Type::TEXT), (&bounded(sign_out.ends_at) as _, Type::INT8)];
    client.execute_typed(insert, &params).await?;
    // The last change stays, because the next number is derived from it.
    let delete = "DELETE FROM sign_outs WHERE ends_at < $1
                      AND change < (SELECT max(change) FROM sign_outs)";
    client.execute_typed(delete, &[(&bounded(now_s), Type::INT8)]).await?;
    client.batch_execute("COMMIT").await?;
    Ok(())
}
