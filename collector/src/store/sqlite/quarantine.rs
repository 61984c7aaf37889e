//! Deletes frames from quarantine by age.

use rusqlite::{OptionalExtension, Transaction, params};

use super::error::Failure;

/// Most frames deleted per step: each may have a MiB.
const STEP_FRAMES: i64 = 200;

/// Deletes some frames of one session received before `before`; returns their number.
pub(super) fn delete_some(transaction: &Transaction<'_>, before: i64) -> Result<usize, Failure> {
    let session: Option<i64> = transaction
        .prepare_cached("SELECT session FROM quarantine WHERE received_at < ?1 LIMIT 1")?
        .query_row([before], |row| row.get(0))
        .optional()?;
    let Some(session) = session else { return Ok(0) };
    let old = "SELECT first_seq FROM quarantine WHERE session = ?1 AND received_at < ?2
               ORDER BY first_seq LIMIT ?3";
    let key = params![session, before, STEP_FRAMES];
    transaction.execute(
        &format!(
            "UPDATE sessions SET expired_quarantine_seqs = expired_quarantine_seqs
                 + (SELECT sum(last_seq - first_seq + 1) FROM quarantine
                    WHERE session = ?1 AND first_seq IN ({old}))
             WHERE session = ?1"
        ),
        key,
    )?;
    let delete = format!("DELETE FROM quarantine WHERE session = ?1 AND first_seq IN ({old})");
    Ok(transaction.execute(&delete, key)?)
}
