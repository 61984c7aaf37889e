//! Claims of places, and second hosts. Each operation is one statement.

use std::net::IpAddr;

use async_trait::async_trait;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use wire::id::ClientId;

use super::claim::{self, NewClaim, TypedValue, numbers, values};
use super::error::Failure;
use super::session::time;
use super::store::PostgresStore;
use super::values::{instant, number};
use crate::store::port::claims::{Claims, SecondHosts};
use crate::store::port::error::StoreError;
use crate::store::rows::claims::{Holder, Lost, PlaceId, Question, SecondHostRecord};

impl PostgresStore {
    async fn rows(&self, sql: &str, values: &[TypedValue<'_>]) -> Result<Vec<Row>, StoreError> {
        self.lease(async |db| Ok(db.query_typed(sql, values).await?)).await
    }

    /// The first column of the first row.
    async fn first(&self, sql: &str, values: &[TypedValue<'_>]) -> Result<Option<i64>, StoreError> {
        let rows = self.rows(sql, values).await?;
        let first = rows.first().map(|row| row.try_get(0).map_err(Failure::from)).transpose();
        self.outcome(first)
    }
}

#[async_trait]
impl Claims for PostgresStore {
    async fn claim(
        &self,
        client: &ClientId,
        holder: &Holder,
        lost: Option<Lost>,
    ) -> Result<Option<Holder>, StoreError> {
        if lost.is_some() {
            return self.lease(async |db| claim::claim(db, client, holder, lost).await).await;
        }
        let claim = NewClaim { client: client.clone(), holder: *holder };
        self.together(&self.groups.claims, claim).await
    }

    async fn claim_again(
        &self,
        client: &ClientId,
        holder: &Holder,
    ) -> Result<Option<Holder>, StoreError> {
        self.lease(async |db| claim::claim_again(db, client, holder).await).await
    }

    async fn release(&self, client: &ClientId, place: PlaceId) -> Result<(), StoreError> {
        let delete = "DELETE FROM claims WHERE client_id = $1 AND collector = $2 AND place = $3";
        self.rows(delete, &values(&client.as_str(), &numbers(place))).await.map(drop)
    }

    async fn ask(&self, client: &ClientId, place: PlaceId) -> Result<Option<u64>, StoreError> {
        let ask = "UPDATE claims SET question = question + 1,
                       asked_since = CASE WHEN question > answered THEN asked_since ELSE now() END
                   WHERE client_id = $1 AND collector = $2 AND place = $3 RETURNING question";
        let asked = self.first(ask, &values(&client.as_str(), &numbers(place))).await?;
        Ok(asked.map(i64::cast_unsigned))
    }

    async fn is_answered(
        &self,
        client: &ClientId,
        place: PlaceId,
        question: u64,
    ) -> Result<Option<bool>, StoreError> {
        let select = "SELECT answered FROM claims
                      WHERE client_id = $1 AND collector = $2 AND place = $3";
        let answered = self.first(select, &values(&client.as_str(), &numbers(place))).await?;
        Ok(answered.map(|answered| answered.cast_unsigned() >= question))
    }

    async fn questions(&self, collector: u64) -> Result<Vec<Question>, StoreError> {
        let select = "SELECT client_id, place, question FROM claims
                      WHERE collector = $1 AND question > answered";
        let rows = self.rows(select, &[(&collector.cast_signed(), Type::INT8)]).await?;
        let question = |row: &Row| {
            let client = ClientId::new(row.try_get(0)?).ok();
            let (place, number) = (number(row, 1)?, number(row, 2)?);
            // A collector never writes an invalid id.
            Ok(client.map(|client| Question { client, place, number }))
        };
        let questions = rows.iter().filter_map(|row| question(row).transpose());
        self.outcome(questions.collect())
    }

    async fn answer(&self, collector: u64, question: &Question) -> Result<(), StoreError> {
        let update = "UPDATE claims SET answered = $4, asked_since = now()
                      WHERE client_id = $1 AND collector = $2 AND place = $3 AND answered < $4";
        let numbers = numbers(PlaceId { collector, number: question.place });
        let (client, answered) = (question.client.as_str(), question.number.cast_signed());
        let [client, collector, place] = values(&client, &numbers);
        self.rows(update, &[client, collector, place, (&answered, Type::INT8)]).await.map(drop)
    }

    async fn held(&self, collector: u64) -> Result<Option<Vec<(String, u64)>>, StoreError> {
        let select = "SELECT client_id, place FROM claims WHERE collector = $1";
        let rows = self.rows(select, &[(&collector.cast_signed(), Type::INT8)]).await?;
        let held = |row: &Row| Ok((row.try_get(0)?, number(row, 1)?));
        self.outcome(rows.iter().map(held).collect()).map(Some)
    }

    async fn note_second_host(&self, second: &SecondHostRecord) -> Result<(), StoreError> {
        let insert = "INSERT INTO second_hosts AS known
                          (client_id, since, told_at, kept, refused, what)
                      VALUES ($1, $2, $3, $4, $5, $6)
                      ON CONFLICT (client_id) DO UPDATE SET
                          since = CASE WHEN known.told_at >= $7
                              THEN least(known.since, excluded.since) ELSE excluded.since END,
                          told_at = excluded.told_at, kept = excluded.kept,
                          refused = excluded.refused, what = excluded.what";
        let SecondHostRecord { client, since_ns, told_ns, kept, refused, what } = second;
        let times = [*since_ns, *told_ns, second.same_since_ns()].map(time);
        let addresses = [kept, refused].map(IpAddr::to_string);
        let values: [TypedValue<'_>; 7] = [
            (client, Type::TEXT),
            (&times[0], Type::TIMESTAMPTZ),
            (&times[1], Type::TIMESTAMPTZ),
            (&addresses[0], Type::TEXT),
            (&addresses[1], Type::TEXT),
            (what, Type::TEXT),
            (&times[2], Type::TIMESTAMPTZ),
        ];
        self.rows(insert, &values).await.map(drop)
    }

    async fn forget_second_host(&self, client: &ClientId) -> Result<(), StoreError> {
        let delete = "DELETE FROM second_hosts WHERE client_id = $1";
        self.rows(delete, &[(&client.as_str(), Type::TEXT)]).await.map(drop)
    }
}

#[async_trait]
impl SecondHosts for PostgresStore {
    async fn second_hosts(&self) -> Result<Vec<SecondHostRecord>, StoreError> {
        let select = "SELECT client_id, since, told_at, kept, refused, what FROM second_hosts";
        let rows = self.rows(select, &[]).await?;
        let known = rows.iter().filter_map(|row| second_host(row).transpose());
        self.outcome(known.collect())
    }
}

fn second_host(row: &Row) -> Result<Option<SecondHostRecord>, Failure> {
    let address = |at| row.try_get::<_, &str>(at).map(str::parse);
    // A collector never writes an invalid address.
    let (Ok(kept), Ok(refused)) = (address(3)?, address(4)?) else { return Ok(None) };
    let (client, what) = (row.try_get(0)?, row.try_get(5)?);
    let (since_ns, told_ns) = (instant(row, 1)?, instant(row, 2)?);
    Ok(Some(SecondHostRecord { client, since_ns, told_ns, kept, refused, what }))
}
