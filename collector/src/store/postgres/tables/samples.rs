//! `hot_samples`: one row per sample.

use tokio_postgres::Client;
use wire::frame::Sample;

use super::nics::{NicIds, ids};
use crate::store::postgres::copy::copy;
use crate::store::postgres::error::Failure;
use crate::store::postgres::number::{int4, int8};
use crate::store::postgres::partition::{Partition, Table};
use crate::store::rows::columns::{COUNTS, PEAKS, count_figures, peak_figures};
use crate::store::rows::facts::NicIndex;

/// Adds rows directly to the `partition` that holds all of them, if known: the server then needn't
/// choose one for each row.
pub async fn add(
    client: &Client,
    samples: &[(NicIndex, &Sample)],
    nics: &[NicIds],
    partition: Option<Partition>,
) -> Result<(), Failure> {
    if samples.is_empty() {
        return Ok(());
    }
    let [rx_bytes, tx_bytes, packets @ ..] = COUNTS;
    let table = partition.map_or_else(|| Table::Stats.name().to_owned(), Partition::name);
    let sql = format!(
        "COPY {table} (time, interval_ns, {rx_bytes}, {tx_bytes}, client, nic, {}, {},
             drops, flags) FROM STDIN BINARY",
        packets.join(", "),
        PEAKS.join(", ")
    );
    copy(client, &sql, 16, samples, |(nic, sample), row| {
        let [rx_bytes, tx_bytes, packets @ ..] = count_figures(sample);
        row.time(sample.start_ns);
        for figure in [sample.interval_ns, rx_bytes, tx_bytes] {
            row.int8(int8(figure)?);
        }
        let NicIds { client, nic } = ids(nics, *nic)?;
        row.int4(client);
        row.nic(nic)?;
        for figure in packets {
            row.int4(int4(figure)?);
        }
        for peak in peak_figures(sample) {
            row.int4(int4(peak)?);
        }
        row.int4(int4(sample.drops.get())?);
        row.int4(int4(sample.flags)?);
        Ok(())
    })
    .await
}
