//! Forks: this host was set back to an earlier state, and the database has other records of one of
//! its sessions. The session continues under a new id.

use std::ops::RangeInclusive;

use rusqlite::{OptionalExtension, Transaction, params};
use settings::InFull;
use wire::codec;
use wire::delivery::{Own, StoredProgress, Written, is_fork};
use wire::frame::{Frame, Gap};
use wire::id::SessionId;
use wire::message::SeqRange;
use wire::{Seq, WallNs};

use super::coarsen::{Coarseness, become_gap, coarsen};
use super::error::SpoolError;
use super::file::{Spool, SpooledSession};
use super::records::{checked, gap_frame, insert, record};
use super::session::ENDED;
use crate::clocks::BootId;

/// A session that continues under a new id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forked {
    /// Its id before.
    pub before: SessionId,
    /// Its new state.
    pub session: SpooledSession,
    /// Amount by which its numbers are lower now.
    pub lowered: u64,
    /// Disputed numbers, which are a gap now.
    pub disputed: u64,
}

/// A session's progress, as the file has it.
struct Cursor {
    started_ns: WallNs,
    last: Seq,
    committed: Seq,
    sent: Seq,
    ended: i64,
    boot: BootId,
}

impl Spool {
    /// Finds the sessions of which the database has other records, and continues each under a new
    /// id from `new_id`: records that the database may or may not have become one gap with exact
    /// counts; later records follow.
    ///
    /// # Errors
    /// [`SpoolError::Sqlite`] if the file can't be read or written. Then don't use what the
    /// collector said.
    pub fn fork(
        &mut self,
        told: &[StoredProgress],
        mut new_id: impl FnMut() -> SessionId,
    ) -> Result<Vec<Forked>, SpoolError> {
        self.reopen()?;
        let mut forked = Vec::new();
        for it in told {
            let Some(cursor) = self.wrap(self.cursor(it.session))? else { continue };
            let own = self.wrap(self.own(&cursor, *it))?;
            if is_fork(&own, *it) {
                match self.go_on_as(*it, &cursor, new_id()) {
                    Ok(it) => forked.push(it),
                    Err(error) if forked.is_empty() => return Err(error),
                    // Return the finished ones; the next Welcome brings the others again.
                    Err(error) => {
                        tracing::warn!(error = %error.in_full(), "can't give every session a new id yet");
                        break;
                    }
                }
            }
        }
        Ok(forked)
    }

    fn cursor(&self, session: SessionId) -> rusqlite::Result<Option<Cursor>> {
        let written = self
            .db
            .prepare_cached(
                "SELECT started_ns, last_seq, committed_seq, sent_seq, ended, boot FROM sessions
                 WHERE session = ?1",
            )?
            .query_row([session.to_column()], |row| {
                let number = |at| row.get(at).map(Seq::of_column);
                Ok(Cursor {
                    started_ns: WallNs::of_column(row.get(0)?),
                    last: number(1)?,
                    committed: number(2)?,
                    sent: number(3)?,
                    ended: row.get(4)?,
                    boot: BootId(row.get::<_, i64>(5)?.cast_unsigned()),
                })
            })
            .optional()?;
        // A running session may not be in the file yet.
        let running = self.running.filter(|it| it.session == session).map(|it| Cursor {
            started_ns: it.started_ns,
            last: it.last_seq,
            committed: it.committed_seq,
            sent: it.committed_seq,
            ended: 0,
            boot: self.boot,
        });
        Ok(written.or(running))
    }

    fn own(&self, cursor: &Cursor, told: StoredProgress) -> rusqlite::Result<Own> {
        let running = self.running.is_some_and(|it| it.session == told.session);
        // A kill takes nothing that was written, as long as the kernel runs on.
        let killed = cursor.boot.is_known() && cursor.boot == self.boot;
        Ok(Own {
            committed: cursor.committed,
            sent: cursor.sent,
            last: cursor.last,
            whole: running || killed || cursor.ended == ENDED,
            told: self.written(told.session, told.seq)?,
        })
    }

