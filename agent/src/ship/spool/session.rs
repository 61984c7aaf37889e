//! Sessions: how a run of the agent begins, after what, and how it ends.

use std::collections::BTreeMap;

use rusqlite::{Connection, Transaction, params};
use wire::frame::{Frame, Gap, INTERVAL_MAX_NS, Sample};
use wire::id::NicName;
use wire::message::SeqRange;

use super::coarsen::Level;
use super::records::{checked, gap_frame, insert, record};
use super::{Spool, SpoolError, SpooledSession};

/// Newest records of a session in which its NICs are looked for.
pub(super) const NEIGHBOURS: u32 = 64;

/// A session of which no record is written yet.
#[derive(Debug)]
pub(super) struct Beginning {
    /// What is to be said of the time before it.
    before: Vec<Frame>,
}

impl Beginning {
    /// What the session begins with: nothing was measured until the first sample of each NIC, or
    /// for one that has none yet, of any.
    fn until(&self, first: &[Frame]) -> Vec<Frame> {
        let mut before = self.before.clone();
        for gap in before.iter_mut().flat_map(|frame| &mut frame.samples) {
            let samples = || first.iter().flat_map(|frame| &frame.samples);
            let same = samples().filter(|sample| sample.nic == gap.nic);
            let any = samples().map(|sample| sample.start_ns).min();
            if let Some(start_ns) = same.map(|sample| sample.start_ns).min().or(any) {
                gap.interval_ns = start_ns.saturating_sub(gap.start_ns).clamp(1, INTERVAL_MAX_NS);
            }
        }
        before
    }
}

impl Spool {
    /// Starts a session. If an earlier run was broken off, its first record will say so: a gap
    /// from the end of what was written to the first sample, of which nobody knows what passed.
    /// Gives how many numbers such records take.
    ///
    /// A full disk is no error: the session is written down with its first record.
    ///
    /// # Errors
    /// [`SpoolError::Sqlite`] if the file can't be read or written.
    pub fn begin(&mut self, session: u64, started_ns: u64) -> Result<u64, SpoolError> {
        let before = self.wrap(self.what_was_broken_off(session, started_ns))?;
        let numbers = before.len() as u64;
        let running = SpooledSession { session, started_ns, last_seq: 0, committed_seq: 0 };
        self.running = Some(running);
        self.beginning = Some(Beginning { before });
        match self.wrap(write_down(&self.db, &running)) {
            Err(error) if !error.is_full() => Err(error),
            _ => Ok(numbers),
        }
    }

    /// Writes what comes before the first records of a session, if these are the first.
    pub(super) fn begin_with(
        &self,
        transaction: &Transaction<'_>,
        first: &[Frame],
        made_ns: u64,
    ) -> rusqlite::Result<()> {
        let (Some(beginning), Some(running)) = (&self.beginning, &self.running) else {
            return Ok(());
        };
        write_down(transaction, running)?;
        let id = running.session.cast_signed();
        transaction.execute("UPDATE sessions SET ended = 1 WHERE session <> ?1", [id])?;
        for frame in beginning.until(first) {
            insert(transaction, running.session, &record(&frame), Level::Gap, made_ns)?;
        }
        Ok(())
    }

    /// A run ends, and all of it is written.
    ///
    /// # Errors
    /// [`SpoolError::Sqlite`] if the file can't be written; the next run takes this one as broken
    /// off then.
    pub fn end(&mut self, session: u64) -> Result<(), SpoolError> {
        let sql = "UPDATE sessions SET ended = 1 WHERE session = ?1";
        self.wrap(self.db.execute(sql, [session.cast_signed()]).map(drop))
    }

