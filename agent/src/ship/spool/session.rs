//! Sessions: how a run of the agent begins and ends.

use std::collections::BTreeMap;

use rusqlite::{Connection, Transaction, params};
use wire::frame::{Frame, Gap, INTERVAL_MAX_NS, SAMPLES_MAX, Sample};
use wire::id::{NicName, SessionId};
use wire::message::SeqRange;
use wire::{Seq, WallNs};

use super::coarsen::Coarseness;
use super::error::SpoolError;
use super::file::{Beginning, Now, Spool, SpooledSession, write_clock};
use super::records::{checked, gap_frame, insert, record};
use crate::clocks::BootId;

/// How a session ended: 0 not yet, 1 in order with everything written, 2 by a kill or power loss
/// that a later session has recorded.
pub(super) const ENDED: i64 = 1;
pub(super) const BROKEN_OFF: i64 = 2;

/// How many of a session's newest records with samples to search for its NICs.
const NEIGHBOURS: usize = 64;

/// Records read for that at most: those of talkers, one per NIC, follow one another.
const NEIGHBOURS_READ: u32 = 1024;

/// Longest outage that a gap covers, days: its length comes from the wall clock, which may be
/// wrong.
const OUTAGE_DAYS: u32 = 31;

/// How much shorter an outage may be by the wall clock than by the spool's clock: the last sample
/// was written a while after it was measured.
const OUTAGE_SLACK_NS: u64 = 60_000_000_000;

impl Beginning {
    /// The gaps that the session begins with: nothing was measured until the first sample of each
    /// NIC, or of any NIC if it has none yet.
    fn until(&self, first: &[Frame]) -> Vec<Frame> {
        let mut before = self.before.clone();
        for frame in &mut before {
            for gap in &mut frame.samples {
                let mut samples = first.iter().flat_map(|frame| &frame.samples);
                let any = samples.clone().next();
                if let Some(first) = samples.find(|sample| sample.nic == gap.nic).or(any) {
                    gap.interval_ns = outage_ns(gap.start_ns, first.start_ns, self.passed_ns);
                }
            }
            frame.samples = frame.samples.drain(..).flat_map(Sample::pieces).collect();
        }
        before
    }
}

/// How long nothing was measured, from one wall time to another, nanoseconds. While a host is off
/// only the wall clock knows, but it can't be less than the spool's clock says.
fn outage_ns(from_ns: WallNs, until_ns: WallNs, passed_ns: u64) -> u64 {
    let by_wall = until_ns.checked_since(from_ns);
    let credible = by_wall.filter(|it| it.saturating_add(OUTAGE_SLACK_NS) >= passed_ns);
    credible.unwrap_or(passed_ns).clamp(1, u64::from(OUTAGE_DAYS) * INTERVAL_MAX_NS)
}

impl Spool {
    /// Starts a session. If an earlier run was killed, the session begins with a gap from its last
    /// record to the first sample, without counts. Gives the last number that such gaps take.
    ///
    /// A full disk is no error: the session is written down with its first record.
    ///
    /// # Errors
    /// [`SpoolError::Sqlite`] if the file can't be read or written.
    pub fn begin(&mut self, session: SessionId, now: Now) -> Result<Seq, SpoolError> {
        self.boot = now.boot;
        let (before, written_ns) = self.wrap(self.what_was_broken_off(session))?;
        let passed_ns = self.clock.at(now.boot_ns).saturating_sub(written_ns);
        let (last, started_ns) = (Seq(before.len() as u64), now.wall_ns);
        let running =
            SpooledSession { session, started_ns, last_seq: Seq(0), committed_seq: Seq(0) };
        self.running = Some(running);
        self.beginning = Some(Beginning { before, passed_ns });
        match self.wrap(write_down(&self.db, &running, self.boot)) {
            Err(error) if !error.is_full() => Err(error),
            _ => Ok(last),
        }
    }

    /// Writes the gaps before the first records of a session, if these are the first.
    pub(super) fn begin_with(
        &self,
        transaction: &Transaction<'_>,
        first: &[Frame],
        made_ns: u64,
    ) -> rusqlite::Result<()> {
        let (Some(beginning), Some(running)) = (&self.beginning, &self.running) else {
            return Ok(());
        };
        write_down(transaction, running, self.boot)?;
        write_clock(transaction, self.clock)?;
        let id = running.session.to_column();
        let sql = "UPDATE sessions SET ended = ?2 WHERE session <> ?1 AND ended = 0";
        transaction.execute(sql, [id, BROKEN_OFF])?;
        for frame in beginning.until(first) {
            insert(transaction, running.session, &record(&frame), Coarseness::Gap, made_ns)?;
        }
        Ok(())
    }

    /// The run ends in order, with everything written.
    ///
    /// # Errors
    /// [`SpoolError::Sqlite`] if the file can't be written; then the next run treats this one as
    /// killed.
    pub fn end(&mut self, session: SessionId) -> Result<(), SpoolError> {
        let sql = "UPDATE sessions SET ended = ?2 WHERE session = ?1";
        self.wrap(self.db.execute(sql, [session.to_column(), ENDED]).map(drop))
    }