    fn written(&self, session: SessionId, seq: Seq) -> rusqlite::Result<Written> {
        let mut statement = self.db.prepare_cached(
            "SELECT first_seq, last_seq, frame, crc FROM records
             WHERE session = ?1 AND first_seq <= ?2 ORDER BY first_seq DESC LIMIT 1",
        )?;
        let mut rows = statement.query([session.to_column(), seq.to_column()])?;
        let Some(row) = rows.next()? else { return Ok(Written::Nothing) };
        let number = |at| row.get(at).map(Seq::of_column);
        let range = SeqRange { first: number(0)?, last: number(1)? };
        let replaced = [Gap::SpoolDamaged as u8, Gap::Forgotten as u8];
        Ok(match checked(session, range, row, [2, 3]) {
            Some((_, frame)) if replaced.contains(&frame.gap) => Written::Nothing,
            Some((_, frame)) if range.last == seq => Written::Ends {
                digest: codec::digest(&frame),
                without_talkers: codec::digest_without_talkers(&frame),
            },
            Some(_) if range.last > seq => Written::GoesOn,
            _ => Written::Nothing,
        })
    }

    fn go_on_as(
        &mut self,
        told: StoredProgress,
        cursor: &Cursor,
        id: SessionId,
    ) -> Result<Forked, SpoolError> {
        let before = told.session;
        let started_ns = cursor.started_ns.saturating_add(1);
        let session =
            SpooledSession { session: id, started_ns, last_seq: Seq(0), committed_seq: Seq(0) };
        if cursor.last == Seq(0) {
            // It is not written yet.
            let frames = self.beginning.iter_mut().flat_map(|it| &mut it.before);
            frames.for_each(|frame| frame.session = id);
            return Ok(self.forked(Forked { before, session, lowered: 0, disputed: 0 }));
        }
        self.wrap(self.fill_holes(before))?;
        let moved = self.move_records(told, cursor, session);
        let forked = self.wrap(moved)?;
        self.sent.forget(before);
        Ok(self.forked(forked))
    }

    fn forked(&mut self, forked: Forked) -> Forked {
        if self.running.is_some_and(|it| it.session == forked.before) {
            self.running = Some(forked.session);
        }
        tracing::error!(
            session = %forked.before,
            goes_on_as = %forked.session.session,
            disputed = forked.disputed,
            "the database has other records of a session: this host was set back to an earlier \
             state (a snapshot, a restored data directory); records that can't be told apart are \
             a gap now"
        );
        forked
    }

    fn move_records(
        &self,
        told: StoredProgress,
        cursor: &Cursor,
        mut session: SpooledSession,
    ) -> rusqlite::Result<Forked> {
        let (before, id) = (told.session, session.session);
        // Numbers that were known to be committed are not disputed.
        let agreed = cursor.committed.min(told.seq);
        let disputed_last = self.end_of_record(before, told.seq.clamp(agreed, cursor.last))?;
        let transaction = self.db.unchecked_transaction()?;
        write_down(&transaction, &session, before)?;
        let mut frames = read(&transaction, before, agreed + 1..=disputed_last)?;
        for (frame, ..) in &mut frames {
            if frame.gap == 0 {
                become_gap(frame, Gap::Forked);
            }
        }
        let made_ns = frames.last().map_or(0, |(_, _, made_ns)| *made_ns);
        let frames =
            coarsen(frames.into_iter().map(|(frame, ..)| frame).collect(), Coarseness::Gap);
        let disputed = disputed_last - agreed;
        // If nothing is disputed, one number records the fork.
        let numbers = disputed.max(1);
        let lowered = disputed_last.get().saturating_sub(numbers);
        for frame in tiling(frames, gap_frame(id, Seq::FIRST, Seq(numbers), Gap::Forked), lowered) {
            insert(&transaction, id, &record(&frame), Coarseness::Gap, made_ns)?;
        }
        for (mut frame, level, made_ns) in
            read(&transaction, before, disputed_last + 1..=cursor.last)?
        {
            frame.session = id;
            frame.first_seq -= lowered;
            frame.last_seq -= lowered;
            insert(&transaction, id, &record(&frame), level, made_ns)?;
        }
        session.last_seq = cursor.last - lowered;
        let [old, new, agreed_seq, last] =
            [before.to_column(), id.to_column(), agreed.to_column(), session.last_seq.to_column()];
        transaction.execute("UPDATE sessions SET last_seq = ?2 WHERE session = ?1", [new, last])?;
        transaction.execute(
            "DELETE FROM records WHERE session = ?1 AND last_seq > ?2",
            [old, agreed_seq],
        )?;
        transaction.execute(
            "UPDATE sessions SET last_seq = ?2, committed_seq = ?2, sent_seq = ?2,
                 forgotten_seq = min(forgotten_seq, ?2), ended = ?3 WHERE session = ?1",
            [old, agreed_seq, ENDED],
        )?;
        transaction
            .execute("DELETE FROM commits WHERE session = ?1 AND seq > ?2", [old, agreed_seq])?;
        transaction.commit()?;
        Ok(Forked { before, session, lowered, disputed })
    }

