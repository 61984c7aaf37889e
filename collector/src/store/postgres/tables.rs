//! The rows of the tables that COPY fills.

use tokio_postgres::Client;
use wire::codec::frame_bytes;
use wire::frame::Sample;

use super::commit::Ids;
use super::copy::copy;
use super::error::Failure;
use super::partition::{Partition, Table};
use crate::store::columns::{self, COUNTS, PEAKS, count_figures, mix_figures, peak_figures};
use crate::store::facts::{Facts, GapRow, NicIndex};

/// Numbers of a client and of one of its NICs, as rows refer to them.
pub(super) type NicIds = [i32; 2];

pub(super) fn ids(nics: &[NicIds], nic: NicIndex) -> Result<NicIds, Failure> {
    nics.get(nic).copied().ok_or_else(|| Failure::Refused(format!("no NIC at place {nic}")))
}

fn int(figure: u64) -> Result<i64, Failure> {
    i64::try_from(figure).map_err(|_| Failure::Refused(format!("a figure of {figure}")))
}

pub(super) fn ints(figures: impl IntoIterator<Item = u64>) -> Result<Vec<i64>, Failure> {
    figures.into_iter().map(int).collect()
}

fn int4(figure: impl TryInto<i32> + Copy + std::fmt::Display) -> Result<i32, Failure> {
    figure.try_into().map_err(|_| Failure::Refused(format!("a figure of {figure}")))
}

/// Straight into the `partition` that all rows lie in, where that is known: the server then has
/// none to choose for each row.
pub(super) async fn copy_samples(
    client: &Client,
    facts: &Facts<'_>,
    nics: &[NicIds],
    partition: Option<Partition>,
) -> Result<(), Failure> {
    if facts.samples.is_empty() {
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
    copy(client, &sql, 16, &facts.samples, |(nic, sample), row| {
        let [rx_bytes, tx_bytes, packets @ ..] = count_figures(sample);
        row.time(sample.start_ns);
        for figure in [sample.interval_ns, rx_bytes, tx_bytes] {
            row.int8(int(figure)?);
        }
        for id in ids(nics, *nic)? {
            row.int4(id);
        }
        for figure in packets {
            row.int4(int4(figure)?);
        }
        for peak in peak_figures(sample) {
            row.int4(int4(peak)?);
        }
        row.int4(int4(sample.drops)?);
        row.int4(int4(sample.flags)?);
        Ok(())
    })
    .await
}

pub(super) async fn copy_mixes(
    client: &Client,
    facts: &Facts<'_>,
    nics: &[NicIds],
) -> Result<(), Failure> {
    if facts.mixes.is_empty() {
        return Ok(());
    }
    let figures: Vec<String> = columns::mix_columns().collect();
    let width = i16::try_from(figures.len() + 4).unwrap_or(i16::MAX);
    let figures = figures.join(", ");
    let sql =
        format!("COPY traffic_mix (time, interval_ns, client, nic, {figures}) FROM STDIN BINARY");
    copy(client, &sql, width, &facts.mixes, |(nic, mix), row| {
        row.time(mix.start_ns);
        row.int8(int(mix.interval_ns)?);
        for id in ids(nics, *nic)? {
            row.int4(id);
        }
        for figure in mix_figures(mix) {
            row.int8(int(figure)?);
        }
        Ok(())
    })
    .await
}

pub(super) async fn copy_gaps(
    client: &Client,
    facts: &Facts<'_>,
    ids_of: &Ids,
) -> Result<(), Failure> {
    if facts.gaps.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "COPY gaps (session, first_seq, last_seq, reason, client, nic, time, interval_ns, {}, {},
             drops, flags) FROM STDIN BINARY",
        COUNTS.join(", "),
        PEAKS.join(", ")
    );
    copy(client, &sql, 20, &facts.gaps, |GapRow { frame, reason, sample }, row| {
        for number in [frame.session, frame.first_seq, frame.last_seq] {
            row.int8(number.cast_signed());
        }
        row.int2((*reason).into());
        row.int4(ids_of.sessions.get(&frame.session).copied().unwrap_or_default());
        let default = Sample::default();
        let figures = sample.map_or(&default, |(_, sample)| sample);
        match sample {
            Some((nic, sample)) => {
                let [_, nic] = ids(&ids_of.nics, *nic)?;
                row.int4(nic);
                row.time(sample.start_ns);
                row.int8(int(sample.interval_ns)?);
            }
            None => (0..3).for_each(|_| row.null()),
        }
        for figure in count_figures(figures) {
            row.int8(int(figure)?);
        }
        for peak in peak_figures(figures) {
            row.int4(int4(peak)?);
        }
        row.int8(int(figures.drops)?);
        row.int4(int4(figures.flags)?);
        Ok(())
    })
    .await
}

pub(super) async fn copy_quarantine(client: &Client, facts: &Facts<'_>) -> Result<(), Failure> {
    if facts.quarantine.is_empty() {
        return Ok(());
    }
    let sql = "COPY quarantine (session, first_seq, last_seq, reason, frame) FROM STDIN BINARY";
    copy(client, sql, 5, &facts.quarantine, |(frame, refusal), row| {
        for number in [frame.session, frame.first_seq, frame.last_seq] {
            row.int8(number.cast_signed());
        }
        row.bytes(refusal.as_bytes())?;
        row.bytes(&frame_bytes(frame))
    })
    .await
}
