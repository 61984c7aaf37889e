//! `session_nics`: the sums of each session's samples per NIC, and the totals that its agent kept.

use rusqlite::Transaction;

use super::insert::execute;
use super::nics::{NicIds, ids};
use crate::store::rows::facts::Ledger;
use crate::store::sqlite::error::Failure;
use crate::store::sqlite::number::ints;

pub fn add(
    transaction: &Transaction<'_>,
    ledgers: &[Ledger],
    nics: &[NicIds],
) -> Result<(), Failure> {
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO session_nics VALUES
             (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
         ON CONFLICT (session, nic) DO UPDATE SET
             last_rx_bytes = excluded.last_rx_bytes,
             last_tx_bytes = excluded.last_tx_bytes,
             last_rx_packets = excluded.last_rx_packets,
             last_tx_packets = excluded.last_tx_packets,
             counted_rx_bytes = counted_rx_bytes + excluded.counted_rx_bytes,
             counted_tx_bytes = counted_tx_bytes + excluded.counted_tx_bytes,
             counted_rx_packets = counted_rx_packets + excluded.counted_rx_packets,
             counted_tx_packets = counted_tx_packets + excluded.counted_tx_packets",
    )?;
    for ledger in ledgers {
        let NicIds { nic, .. } = ids(nics, ledger.nic)?;
        let mut row = vec![ledger.session.to_column(), nic.get()];
        for figures in [ledger.first, ledger.last, ledger.counted] {
            row.extend(ints(figures.to_array())?);
        }
        execute(&mut upsert, row)?;
    }
    Ok(())
}
