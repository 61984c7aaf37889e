//! Reads what accounts are metered from.

use async_trait::async_trait;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Row};
use wire::frame::{Gap, flags};
use wire::{Bytes, Packets, WallNs};

use super::error::Failure;
use super::key::{RowKey, nic_key};
use super::session::time;
use super::store::PostgresStore;
use super::values::{instant, number};
use crate::store::port::accounts::Metering;
use crate::store::port::error::StoreError;
use crate::store::rows::accounts::{CountedGap, KnownNic, LinkTurn, MeterRow, NicHistory, Volume};
use crate::store::rows::rollups::FIVE_MINUTES_NS;
use crate::store::rows::series::NicRange;

#[async_trait]
impl Metering for PostgresStore {
    async fn known_nics(&self, clients: &[String]) -> Result<Vec<KnownNic>, StoreError> {
        self.lease(async |db| known_nics(db, clients).await).await
    }

    async fn nic_history(&self, range: &NicRange) -> Result<NicHistory, StoreError> {
        self.lease(async |db| nic_history(db, range).await).await
    }

    async fn complete_from(&self) -> Result<WallNs, StoreError> {
        self.lease(async |db| {
            let select = "SELECT rollup_5m_from FROM retention";
            Ok(instant(&db.query_typed_one(select, &[]).await?, 0)?)
        })
        .await
    }
}

async fn known_nics(db: &Client, clients: &[String]) -> Result<Vec<KnownNic>, Failure> {
    let select = "SELECT client_id, name, kind, speed_bits FROM clients
                  JOIN nics ON client = clients.id WHERE client_id = ANY ($1)
                  ORDER BY client_id COLLATE \"C\", name COLLATE \"C\"";
    let rows = db.query_typed(select, &[(&clients, Type::TEXT_ARRAY)]).await?;
    let nic = |row: &Row| {
        let (client, nic, kind) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        Ok::<_, Error>(KnownNic { client, nic, kind, speed_bits: number(row, 3)? })
    };
    Ok(rows.iter().map(nic).collect::<Result<_, _>>()?)
}

async fn nic_history(db: &Client, range: &NicRange) -> Result<NicHistory, Failure> {
    let Some(key) = nic_key(db, range).await? else { return Ok(NicHistory::default()) };
    // Each statement has a snapshot of its own: what is committed meanwhile may be in some only, until
    // the next reading.
    let before = "SELECT 1 FROM bandwidth_5m WHERE client = $1 AND nic = $2 AND time < $3 LIMIT 1";
    let [client, nic, from, _] = key.params();
    let measured_before = db.query_typed_opt(before, &[client, nic, from]).await?.is_some();
    let links = "SELECT time, up FROM link_changes WHERE client = $1 AND nic = $2 AND time < $4
                     AND time >= coalesce((SELECT max(time) FROM link_changes WHERE client = $1
                                           AND nic = $2 AND time < $3), $3) ORDER BY time";
    let turn =
        |row: &Row| Ok::<_, Error>(LinkTurn { time_ns: instant(row, 0)?, up: row.try_get(1)? });
    let links = db.query_typed(links, &key.params()).await?;
    let links = links.iter().map(turn).collect::<Result<_, _>>()?;
    let gaps = format!(
        "SELECT time, interval_ns, rx_bytes, rx_packets, tx_bytes, tx_packets FROM gaps
         WHERE session IN (SELECT session FROM sessions WHERE client = $1) AND nic = $2
             AND time < $4 AND time + interval_ns / 1000 * interval '1 microsecond' > $3
             AND reason <> {} ORDER BY time",
        Gap::Unmeasured as u8
    );
    let gap = |row: &Row| {
        let (start_ns, interval_ns) = (instant(row, 0)?, number(row, 1)?);
        Ok::<_, Error>(CountedGap {
            start_ns,
            interval_ns,
            rx: volume(row, 2)?,
            tx: volume(row, 4)?,
        })
    };
    let gaps = db.query_typed(&gaps, &key.params()).await?;
    let gaps = gaps.iter().map(gap).collect::<Result<_, _>>()?;
    let rows = rows(db, &key, range.from_ns.saturating_sub(FIVE_MINUTES_NS)).await?;
    Ok(NicHistory { measured_before, rows, gaps, links })
}

async fn rows(db: &Client, key: &RowKey, from_ns: WallNs) -> Result<Vec<MeterRow>, Failure> {
    let select = "SELECT time, covered_ns, rx_bytes, rx_packets, tx_bytes, tx_packets, drops, flags
                  FROM bandwidth_5m
                  WHERE client = $1 AND nic = $2 AND time >= $3 AND time < $4 ORDER BY time";
    let from = time(from_ns);
    let [client, nic, _, to] = key.params();
    let rows = db.query_typed(select, &[client, nic, (&from, Type::TIMESTAMPTZ), to]).await?;
    let row = |row: &Row| {
        Ok::<_, Error>(MeterRow {
            start_ns: instant(row, 0)?,
            covered_ns: number(row, 1)?,
            rx: volume(row, 2)?,
            tx: volume(row, 4)?,
            drops: Packets(number(row, 6)?),
            stacked: row.try_get::<_, i32>(7)?.cast_unsigned() & flags::STACKED != 0,
        })
    };
    Ok(rows.iter().map(row).collect::<Result<_, _>>()?)
}

fn volume(row: &Row, at: usize) -> Result<Volume, Error> {
    Ok(Volume { bytes: Bytes(number(row, at)?), packets: Packets(number(row, at + 1)?) })
}
