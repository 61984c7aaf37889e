//! `session_nics`: the sums of each session's samples per NIC, and the totals that its agent kept.

use tokio_postgres::Client;

use super::nics::{NicIds, ids};
use crate::store::postgres::error::Failure;
use crate::store::postgres::figures::{FigureRows, array};
use crate::store::postgres::number::int8s;
use crate::store::rows::facts::Ledger;

/// The columns of `session_nics`.
const LEDGER: [&str; 14] = [
    "session",
    "nic",
    "first_rx_bytes",
    "first_tx_bytes",
    "first_rx_packets",
    "first_tx_packets",
    "last_rx_bytes",
    "last_tx_bytes",
    "last_rx_packets",
    "last_tx_packets",
    "counted_rx_bytes",
    "counted_tx_bytes",
    "counted_rx_packets",
    "counted_tx_packets",
];

pub async fn add(client: &Client, ledgers: &[Ledger], nics: &[NicIds]) -> Result<(), Failure> {
    if ledgers.is_empty() {
        return Ok(());
    }
    let row = |ledger: &Ledger| {
        let NicIds { nic, .. } = ids(nics, ledger.nic)?;
        let mut row = vec![ledger.session.to_column(), nic.get()];
        for figures in [ledger.first, ledger.last, ledger.counted] {
            row.extend(int8s(figures.to_array())?);
        }
        array(row)
    };
    let rows = ledgers.iter().map(row).collect::<Result<_, _>>()?;
    let figures = FigureRows::new(LEDGER, rows);
    client
        .execute_typed(
            &format!(
                "INSERT INTO session_nics AS old ({}) {}
             ON CONFLICT (session, nic) DO UPDATE SET
                 last_rx_bytes = excluded.last_rx_bytes,
                 last_tx_bytes = excluded.last_tx_bytes,
                 last_rx_packets = excluded.last_rx_packets,
                 last_tx_packets = excluded.last_tx_packets,
                 counted_rx_bytes = old.counted_rx_bytes + excluded.counted_rx_bytes,
                 counted_tx_bytes = old.counted_tx_bytes + excluded.counted_tx_bytes,
                 counted_rx_packets = old.counted_rx_packets + excluded.counted_rx_packets,
                 counted_tx_packets = old.counted_tx_packets + excluded.counted_tx_packets",
                LEDGER.join(", "),
                figures.select()
            ),
            &figures.params(),
        )
        .await?;
    Ok(())
}
