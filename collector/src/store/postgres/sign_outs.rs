//! Browsers' sessions that were signed out.

use async_trait::async_trait;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::PostgresStore;
use super::connect::BEGIN;
use super::error::Failure;
use crate::store::StoreError;
use crate::store::sign_outs::{SignOut, SignOuts};

#[async_trait]
impl SignOuts for PostgresStore {
    async fn sign_outs(&self, after: u64) -> Result<(Vec<SignOut>, u64), StoreError> {
        let read = async {
            let lease = self.database.lease().await?;
            let sign_outs = after_change(&lease, after).await?;
            lease.give_back();
            Ok(sign_outs)
        };
        self.told(read.await)
    }

    async fn keep_sign_out(&self, sign_out: &SignOut, now_s: u64) -> Result<(), StoreError> {
        let keep = async {
            let lease = self.database.lease().await?;
            keep(&lease, sign_out, now_s).await?;
            lease.give_back();
            Ok(())
        };
        self.told(keep.await)
    }
}

async fn after_change(client: &Client, after: u64) -> Result<(Vec<SignOut>, u64), Failure> {
    let select = "SELECT session, ends_at, change FROM sign_outs WHERE change > $1 ORDER BY change";
    let (mut sign_outs, mut last) = (Vec::new(), after);
    for row in client.query_typed(select, &[(&int(after), Type::INT8)]).await? {
        let number = |column| row.try_get(column).map(|number: i64| number.cast_unsigned());
        sign_outs.push(SignOut { session: row.try_get(0)?, ends_at: number(1)? });
        last = number(2)?;
    }
    Ok((sign_outs, last))
}

async fn keep(client: &Client, sign_out: &SignOut, now_s: u64) -> Result<(), Failure> {
    // One after the other, so that none is committed under a number below one that was read.
    let lock = format!("{BEGIN}; LOCK TABLE sign_outs IN SHARE ROW EXCLUSIVE MODE");
    client.batch_execute(&lock).await?;
    let insert = "INSERT INTO sign_outs
                  SELECT $1, $2, coalesce(max(change), 0) + 1 FROM sign_outs
                  ON CONFLICT (session) DO NOTHING";
    let params = [(&sign_out.session as _, Type::TEXT), (&int(sign_out.ends_at) as _, Type::INT8)];
    client.execute_typed(insert, &params).await?;
    // The last change stays, by which the next ones are numbered.
    let delete = "DELETE FROM sign_outs WHERE ends_at < $1
                      AND change < (SELECT max(change) FROM sign_outs)";
    client.execute_typed(delete, &[(&int(now_s), Type::INT8)]).await?;
    client.batch_execute("COMMIT").await?;
    Ok(())
}

/// Numbers past what the database can hold are of clocks that are wrong by ages.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
