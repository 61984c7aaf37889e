//! Reads the minutes of several clients.

use rusqlite::{Connection, params};

use super::error::Failure;
use super::points::point;
use crate::store::rows::nics::NicId;
use crate::store::rows::series::{ClientRange, StoredMinutes};

pub(super) fn minutes(
    db: &Connection,
    ranges: &[ClientRange],
) -> Result<Vec<StoredMinutes>, Failure> {
    let mut nics = db.prepare_cached(
        "SELECT c.id, n.id, n.name FROM clients c JOIN nics n ON n.client = c.id
         WHERE c.client_id = ?1",
    )?;
    let mut select = db.prepare_cached(
        "SELECT time, covered_ns, rx_bytes, rx_packets, rx_captured, rx_peak_1ms_bytes,
             rx_peak_10ms_bytes, tx_bytes, tx_packets, tx_captured, tx_peak_1ms_bytes,
             tx_peak_10ms_bytes, drops, flags FROM bandwidth_1m
         WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND time < ?4 ORDER BY time",
    )?;
    let mut found = Vec::new();
    for ClientRange { client, from_ns, to_ns } in ranges {
        let keys = nics.query_map([client], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        for key in keys {
            let (client_key, nic_key, nic): (i64, NicId, String) = key?;
            let range = params![client_key, nic_key, from_ns.to_column(), to_ns.to_column()];
            let minutes = select.query_map(range, point)?.collect::<rusqlite::Result<Vec<_>>>()?;
            if !minutes.is_empty() {
                found.push(StoredMinutes { client: client.clone(), nic, minutes });
            }
        }
    }
    Ok(found)
}
