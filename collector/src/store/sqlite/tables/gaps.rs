//! `gaps`: sequence numbers without samples.

use rusqlite::Transaction;
use wire::frame::Sample;

use super::nics::{NicIds, ids};
use crate::store::rows::columns::{count_figures, peak_figures};
use crate::store::rows::facts::GapRow;
use crate::store::rows::nics::NicId;
use crate::store::sqlite::error::Failure;
use crate::store::sqlite::number::{int, ints};

pub fn add(
    transaction: &Transaction<'_>,
    gaps: &[GapRow<'_>],
    nics: &[NicIds],
    now: i64,
) -> Result<(), Failure> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO gaps SELECT ?1, ?2, ?3, ?4, client, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,
             ?14, ?15, ?16, ?17, ?18, ?19, ?20 FROM sessions WHERE session = ?1",
    )?;
    for GapRow { frame, reason, sample } in gaps {
        let nic = sample.map(|(nic, _)| ids(nics, nic)).transpose()?.map(|ids| ids.nic);
        let default = Sample::default();
        let figures = sample.map_or(&default, |(_, sample)| sample);
        let range =
            [frame.session.to_column(), frame.first_seq.to_column(), frame.last_seq.to_column()];
        let mut row = range.map(Some).to_vec();
        row.extend([Some((*reason).into()), nic.map(NicId::get)]);
        row.push(nic.map(|_| figures.start_ns.to_column()));
        row.push(nic.map(|_| int(figures.interval_ns)).transpose()?);
        row.extend(ints(count_figures(figures))?.into_iter().map(Some));
        row.extend(peak_figures(figures).map(|peak| Some(peak.into())));
        row.extend([Some(int(figures.drops.get())?), Some(figures.flags.into()), Some(now)]);
        insert.execute(rusqlite::params_from_iter(row))?;
    }
    Ok(())
}
