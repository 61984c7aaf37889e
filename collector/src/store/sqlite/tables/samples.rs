//! `hot_samples`: one row per sample, until it is packed.

use std::sync::LazyLock;

use rusqlite::Transaction;
use wire::frame::Sample;

use super::insert::Insert;
use super::nics::{NicIds, ids};
use crate::store::rows::columns::{COUNTS, PEAKS, count_figures, peak_figures};
use crate::store::rows::facts::NicIndex;
use crate::store::sqlite::error::Failure;
use crate::store::sqlite::number::int;
use crate::store::sqlite::samples::HOT;

static INSERT: LazyLock<Insert> = LazyLock::new(|| {
    let columns = COUNTS.iter().chain(&PEAKS).chain(&["drops", "flags"]);
    Insert::into(HOT, columns.map(|name| (*name).to_owned()))
});

pub fn add(
    transaction: &Transaction<'_>,
    samples: &[(NicIndex, &Sample)],
    nics: &[NicIds],
) -> Result<(), Failure> {
    let row = |(nic, sample): &(NicIndex, &Sample)| {
        let NicIds { client, nic } = ids(nics, *nic)?;
        let [rx_bytes, tx_bytes, rx_packets, tx_packets, rx_captured, tx_captured] =
            count_figures(sample);
        let [rx_1ms, tx_1ms, rx_10ms, tx_10ms] = peak_figures(sample).map(i64::from);
        Ok([
            client,
            nic.get(),
            sample.start_ns.to_column(),
            int(sample.interval_ns)?,
            int(rx_bytes)?,
            int(tx_bytes)?,
            int(rx_packets)?,
            int(tx_packets)?,
            int(rx_captured)?,
            int(tx_captured)?,
            rx_1ms,
            tx_1ms,
            rx_10ms,
            tx_10ms,
            int(sample.drops.get())?,
            sample.flags.into(),
        ])
    };
    INSERT.all(transaction, samples.iter().map(row))
}