    /// The sessions that have something to deliver, oldest first, and after them `running`.
    ///
    /// # Errors
    /// [`SpoolError::Sqlite`] if the file can't be read.
    pub fn sessions(&self, running: SessionId) -> Result<Vec<SpooledSession>, SpoolError> {
        let read = || {
            let mut statement = self.db.prepare_cached(
                "SELECT session, started_ns, last_seq, committed_seq FROM sessions
                 WHERE committed_seq < last_seq OR session = ?1 ORDER BY session = ?1, nth",
            )?;
            let rows = statement.query_map([running.to_column()], |row| {
                let seq = |at| row.get(at).map(Seq::of_column);
                Ok(SpooledSession {
                    session: SessionId::of_column(row.get(0)?),
                    started_ns: WallNs::of_column(row.get(1)?),
                    last_seq: seq(2)?,
                    committed_seq: seq(3)?,
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
    /// which nothing could be saved. Also tells when the last of those wrote, by the spool's clock.
    fn what_was_broken_off(&self, session: SessionId) -> rusqlite::Result<(Vec<Frame>, u64)> {
        let mut statement = self.db.prepare_cached(
            "SELECT session, coalesce((SELECT max(made_ns) FROM records
                 WHERE records.session = sessions.session), 0)
             FROM sessions WHERE ended = 0 AND last_seq > 0 ORDER BY nth",
        )?;
        let broken: Vec<(i64, i64)> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let mut ends: BTreeMap<NicName, WallNs> = BTreeMap::new();
        for (id, _) in &broken {
            for (nic, sample) in self.newest_samples(SessionId::of_column(*id), Seq::MAX)? {
                ends.insert(nic, sample.start_ns.saturating_add(sample.interval_ns));
            }
        }
        let unmeasured = |(nic, start_ns): (NicName, WallNs)| Sample {
            nic,
            start_ns,
            interval_ns: 1,
            ..Sample::default()
        };
        let samples: Vec<Sample> = ends.into_iter().map(unmeasured).collect();
        // Each is split by days.
        let mut parts: Vec<&[Sample]> =
            samples.chunks(SAMPLES_MAX / OUTAGE_DAYS as usize).collect();
        if parts.is_empty() && !broken.is_empty() {
            parts.push(&[]);
        }
        let mut frames = Vec::new();
        for (seq, part) in (1..).zip(parts) {
            let gap = gap_frame(session, Seq(seq), Seq(seq), Gap::Unmeasured);
            frames.push(Frame { samples: part.to_vec(), ..gap });
        }
        if self.lost_all {
            let seq = frames.len() as u64 + 1;
            frames.push(gap_frame(session, Seq(seq), Seq(seq), Gap::SpoolDamaged));
        }
        let written_ns = broken.iter().map(|(_, made)| made.cast_unsigned()).max();
        Ok((frames, written_ns.unwrap_or_default()))
    }

    /// The newest sample of each NIC, by number, in the records of a session that begin before
    /// one.
    pub(super) fn newest_samples(
        &self,
        session: SessionId,
        before: Seq,
    ) -> rusqlite::Result<BTreeMap<NicName, Sample>> {
        let frames = self.neighbours(
            "SELECT first_seq, last_seq, frame, crc FROM records
             WHERE session = ?1 AND first_seq < ?2 ORDER BY first_seq DESC LIMIT ?3",
            session,
            before,
        )?;
        let mut samples: BTreeMap<NicName, Sample> = BTreeMap::new();
        for sample in frames.iter().flat_map(|frame| frame.samples.iter().rev()) {
            samples.entry(sample.nic).or_insert(*sample);
        }
        Ok(samples)
    }

    /// The intact frames with samples that a query finds near a number.
    pub(super) fn neighbours(
        &self,
        sql: &str,
        session: SessionId,
        beside: Seq,
    ) -> rusqlite::Result<Vec<Frame>> {
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows =
            statement.query(params![session.to_column(), beside.to_column(), NEIGHBOURS_READ])?;
        let mut frames = Vec::new();
        while frames.len() < NEIGHBOURS
            && let Some(row) = rows.next()?
        {
            let number = |at| row.get(at).map(Seq::of_column);
            let range = SeqRange { first: number(0)?, last: number(1)? };
            let frame = checked(session, range, row, [2, 3]).map(|(_, frame)| frame);
            frames.extend(frame.filter(|frame| !frame.samples.is_empty()));
        }
        Ok(frames)
    }
}

fn write_down(db: &Connection, running: &SpooledSession, boot: BootId) -> rusqlite::Result<()> {
    let [session, started, boot] =
        [running.session.to_column(), running.started_ns.to_column(), boot.0.cast_signed()];
    db.execute(
        "INSERT OR IGNORE INTO sessions VALUES (?1, ?2, 0, 0, 0, 0, 0,
             (SELECT coalesce(max(nth), 0) + 1 FROM sessions), ?3)",
        [session, started, boot],
    )?;
    Ok(())
}
