//! Reads the minutes of several clients.

use std::collections::HashMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::error::Failure;
use super::session::time;
use super::values::point;
use crate::store::rows::nics::NicId;
use crate::store::rows::series::{ClientRange, Point, StoredMinutes};

/// Statements on their way at the same time: each is of one client, because the index starts with client
/// and NIC, and Citus keeps a client on one node.
const PIPELINED: usize = 16;

/// A client's NICs: number and name.
type Nics = Vec<(NicId, String)>;

pub(super) async fn minutes(
    db: &Client,
    ranges: &[ClientRange],
) -> Result<Vec<StoredMinutes>, Failure> {
    let names: Vec<&str> = ranges.iter().map(|range| range.client.as_str()).collect();
    let select = "SELECT c.client_id, c.id, n.id, n.name FROM clients c
                  JOIN nics n ON n.client = c.id WHERE c.client_id = ANY ($1)";
    let mut keys: HashMap<String, (i32, Nics)> = HashMap::new();
    for row in db.query_typed(select, &[(&names, Type::TEXT_ARRAY)]).await? {
        let (_, nics) = keys.entry(row.try_get(0)?).or_insert((row.try_get(1)?, Nics::new()));
        nics.push((row.try_get(2)?, row.try_get(3)?));
    }
    let mut asked = Vec::with_capacity(ranges.len());
    for range in ranges {
        if let Some((client, nics)) = keys.get(&range.client) {
            asked.push(of_client(db, range, *client, nics));
        }
    }
    let answers = stream::iter(asked).buffer_unordered(PIPELINED);
    Ok(answers.try_collect::<Vec<_>>().await?.into_iter().flatten().collect())
}

async fn of_client(
    db: &Client,
    range: &ClientRange,
    client: i32,
    nics: &Nics,
) -> Result<Vec<StoredMinutes>, Failure> {
    let select = "SELECT time, covered_ns, rx_bytes, rx_packets::bigint, rx_captured::bigint,
             rx_peak_1ms_bytes, rx_peak_10ms_bytes, tx_bytes, tx_packets::bigint,
             tx_captured::bigint, tx_peak_1ms_bytes, tx_peak_10ms_bytes, drops::bigint, flags, nic
         FROM bandwidth_1m
         WHERE client = $1 AND nic = ANY ($2) AND time >= $3 AND time < $4 ORDER BY nic, time";
    let numbers: Vec<NicId> = nics.iter().map(|(nic, _)| *nic).collect();
    let rows = db
        .query_typed(
            select,
            &[
                (&client, Type::INT4),
                (&numbers, Type::INT4_ARRAY),
                (&time(range.from_ns), Type::TIMESTAMPTZ),
                (&time(range.to_ns), Type::TIMESTAMPTZ),
            ],
        )
        .await?;
    let row = |row: &Row| Ok::<_, Failure>((row.try_get::<_, NicId>(14)?, point(row)?));
    let mut of_nic: HashMap<NicId, Vec<Point>> = HashMap::new();
    for row in rows.iter().map(row) {
        let (nic, minute) = row?;
        of_nic.entry(nic).or_default().push(minute);
    }
    let found = nics.iter().filter_map(|(number, nic)| {
        let minutes = of_nic.remove(number)?;
        Some(StoredMinutes { client: range.client.clone(), nic: nic.clone(), minutes })
    });
    Ok(found.collect())
}
