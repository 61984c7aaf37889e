//! Reads what accounts are metered from.

use std::fmt::Debug;

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use wire::frame::{Gap, flags};
use wire::{Bytes, Packets, WallNs};

use super::error::Failure;
use super::lease::Reads;
use super::number::number;
use super::query::{RowKey, nic_key};
use crate::store::port::accounts::Metering;
use crate::store::port::error::StoreError;
use crate::store::rows::accounts::{CountedGap, KnownNic, LinkTurn, MeterRow, NicHistory, Volume};
use crate::store::rows::rollups::FIVE_MINUTES_NS;
use crate::store::rows::series::NicRange;

#[async_trait]
impl<T: Reads + Send + Sync + Debug> Metering for T {
    async fn known_nics(&self, clients: &[String]) -> Result<Vec<KnownNic>, StoreError> {
        let clients = clients.to_vec();
        self.readers().lease(move |db| known_nics(db, &clients)).await
    }

    async fn nic_history(&self, range: &NicRange) -> Result<NicHistory, StoreError> {
        let range = range.clone();
        self.readers().lease(move |db| nic_history(db, &range)).await
    }

    async fn complete_from(&self) -> Result<WallNs, StoreError> {
        let select = "SELECT rollup_5m_from FROM retention";
        self.readers()
            .lease(move |db| Ok(db.query_row(select, [], |row| row.get(0).map(WallNs::of_column))?))
            .await
    }
}

fn known_nics(db: &Connection, clients: &[String]) -> Result<Vec<KnownNic>, Failure> {
    let mut select = db.prepare_cached(
        "SELECT client_id, name, kind, speed_bits FROM clients JOIN nics ON client = clients.id
         WHERE client_id = ?1 ORDER BY name",
    )?;
    let mut nics = Vec::new();
    for client in clients {
        let rows = select.query_map([client], |row| {
            let (client, nic, kind) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(KnownNic { client, nic, kind, speed_bits: number(row, 3)? })
        })?;
        nics.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    Ok(nics)
}

fn nic_history(db: &mut Connection, range: &NicRange) -> Result<NicHistory, Failure> {
    // One snapshot for everything.
    let transaction = db.transaction()?;
    let Some(RowKey { client, nic, from, to }) = nic_key(&transaction, range)? else {
        return Ok(NicHistory::default());
    };
    let measured_before = transaction
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM bandwidth_5m WHERE client = ?1 AND nic = ?2 AND time < ?3)",
        )?
        .query_row(params![client, nic, from], |row| row.get(0))?;
    let mut rows = transaction.prepare_cached(
        "SELECT time, covered_ns, rx_bytes, rx_packets, tx_bytes, tx_packets, drops, flags
         FROM bandwidth_5m WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND time < ?4
         ORDER BY time",
    )?;
    let before = range.from_ns.saturating_sub(FIVE_MINUTES_NS).to_column();
    let rows = rows.query_map(params![client, nic, before, to], |row| {
        Ok(MeterRow {
            start_ns: WallNs::of_column(row.get(0)?),
            covered_ns: number(row, 1)?,
            rx: volume(row, 2)?,
            tx: volume(row, 4)?,
            drops: Packets(number(row, 6)?),
            stacked: row.get::<_, u32>(7)? & flags::STACKED != 0,
        })
    })?;
    let rows = rows.collect::<rusqlite::Result<_>>()?;
    let mut gaps = transaction.prepare_cached(
        "SELECT time, interval_ns, rx_bytes, rx_packets, tx_bytes, tx_packets FROM gaps
         WHERE session IN (SELECT session FROM sessions WHERE client = ?1) AND nic = ?2
             AND time < ?4 AND time + interval_ns > ?3 AND reason <> ?5 ORDER BY time",
    )?;
    let gaps = gaps.query_map(params![client, nic, from, to, Gap::Unmeasured as u8], |row| {
        let (start_ns, interval_ns) = (WallNs::of_column(row.get(0)?), number(row, 1)?);
        Ok(CountedGap { start_ns, interval_ns, rx: volume(row, 2)?, tx: volume(row, 4)? })
    })?;
    let gaps = gaps.collect::<rusqlite::Result<_>>()?;
    let mut links = transaction.prepare_cached(
        "SELECT time, up FROM link_changes WHERE client = ?1 AND nic = ?2 AND time < ?4
             AND time >= coalesce((SELECT max(time) FROM link_changes WHERE client = ?1
                                   AND nic = ?2 AND time < ?3), ?3) ORDER BY time",
    )?;
    let links = links.query_map(params![client, nic, from, to], |row| {
        Ok(LinkTurn { time_ns: WallNs::of_column(row.get(0)?), up: row.get(1)? })
    })?;
    let links = links.collect::<rusqlite::Result<_>>()?;
    Ok(NicHistory { measured_before, rows, gaps, links })
}

fn volume(row: &Row<'_>, at: usize) -> rusqlite::Result<Volume> {
    Ok(Volume { bytes: Bytes(number(row, at)?), packets: Packets(number(row, at + 1)?) })
}