    /// The sessions that have something to deliver, oldest first, and after them `running`.
    ///
    /// # Errors
    /// [`SpoolError::Sqlite`] if the file can't be read.
    pub fn sessions(&self, running: u64) -> Result<Vec<SpooledSession>, SpoolError> {
        let read = || {
            let mut statement = self.db.prepare_cached(
                "SELECT session, started_ns, last_seq, committed_seq FROM sessions
                 WHERE committed_seq < last_seq OR session = ?1 ORDER BY session = ?1, started_ns",
            )?;
            let rows = statement.query_map([running.cast_signed()], |row| {
                let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
                Ok(SpooledSession {
                    session: number(0)?,
                    started_ns: number(1)?,
                    last_seq: number(2)?,
                    committed_seq: number(3)?,
                })
            })?;
            rows.collect()
        };
        let mut sessions: Vec<SpooledSession> = self.wrap(read())?;
        let written = sessions.iter().any(|it| it.session == running);
        let begins = !written && self.beginning.is_some();
        let unwritten = self.running.filter(|it| begins && it.session == running);
        sessions.extend(unwritten);
        Ok(sessions)
    }

    /// Gaps with which a session begins: the time since runs that were broken off, and a spool of
    /// which nothing could be saved.
    fn what_was_broken_off(&self, session: u64, now_ns: u64) -> rusqlite::Result<Vec<Frame>> {
        let mut statement = self
            .db
            .prepare_cached("SELECT session FROM sessions WHERE ended = 0 AND last_seq > 0")?;
        let broken: Vec<i64> =
            statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        let mut frames = Vec::new();
        if !broken.is_empty() {
            let mut ends: BTreeMap<NicName, u64> = BTreeMap::new();
            for id in broken {
                for sample in self.newest_samples(id.cast_unsigned(), i64::MAX)?.into_values() {
                    let end = ends.entry(sample.nic).or_default();
                    *end = (*end).max(sample.start_ns.saturating_add(sample.interval_ns));
                }
            }
            let unmeasured = |(nic, end): (NicName, u64)| Sample {
                nic,
                start_ns: end,
                interval_ns: now_ns.saturating_sub(end).clamp(1, INTERVAL_MAX_NS),
                ..Sample::default()
            };
            let mut frame = gap_frame(session, 1, 1, Gap::Unmeasured);
            frame.samples = ends.into_iter().map(unmeasured).collect();
            frames.push(frame);
        }
        if self.lost_all {
            let seq = frames.len() as u64 + 1;
            frames.push(gap_frame(session, seq, seq, Gap::SpoolDamaged));
        }
        Ok(frames)
    }

    /// The newest sample of each NIC in the records of a session that end before a number.
    pub(super) fn newest_samples(
        &self,
        session: u64,
        before: i64,
    ) -> rusqlite::Result<BTreeMap<NicName, Sample>> {
        let frames = self.neighbours(
            "SELECT first_seq, last_seq, frame, crc FROM records
             WHERE session = ?1 AND first_seq < ?2 ORDER BY first_seq DESC LIMIT ?3",
            session,
            before,
        )?;
        let mut samples: BTreeMap<NicName, Sample> = BTreeMap::new();
        for sample in frames.into_iter().flat_map(|frame| frame.samples) {
            let newest = samples.entry(sample.nic).or_insert(sample);
            if sample.start_ns > newest.start_ns {
                *newest = sample;
            }
        }
        Ok(samples)
    }

    /// The frames that a query finds beside a number, as far as they are whole.
    pub(super) fn neighbours(
        &self,
        sql: &str,
        session: u64,
        beside: i64,
    ) -> rusqlite::Result<Vec<Frame>> {
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query(params![session.cast_signed(), beside, NEIGHBOURS])?;
        let mut frames = Vec::new();
        while let Some(row) = rows.next()? {
            let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
            let range = SeqRange { first: number(0)?, last: number(1)? };
            frames.extend(checked(session, range, row, [2, 3]).map(|(_, frame)| frame));
        }
        Ok(frames)
    }
}

fn write_down(db: &Connection, running: &SpooledSession) -> rusqlite::Result<()> {
    let [session, started] = [running.session, running.started_ns].map(u64::cast_signed);
    db.execute(
        "INSERT OR IGNORE INTO sessions VALUES (?1, ?2, 0, 0, 0, 0, 0)",
        [session, started],
    )?;
    Ok(())
}