    /// The end of the record that contains a number.
    fn end_of_record(&self, session: SessionId, seq: Seq) -> rusqlite::Result<Seq> {
        let end: Option<i64> = self.db.query_row(
            "SELECT max(last_seq) FROM records WHERE session = ?1 AND first_seq <= ?2",
            [session.to_column(), seq.to_column()],
            |row| row.get(0),
        )?;
        Ok(end.map_or(seq, |end| seq.max(Seq::of_column(end))))
    }
}

/// Replaces a session by its successor.
fn write_down(
    transaction: &Transaction<'_>,
    session: &SpooledSession,
    before: SessionId,
) -> rusqlite::Result<()> {
    let figures = [session.session.to_column(), session.started_ns.to_column(), before.to_column()];
    let sql = "INSERT INTO sessions SELECT ?1, ?2, 0, 0, 0, 0, ended, nth, boot
               FROM sessions
               WHERE session = ?3";
    transaction.execute(sql, figures).map(drop)
}

/// The records that cover some numbers, with level and time. The first may begin earlier. A damaged
/// one is given as a gap.
fn read(
    transaction: &Transaction<'_>,
    session: SessionId,
    numbers: RangeInclusive<Seq>,
) -> rusqlite::Result<Vec<(Frame, Coarseness, u64)>> {
    let mut statement = transaction.prepare_cached(
        "SELECT first_seq, last_seq, frame, crc, level, made_ns FROM records
         WHERE session = ?1 AND last_seq >= ?2 AND first_seq <= ?3 ORDER BY first_seq",
    )?;
    let [id, first, last] =
        [session.to_column(), numbers.start().to_column(), numbers.end().to_column()];
    let mut rows = statement.query(params![id, first, last])?;
    let mut frames = Vec::new();
    while let Some(row) = rows.next()? {
        let number = |at| row.get(at).map(Seq::of_column);
        let range = SeqRange { first: number(0)?, last: number(1)? };
        let level = Coarseness::from_number(row.get(4)?);
        let broken = || gap_frame(session, range.first, range.last, Gap::SpoolDamaged);
        let frame = checked(session, range, row, [2, 3]).map_or_else(broken, |(_, frame)| frame);
        frames.push((frame, level, row.get::<_, i64>(5)?.cast_unsigned()));
    }
    Ok(frames)
}

/// Gaps that cover all numbers of `whole`, by the counts of `frames`, whose numbers are too high by
/// `lowered`.
fn tiling(frames: Vec<Frame>, whole: Frame, lowered: u64) -> Vec<Frame> {
    if frames.is_empty() {
        return vec![whole];
    }
    let lasts: Vec<Seq> = frames.iter().map(|frame| frame.last_seq - lowered).collect();
    let newest = lasts.len() - 1;
    let mut next = whole.first_seq;
    let tile = |(at, (mut frame, last)): (usize, (Frame, Seq))| {
        frame.session = whole.session;
        frame.first_seq = next;
        frame.last_seq = if at == newest { whole.last_seq } else { last };
        next = frame.last_seq + 1;
        frame
    };
    frames.into_iter().zip(lasts).enumerate().map(tile).collect()
}
