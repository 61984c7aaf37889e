//! `gaps`: sequence numbers without samples.

use tokio_postgres::Client;
use wire::frame::Sample;

use super::nics::{Ids, NicIds, ids};
use crate::store::postgres::copy::copy;
use crate::store::postgres::error::Failure;
use crate::store::postgres::number::{int4, int8};
use crate::store::rows::columns::{COUNTS, PEAKS, count_figures, peak_figures};
use crate::store::rows::facts::GapRow;

pub async fn add(client: &Client, gaps: &[GapRow<'_>], ids_of: &Ids) -> Result<(), Failure> {
    if gaps.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "COPY gaps (session, first_seq, last_seq, reason, client, nic, time, interval_ns, {}, {},
             drops, flags) FROM STDIN BINARY",
        COUNTS.join(", "),
        PEAKS.join(", ")
    );
    copy(client, &sql, 20, gaps, |GapRow { frame, reason, sample }, row| {
        row.int8(frame.session.to_column());
        row.int8(frame.first_seq.to_column());
        row.int8(frame.last_seq.to_column());
        row.int2((*reason).into());
        row.int4(ids_of.sessions.get(&frame.session).copied().unwrap_or_default());
        let default = Sample::default();
        let figures = sample.map_or(&default, |(_, sample)| sample);
        match sample {
            Some((nic, sample)) => {
                let NicIds { nic, .. } = ids(&ids_of.nics, *nic)?;
                row.nic(nic)?;
                row.time(sample.start_ns);
                row.int8(int8(sample.interval_ns)?);
            }
            None => (0..3).for_each(|_| row.null()),
        }
        for figure in count_figures(figures) {
            row.int8(int8(figure)?);
        }
        for peak in peak_figures(figures) {
            row.int4(int4(peak)?);
        }
        row.int8(int8(figures.drops.get())?);
        row.int4(int4(figures.flags)?);
        Ok(())
    })
    .await
}
