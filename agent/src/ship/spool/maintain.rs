//! Enforces the spool's limits: forgets committed records, coarsens old ones.

use std::time::{Duration, Instant};

use rusqlite::params;
use wire::BootNs;
use wire::Seq;
use wire::frame::Frame;
use wire::id::SessionId;
use wire::message::SeqRange;

use super::age::Clock;
use super::coarsen::{Coarseness, coarsen};
use super::error::SpoolError;
use super::file::{LOG_SHARE, Spool, write_clock};
use super::records::{checked, insert, record};

/// Longest time of one round, since others wait for the spool, for instance at the agent's end.
const TIME_MAX: Duration = Duration::from_secs(2);

/// Records that one step of coarsening takes at most.
const COARSEN_STEP: u32 = 600;

impl Spool {
    /// Forgets records that have been committed for long enough, and coarsens while the spool is
    /// over its limits. Call it every few seconds; each call does a bounded part.
    ///
    /// # Errors
    /// [`SpoolError::Sqlite`] if the file can't be written.
    pub fn maintain(&mut self, running: SessionId, boot_ns: BootNs) -> Result<(), SpoolError> {
        self.reopen()?;
        let over = Instant::now() + TIME_MAX;
        let now_ns = self.clock.at(boot_ns);
        self.wrap(write_clock(&self.db, Clock { boot_ns, spool_ns: now_ns }))?;
        self.wrap(self.forget(running, now_ns))?;
        // As long as the clock is younger than that, nothing is too old.
        if let Some(too_old) = now_ns.checked_sub(nanos(self.limits.max_age)) {
            self.wrap(self.coarsen_while(Some(too_old), || Ok(Instant::now() < over)))?;
        }
        let most = self.limits.max_size - self.limits.max_size / LOG_SHARE;
        if self.wrap(self.used_bytes())? > most {
            // Committed records go first, however recent.
            self.wrap(self.forget(running, u64::MAX))?;
        }
        let too_large = || Ok(self.used_bytes()? > most && Instant::now() < over);
        self.wrap(self.coarsen_while(None, too_large))
    }

    fn forget(&self, running: SessionId, spool_ns: u64) -> rusqlite::Result<()> {
        let before = spool_ns.saturating_sub(nanos(self.limits.keep_committed));
        let before = before.min(i64::MAX as u64).cast_signed();
        let transaction = self.db.unchecked_transaction()?;
        transaction
            .prepare_cached(
                "UPDATE sessions SET forgotten_seq = min(last_seq, max(forgotten_seq, (SELECT max(seq)
                 FROM commits WHERE commits.session = sessions.session AND at_ns <= ?1)))
                 WHERE session IN (SELECT session FROM commits WHERE at_ns <= ?1)",
            )?
            .execute([before])?;
        transaction
            .prepare_cached(
                "DELETE FROM records WHERE EXISTS (SELECT 1 FROM commits WHERE
             commits.session = records.session AND at_ns <= ?1 AND seq >= records.last_seq)",
            )?
            .execute([before])?;
        // Delete commits that have taken effect.
        transaction.prepare_cached("DELETE FROM commits WHERE at_ns <= ?1")?.execute([before])?;
        transaction
            .prepare_cached(
                "DELETE FROM sessions WHERE session <> ?1 AND committed_seq >= last_seq
             AND NOT EXISTS (SELECT 1 FROM records WHERE records.session = sessions.session)
             AND NOT EXISTS (SELECT 1 FROM commits WHERE commits.session = sessions.session)",
            )?
            .execute([running.to_column()])?;
        transaction.commit()
    }

    /// Used bytes of the file.
    fn used_bytes(&self) -> rusqlite::Result<u64> {
        let pragma = |name: &str| self.db.query_row(name, [], |row| row.get::<_, i64>(0));
        let pages = pragma("PRAGMA page_count")? - pragma("PRAGMA freelist_count")?;
        Ok((pages * pragma("PRAGMA page_size")?).cast_unsigned())
    }

    /// Makes the oldest records coarser, level by level, as long as it helps and `go_on` says so;
    /// records from before `too_old` become gaps at once.
    fn coarsen_while(
        &self,
        too_old: Option<u64>,
        go_on: impl Fn() -> rusqlite::Result<bool>,
    ) -> rusqlite::Result<()> {
        let sessions = self
            .db
            .prepare_cached("SELECT session FROM sessions ORDER BY nth")?
            .query_map([], |row| row.get(0).map(SessionId::of_column))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        for level in Coarseness::COARSENABLE {
            if too_old.is_some() && level == Coarseness::Gap {
                return Ok(());
            }
            let into = if too_old.is_some() { Coarseness::Gap } else { level.coarser() };
            for &session in &sessions {
                while go_on()? {
                    if !self.coarsen_session(session, level, into, too_old)? {
                        break;
                    }
                }
                if !go_on()? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn coarsen_session(
        &self,
        session: SessionId,
        level: Coarseness,
        into: Coarseness,
        too_old: Option<u64>,
    ) -> rusqlite::Result<bool> {
        let mut statement = self.db.prepare_cached(
            "SELECT first_seq, last_seq, made_ns, frame, crc FROM records
             WHERE session = ?1 AND level = ?2 AND made_ns < ?3 AND first_seq >
                 (SELECT committed_seq FROM sessions WHERE sessions.session = ?1)
             ORDER BY first_seq LIMIT ?4",
        )?;
        let made_before = too_old.map_or(i64::MAX, u64::cast_signed);
        let mut rows = statement.query(params![
            session.to_column(),
            level as u8,
            made_before,
            COARSEN_STEP
        ])?;
        let (mut frames, mut made_ns): (Vec<Frame>, u64) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let number = |at| row.get(at).map(Seq::of_column);
            let range = SeqRange { first: number(0)?, last: number(1)? };
            let follows = frames.last().is_none_or(|frame| frame.last_seq + 1 == range.first);
            if self.sent.overlaps(session, range) || !follows {
                if frames.is_empty() {
                    continue;
                }
                break;
            }
            made_ns = row.get::<_, i64>(2)?.cast_unsigned();
            let Some((_, frame)) = checked(session, range, row, [3, 4]) else {
                drop(rows);
                self.replace_broken(session, range)?;
                return Ok(true);
            };
            frames.push(frame);
        }
        let Some((first, last)) = frames.first().zip(frames.last()) else { return Ok(false) };
        let range = [session.to_column(), first.first_seq.to_column(), last.last_seq.to_column()];
        let before = frames.len();
        let coarse = coarsen(frames, into);
        if coarse.len() >= before && level == into {
            return Ok(false);
        }
        drop(rows);
        let transaction = self.db.unchecked_transaction()?;
        transaction
            .prepare_cached(
                "DELETE FROM records WHERE session = ?1 AND first_seq BETWEEN ?2 AND ?3",
            )?
            .execute(range)?;
        for frame in &coarse {
            insert(&transaction, session, &record(frame), into, made_ns)?;
        }
        transaction.commit()?;
        Ok(true)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
