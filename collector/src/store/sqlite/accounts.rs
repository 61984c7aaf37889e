//! Reads what accounts are metered from.

use std::fmt::Debug;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use wire::frame::{Gap, flags};
use wire::tag::Tag;
use wire::{Bytes, Packets, WallNs};

use super::error::Failure;
use super::lease::Reads;
use super::number::number;
use super::tables::nics::NicIds;
use crate::store::port::accounts::Metering;
use crate::store::port::error::StoreError;
use crate::store::rows::accounts::{
    CountedGap, KnownNic, LinkTurn, MeterRow, NicBefore, NicHistory, TagStay, Volume,
};
use crate::store::rows::rollups::FIVE_MINUTES_NS;

#[async_trait]
impl<T: Reads + Send + Sync + Debug> Metering for T {
    async fn known_nics(&self, clients: &[String]) -> Result<Vec<KnownNic>, StoreError> {
        let clients = clients.to_vec();
        self.readers().lease(move |db| known_nics(db, &clients)).await
    }

    async fn tag_stays(
        &self,
        tag: &Tag,
        range: (WallNs, WallNs),
    ) -> Result<Vec<TagStay>, StoreError> {
        let tag = tag.clone();
        self.readers().lease(move |db| tag_stays(db, &tag, range)).await
    }

    async fn nic_histories(
        &self,
        nics: &[KnownNic],
        range: (WallNs, WallNs),
    ) -> Result<Vec<NicHistory>, StoreError> {
        let nics = nics.to_vec();
        self.readers().lease(move |db| histories(db, &nics, range)).await
    }

    async fn nics_before(
        &self,
        nics: &[KnownNic],
        time_ns: WallNs,
    ) -> Result<Vec<NicBefore>, StoreError> {
        let nics = nics.to_vec();
        self.readers().lease(move |db| nics_before(db, &nics, time_ns)).await
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

fn tag_stays(
    db: &Connection,
    tag: &Tag,
    (from_ns, to_ns): (WallNs, WallNs),
) -> Result<Vec<TagStay>, Failure> {
    let mut select = db.prepare_cached(
        "SELECT client_id, max(valid_from, ?3), min(coalesce(valid_to, ?4), ?4)
         FROM tag_intervals JOIN clients ON clients.id = client
         WHERE key = ?1 AND value = ?2 AND valid_from < ?4 AND coalesce(valid_to, ?4) > ?3
         ORDER BY client_id, valid_from",
    )?;
    let key = params![tag.key().as_str(), tag.value(), from_ns.to_column(), to_ns.to_column()];
    let rows = select.query_map(key, |row| {
        let (from_ns, to_ns) = (WallNs::of_column(row.get(1)?), WallNs::of_column(row.get(2)?));
        Ok(TagStay { client: row.get(0)?, from_ns, to_ns })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn histories(
    db: &mut Connection,
    nics: &[KnownNic],
    range: (WallNs, WallNs),
) -> Result<Vec<NicHistory>, Failure> {
    // One snapshot for everything.
    let transaction = db.transaction()?;
    nics.iter().map(|nic| history(&transaction, nic, range)).collect()
}

/// The numbers of a NIC.
fn key(db: &Connection, nic: &KnownNic) -> Result<Option<NicIds>, Failure> {
    let mut select = db.prepare_cached(
        "SELECT clients.id, nics.id FROM clients JOIN nics ON nics.client = clients.id
         WHERE client_id = ?1 AND name = ?2",
    )?;
    let key = select.query_row([&nic.client, &nic.nic], |row| {
        Ok(NicIds { client: row.get(0)?, nic: row.get(1)? })
    });
    Ok(key.optional()?)
}

fn nics_before(
    db: &mut Connection,
    nics: &[KnownNic],
    time_ns: WallNs,
) -> Result<Vec<NicBefore>, Failure> {
    let transaction = db.transaction()?;
    let mut select = transaction.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM bandwidth_5m WHERE client = ?1 AND nic = ?2 AND time < ?3),
             coalesce((SELECT NOT up FROM link_changes WHERE client = ?1 AND nic = ?2 AND time < ?3
                       ORDER BY time DESC LIMIT 1), 0)",
    )?;
    let mut before = |nic: &KnownNic| {
        let Some(NicIds { client, nic }) = key(&transaction, nic)? else {
            return Ok(NicBefore::default());
        };
        let read = |row: &Row<'_>| Ok(NicBefore { measured: row.get(0)?, down: row.get(1)? });
        Ok(select.query_row(params![client, nic, time_ns.to_column()], read)?)
    };
    nics.iter().map(&mut before).collect()
}

fn history(
    db: &Connection,
    nic: &KnownNic,
    (from_ns, to_ns): (WallNs, WallNs),
) -> Result<NicHistory, Failure> {
    let Some(NicIds { client, nic }) = key(db, nic)? else { return Ok(NicHistory::default()) };
    let [from, to] = [from_ns, to_ns].map(WallNs::to_column);
    let mut rows = db.prepare_cached(
        "SELECT time, covered_ns, rx_bytes, rx_packets, tx_bytes, tx_packets, drops, flags
         FROM bandwidth_5m WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND time < ?4
         ORDER BY time",
    )?;
    let before = from_ns.saturating_sub(FIVE_MINUTES_NS).to_column();
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
    let mut gaps = db.prepare_cached(
        "SELECT time, interval_ns, rx_bytes, rx_packets, tx_bytes, tx_packets FROM gaps
         WHERE session IN (SELECT session FROM sessions WHERE client = ?1) AND nic = ?2
             AND time < ?4 AND time + interval_ns > ?3 AND reason <> ?5 ORDER BY time",
    )?;
    let gaps = gaps.query_map(params![client, nic, from, to, Gap::Unmeasured as u8], |row| {
        let (start_ns, interval_ns) = (WallNs::of_column(row.get(0)?), number(row, 1)?);
        Ok(CountedGap { start_ns, interval_ns, rx: volume(row, 2)?, tx: volume(row, 4)? })
    })?;
    let gaps = gaps.collect::<rusqlite::Result<_>>()?;
    let mut links = db.prepare_cached(
        "SELECT time, up FROM link_changes WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND time < ?4
         ORDER BY time",
    )?;
    let links = links.query_map(params![client, nic, from, to], |row| {
        Ok(LinkTurn { time_ns: WallNs::of_column(row.get(0)?), up: row.get(1)? })
    })?;
    let links = links.collect::<rusqlite::Result<_>>()?;
    Ok(NicHistory { rows, gaps, links })
}

fn volume(row: &Row<'_>, at: usize) -> rusqlite::Result<Volume> {
    Ok(Volume { bytes: Bytes(number(row, at)?), packets: Packets(number(row, at + 1)?) })
}
