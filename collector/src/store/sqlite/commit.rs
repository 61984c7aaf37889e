//! Commits: adds the rows of a batch to all tables in one transaction, or nothing.

use rusqlite::{Connection, TransactionBehavior};
use wire::WallNs;

use super::error::Failure;
use super::tables::nics::NicIds;
use super::tables::{
    client_days, cursors, gaps, ledgers, mixes, nics, quarantine, rollups, samples, talkers,
};
use crate::store::port::excess;
use crate::store::port::write::TransactionEnd;
use crate::store::rows::batch::Batch;
use crate::store::rows::facts::BatchRows;
use crate::store::rows::nics::Excess;
use crate::store::rows::rollups::Rollups;

/// Adds all of a batch in one transaction.
pub(super) fn add(
    db: &mut Connection,
    batch: &Batch,
    end: TransactionEnd,
    now_ns: WallNs,
) -> Result<(), Failure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (mut facts, now) = (BatchRows::of(batch), now_ns.to_column());
    let mut ids = nics::resolve(&transaction, &facts)?;
    if ids.iter().any(Option::is_none) {
        let excess = facts.nics.iter().zip(&ids).filter(|(_, ids)| ids.is_none());
        let excess: Excess<'_> = excess.map(|(nic, _)| *nic).collect();
        excess::warn(&excess);
        facts = BatchRows::without(batch, excess);
        ids = nics::resolve(&transaction, &facts)?;
    }
    let ids: Vec<NicIds> = ids.into_iter().flatten().collect();
    cursors::advance(&transaction, batch, &facts.cursors, now)?;
    samples::add(&transaction, &facts.samples, &ids)?;
    mixes::add(&transaction, &facts.mixes, &ids)?;
    talkers::add(&transaction, &facts.talkers, &ids, now)?;
    gaps::add(&transaction, &facts.gaps, &ids, now)?;
    let sums = Rollups::of(&facts.samples);
    rollups::add(&transaction, &sums, &ids)?;
    client_days::note(&transaction, &sums, &ids)?;
    ledgers::add(&transaction, &facts.ledgers, &ids)?;
    quarantine::add(&transaction, &facts.quarantine, now)?;
    match end {
        TransactionEnd::Commit => transaction.commit()?,
        TransactionEnd::Rollback => transaction.rollback()?,
    }
    Ok(())
}
