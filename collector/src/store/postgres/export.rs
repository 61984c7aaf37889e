//! Reads all of a client's rows.

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Row};
use wire::Seq;
use wire::id::SessionId;

use super::error::Failure;
use super::key::nic_key;
use super::partition::Table;
use super::samples;
use super::store::PostgresStore;
use super::talkers::read_lists;
use super::values::point;
use crate::store::port::error::StoreError;
use crate::store::port::export::{Export, ExportPosition, Paused, ROWS};
use crate::store::rows::export::{ExportGap, ExportList, ExportRange, ExportRow};
use crate::store::rows::series::Point;

#[async_trait]
impl Export for PostgresStore {
    async fn nic_names(&self, client: &str) -> Result<Option<Vec<String>>, StoreError> {
        self.lease(async |db| nic_names(db, client).await).await
    }

    async fn export(
        &self,
        range: &ExportRange,
        rows: mpsc::Sender<Vec<ExportRow>>,
    ) -> Result<(), StoreError> {
        let mut place = ExportPosition::before(range);
        loop {
            let read = self.database.spend(async |db| read(db, range, &mut place, &rows).await);
            let read = tokio::select! {
                read = read => read,
                () = rows.closed() => return Ok(()),
            };
            let (some, last) = self.outcome(read)?.waiting();
            if rows.send(some).await.is_err() || last {
                return Ok(());
            }
        }
    }

    async fn export_talkers(
        &self,
        range: &ExportRange,
        lists: mpsc::Sender<Vec<ExportList>>,
    ) -> Result<(), StoreError> {
        let mut place = ExportPosition::before(range);
        loop {
            let read = self.database.spend(async |db| {
                begin(db, &mut place).await?;
                read_lists(db, range, &mut place, &lists).await
            });
            let read = tokio::select! {
                read = read => read,
                () = lists.closed() => return Ok(()),
            };
            let (some, last) = self.outcome(read)?.waiting();
            if lists.send(some).await.is_err() || last {
                return Ok(());
            }
        }
    }
}

async fn nic_names(client: &Client, id: &str) -> Result<Option<Vec<String>>, Failure> {
    let select = "SELECT name FROM clients LEFT JOIN nics ON nics.client = clients.id
                  WHERE client_id = $1 ORDER BY name COLLATE \"C\"";
    let rows = client.query_typed(select, &[(&id, Type::TEXT)]).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let names = rows.iter().map(|row| row.try_get::<_, Option<String>>(0));
    Ok(Some(names.filter_map(Result::transpose).collect::<Result<_, _>>()?))
}

/// Begins a snapshot.
async fn begin(client: &Client, place: &mut ExportPosition) -> Result<(), Failure> {
    place.begin();
    // No partition whose samples were packed since the snapshot can be dropped.
    let begin = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE ONLY {} IN ACCESS SHARE MODE",
        Table::Stats.name()
    );
    Ok(client.batch_execute(&begin).await?)
}

/// Reads one snapshot. Leaves the connection inside the transaction.
async fn read(
    client: &Client,
    range: &ExportRange,
    place: &mut ExportPosition,
    rows: &mpsc::Sender<Vec<ExportRow>>,
) -> Result<Paused<ExportRow>, Failure> {
    begin(client, place).await?;
    while let Some((nic, left, skip)) = place.next(range) {
        if let Some(key) = nic_key(client, &left).await? {
            let of_nic = |point, gap| ExportRow { nic: Some(nic.clone()), point, gap };
            let row = |row: &Row| Ok(of_nic(point(row)?, gap(row, 14)?));
            let found = samples::rows_and_gaps(client, &key, row, |it| of_nic(it, None)).await?;
            let mut chunks = std::pin::pin!(found.skip(skip).try_chunks(ROWS));
            while let Some(chunk) = chunks.next().await {
                let some = chunk.map_err(|error| error.1)?;
                if let Some(paused) = place.hand_over(some, rows).await {
                    return Ok(paused);
                }
            }
        }
        place.next_nic(range);
    }
    let unknown = "SELECT CAST(reason AS bigint), session, first_seq, last_seq FROM gaps
         WHERE nic IS NULL AND client = (SELECT id FROM clients WHERE client_id = $1)
         ORDER BY session, first_seq";
    let unknown = client.query_typed(unknown, &[(&range.client, Type::TEXT)]).await?;
    let row = |row: &Row| Ok(ExportRow { nic: None, point: Point::default(), gap: gap(row, 0)? });
    Ok(Paused::Last(unknown.iter().map(row).collect::<Result<_, Error>>()?))
}

fn gap(row: &Row, at: usize) -> Result<Option<ExportGap>, Error> {
    let Some(reason) = row.try_get::<_, Option<i64>>(at)? else { return Ok(None) };
    let session = SessionId::of_column(row.try_get(at + 1)?);
    let seq = |at| row.try_get(at).map(Seq::of_column);
    let (first_seq, last_seq) = (seq(at + 2)?, seq(at + 3)?);
    let reason = u8::try_from(reason).unwrap_or_default();
    Ok(Some(ExportGap { reason, session, first_seq, last_seq }))
}
