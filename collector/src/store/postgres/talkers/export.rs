//! Lists of talkers for an export.

use tokio::sync::mpsc;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::rows::{list, owners};
use crate::store::port::export::{ExportPosition, Paused, ROWS};
use crate::store::postgres::error::Failure;
use crate::store::postgres::key::nic_key;
use crate::store::postgres::values::instant;
use crate::store::rows::export::{ExportList, ExportRange, ReadList, owners_of};
use crate::store::rows::talkers::columns;

/// Reads one snapshot, page by page: owners are looked up between. Leaves the connection inside the
/// transaction.
pub(in crate::store::postgres) async fn read_lists(
    client: &Client,
    range: &ExportRange,
    place: &mut ExportPosition,
    lists: &mpsc::Sender<Vec<ExportList>>,
) -> Result<Paused<ExportList>, Failure> {
    let select = format!(
        "SELECT {} FROM talkers t WHERE t.client = $1 AND t.nic = $2 AND t.time >= $3 AND t.time < $4
         ORDER BY t.time, t.kind, t.direction, t.interval_ns LIMIT {ROWS} OFFSET $5",
        columns()
    );
    while let Some((nic, left, skip)) = place.next(range) {
        let key = nic_key(client, &left).await?;
        let mut some: Vec<ReadList> = Vec::new();
        if let Some(key) = &key {
            let skip = i64::try_from(skip).unwrap_or(i64::MAX);
            let mut params = key.params().to_vec();
            params.push((&skip, Type::INT8));
            let row = |row: &Row| Ok::<_, Failure>((instant(row, 0)?, list(row)?));
            let found = client.query_typed(&select, &params).await?;
            some = found.iter().map(row).collect::<Result<_, _>>()?;
        }
        let Some(key) = key.filter(|_| !some.is_empty()) else {
            place.next_nic(range);
            continue;
        };
        let names = owners(client, key.client, &owners_of(&some)).await?;
        let some = ExportList::named(nic, some, &names);
        if let Some(paused) = place.hand_over(some, lists).await {
            return Ok(paused);
        }
    }
    Ok(Paused::Last(vec![]))
}
