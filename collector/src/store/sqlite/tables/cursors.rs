//! `sessions`: the progress of each session, and `clients`: when each was last seen.

use rusqlite::{Transaction, params};

use crate::store::port::error::StoreError;
use crate::store::rows::batch::Batch;
use crate::store::rows::facts::{Cursor, untiled};
use crate::store::sqlite::error::Failure;

/// Time between two updates of a committing client's last sighting, nanoseconds.
const SEEN_EVERY_NS: i64 = 10_000_000_000;

/// Advances every session from its expected position, or names the sessions that are elsewhere.
pub fn advance(
    transaction: &Transaction<'_>,
    batch: &Batch,
    cursors: &[Cursor<'_>],
    now: i64,
) -> Result<(), Failure> {
    let mut conflicts = untiled(batch);
    let mut update = transaction.prepare_cached(
        "UPDATE sessions SET committed_seq = ?4, covered_seqs = covered_seqs + ?5,
             gap_seqs = gap_seqs + ?6, quarantine_seqs = quarantine_seqs + ?7, committed_at = ?8,
             committed_digest = ?10, digest_seq = ?4
         WHERE session = ?1 AND committed_seq = ?2 AND epoch = ?3
             AND client = (SELECT id FROM clients WHERE client_id = ?9)",
    )?;
    let mut seen = transaction.prepare_cached(
        "UPDATE clients SET last_seen_at = ?2
         WHERE client_id = ?1 AND last_seen_at NOT BETWEEN ?3 AND ?2",
    )?;
    for cursor in cursors {
        let session = cursor.session;
        let moved = update.execute(params![
            session.session.to_column(),
            session.expected.to_column(),
            session.epoch.0.cast_signed(),
            session.last_seq().to_column(),
            cursor.covered.cast_signed(),
            cursor.gaps.cast_signed(),
            cursor.quarantined.cast_signed(),
            now,
            session.client.as_str(),
            session.digest.cast_signed(),
        ])?;
        if moved == 0 && !conflicts.contains(&session.session) {
            conflicts.push(session.session);
        }
        seen.execute(params![session.client.as_str(), now, now - SEEN_EVERY_NS])?;
    }
    if conflicts.is_empty() {
        Ok(())
    } else {
        Err(StoreError::Conflict { sessions: conflicts }.into())
    }
}
