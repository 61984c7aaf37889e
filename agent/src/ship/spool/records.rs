//! Records: written as they are made, read as they are asked for, checked each time.

use rusqlite::{Connection, OptionalExtension, Row, params};
use settings::InFull;
use wire::codec::{self, Received};
use wire::frame::{Frame, Gap};
use wire::id::SessionId;
use wire::message::{Committed, SeqRange};
use wire::{BootNs, Seq};

use super::coarsen::Coarseness;
use super::error::SpoolError;
use super::file::{Record, Spool};
use super::sent::Sent;

/// The result of looking for records.
type Found = Result<Vec<Record>, Trouble>;

/// Damage to repair before reading on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// A record is damaged.
    Broken(SeqRange),
    /// Numbers are in no record.
    Hole,
}

impl Spool {
    /// Writes records that were just made, in order, all of one session. While connected, they
    /// count as sent.
    ///
    /// # Errors
    /// [`SpoolError::Sqlite`] if the file can't be written; nothing is kept of the records then.
    pub fn append(&mut self, frames: &[Frame], boot_ns: BootNs) -> Result<Vec<Record>, SpoolError> {
        self.reopen()?;
        let made_ns = self.clock.at(boot_ns);
        let records: Vec<Record> = frames.iter().map(record).collect();
        let Some((newest, session)) = records
            .last()
            .zip(frames.last())
            .map(|(record, frame)| (record.range.last, frame.session))
        else {
            return Ok(records);
        };
        let mut write = || {
            let transaction = self.db.unchecked_transaction()?;
            self.begin_with(&transaction, frames, made_ns)?;
            for record in &records {
                insert(&transaction, session, record, Coarseness::Exact, made_ns)?;
                if self.connected {
                    self.sent.add(session, record.range);
                }
            }
            let id = session.to_column();
            transaction
                .prepare_cached("UPDATE sessions SET last_seq = ?2 WHERE session = ?1")?
                .execute([id, newest.to_column()])?;
            note_sent(&transaction, &self.sent, session)?;
            transaction.commit()
        };
        let written = write();
        self.wrap(written)?;
        self.beginning = None;
        if let Some(running) = self.running.as_mut().filter(|running| running.session == session) {
            running.last_seq = newest;
        }
        Ok(records)
    }

    /// The records that cover `range`, up to `max_bytes` of them but at least one. Numbers that
    /// are in no record any more come as a gap record, with exact counts where these are known.
    ///
    /// # Errors
    /// [`SpoolError::Sqlite`] if the file can't be read.
    pub fn read(
        &mut self,
        session: SessionId,
        range: SeqRange,
        max_bytes: usize,
    ) -> Result<Vec<Record>, SpoolError> {
        self.reopen()?;
        let mut tried = None;
        loop {
            let trouble = match self.wrap(self.find(session, range, max_bytes))? {
                Ok(records) => return Ok(records),
                Err(trouble) => trouble,
            };
            if tried.replace(trouble) == Some(trouble) {
                // The repaired record is damaged too: continue without it.
                let last = match trouble {
                    Trouble::Broken(broken) => broken.last,
                    Trouble::Hole => range.last,
                };
                let gap = gap_frame(session, range.first, last, Gap::SpoolDamaged);
                return Ok(vec![record(&gap)]);
            }
            match trouble {
                Trouble::Broken(broken) => self.wrap(self.replace_broken(session, broken))?,
                Trouble::Hole => {
                    let lost = self.wrap(self.fill_holes(session))?;
                    self.complain(lost, "missing");
                }
            }
        }
    }

    fn find(
        &self,
        session: SessionId,
        range: SeqRange,
        max_bytes: usize,
    ) -> rusqlite::Result<Found> {
        let known: Option<(i64, i64)> = self
            .db
            .prepare_cached("SELECT committed_seq, last_seq FROM sessions WHERE session = ?1")?
            .query_row([session.to_column()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((committed, written)) = known else {
            // It was in a file that was lost.
            let gap = gap_frame(session, range.first, range.last, Gap::SpoolDamaged);
            return Ok(Ok(vec![record(&gap)]));
        };
        // It was never written, because the disk was full until the end.
        let range = SeqRange { last: range.last.min(Seq::of_column(written)), ..range };
        if range.first > range.last {
            return Ok(Ok(Vec::new()));
        }
        let forgotten_last = Seq::of_column(committed);
        let mut statement = self.db.prepare_cached(
            "SELECT first_seq, last_seq, frame, crc FROM records WHERE session = ?1
             AND first_seq BETWEEN coalesce((SELECT max(first_seq) FROM records
                 WHERE session = ?1 AND first_seq <= ?2), 0) AND ?3
             AND last_seq >= ?2 ORDER BY first_seq",
        )?;
        let bounds = [session.to_column(), range.first.to_column(), range.last.to_column()];
        let mut rows = statement.query(bounds)?;
        let (mut records, mut bytes, mut next) = (Vec::new(), 0, range.first);
        while bytes < max_bytes
            && let Some(row) = rows.next()?
        {
            let number = |at| row.get(at).map(Seq::of_column);
            let found = SeqRange { first: number(0)?, last: number(1)? };
            if found.first > next {
                if found.first - 1 > forgotten_last {
                    return Ok(Err(Trouble::Hole));
                }
                records.push(record(&gap_frame(session, next, found.first - 1, Gap::Forgotten)));
            }
            let Some((frame, decoded)) = checked(session, found, row, [2, 3]) else {
                return Ok(Err(Trouble::Broken(found)));
            };
            bytes += frame.len();
            if found.first < next {
                // The database has a part of it, through another collector.
                let reason = if decoded.gap == Gap::SpoolDamaged as u8 {
                    Gap::SpoolDamaged
                } else {
                    Gap::Forgotten
                };
                records.push(record(&gap_frame(session, next, found.last, reason)));
            } else {
                records.push(Record { range: found, frame });
            }
            next = found.last + 1;
        }
        if bytes < max_bytes && next <= range.last {
            if range.last > forgotten_last {
                return Ok(Err(Trouble::Hole));
            }
            records.push(record(&gap_frame(session, next, range.last, Gap::Forgotten)));
        }
        Ok(Ok(records))
    }

    /// A record was handed to the connection: it keeps its bounds until the next Welcome.
    ///
    /// # Errors
    /// [`SpoolError::Sqlite`] if the file can't be written: after a kill the bounds might change.
    pub fn on_sent(&mut self, session: SessionId, range: SeqRange) -> Result<(), SpoolError> {
        self.sent.add(session, range);
        self.wrap(note_sent(&self.db, &self.sent, session))
    }

    /// The collector has said how far these sessions are, so their records may change bounds again.
    ///
    /// # Errors
    /// [`SpoolError::Sqlite`] if the file can't be written.
    pub fn on_welcome(
        &mut self,
        committed: &[Committed],
        boot_ns: BootNs,
    ) -> Result<(), SpoolError> {
        self.connected = true;
        committed.iter().try_for_each(|it| {
            self.sent.forget(it.session);
            self.on_committed(*it, boot_ns)?;
            let settled = self.db.execute(
                "UPDATE sessions SET sent_seq = committed_seq WHERE session = ?1",
                [it.session.to_column()],
            );
            self.wrap(settled.map(drop))
        })
    }

    /// The connection is gone; records that it was given may still reach the database.
    pub const fn on_disconnected(&mut self) {
        self.connected = false;
    }

    /// The collector's database has a session up to here.
    ///
    /// # Errors
    /// [`SpoolError::Sqlite`] if the file can't be written.
    pub fn on_committed(
        &mut self,
        committed: Committed,
        boot_ns: BootNs,
    ) -> Result<(), SpoolError> {
        let now_ns = self.clock.at(boot_ns);
        let Committed { session: id, seq } = committed;
        if let Some(running) = self.running.as_mut().filter(|running| running.session == id) {
            running.committed_seq = seq;
        }
        let [session, seq, now] = [id.to_column(), seq.to_column(), now_ns.cast_signed()];
        let write = || {
            let transaction = self.db.unchecked_transaction()?;
            transaction
                .prepare_cached(
                    // A power loss may have lost records that the database has.
                    "UPDATE sessions SET committed_seq = min(?2, last_seq) WHERE session = ?1",
                )?
                .execute([session, seq])?;
            // A database that fell back to an older state makes later commits void.
            transaction
                .prepare_cached("DELETE FROM commits WHERE session = ?1 AND seq > ?2")?
                .execute([session, seq])?;
            transaction
                .prepare_cached("INSERT OR REPLACE INTO commits VALUES (?1, ?2, ?3)")?
                .execute([session, now, seq])?;
            transaction.commit()
        };
        self.wrap(write())
    }
}

/// Stores how far a session was sent without a hole, if that has grown.
fn note_sent(db: &Connection, sent: &Sent, session: SessionId) -> rusqlite::Result<()> {
    let id = session.to_column();
    let known = db
        .prepare_cached(
            "SELECT coalesce(max(max(sent_seq, committed_seq)), 0) FROM sessions WHERE session = ?1",
        )?
        .query_row([id], |row| row.get(0).map(Seq::of_column))?;
    let reach = sent.reach(session, known);
    if reach > known {
        db.prepare_cached("UPDATE sessions SET sent_seq = ?2 WHERE session = ?1")?
            .execute([id, reach.to_column()])?;
    }
    Ok(())
}

/// Writes a record.
pub(super) fn insert(
    db: &Connection,
    session: SessionId,
    record: &Record,
    level: Coarseness,
    made_ns: u64,
) -> rusqlite::Result<()> {
    let Record { range, frame } = record;
    let crc = checksum(session, *range, frame);
    let [session, first, last, made] = [
        session.to_column(),
        range.first.to_column(),
        range.last.to_column(),
        made_ns.cast_signed(),
    ];
    db.prepare_cached("INSERT INTO records VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![session, first, last, level as u8, made, frame, crc])?;
    Ok(())
}

fn checksum(session: SessionId, range: SeqRange, frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for number in [session.get(), range.first.get(), range.last.get()] {
        hasher.update(&number.to_le_bytes());
    }
    hasher.update(frame);
    hasher.finalize()
}

/// The frame of a row, encoded and decoded, if its checksum is right. `at` are the columns of the
/// frame and of its checksum, which records of version 1 lack.
pub(super) fn checked(
    session: SessionId,
    range: SeqRange,
    row: &Row<'_>,
    at: [usize; 2],
) -> Option<(Vec<u8>, Frame)> {
    // A value of another type is damage, too.
    let encoded: Vec<u8> = row.get(at[0]).ok()?;
    let crc: i64 = row.get(at[1]).ok()?;
    if crc >= 0 && crc != i64::from(checksum(session, range, &encoded)) {
        return None;
    }
    let Ok(Received::Frame(frame)) = codec::decode(&encoded) else { return None };
    let written = (session, range.first, range.last);
    let whole = (frame.session, frame.first_seq, frame.last_seq) == written;
    whole.then_some((encoded, frame))
}

/// The record of a frame. An invalid frame becomes a gap of the same numbers, without counts.
pub(super) fn record(frame: &Frame) -> Record {
    let range = SeqRange { first: frame.first_seq, last: frame.last_seq };
    let encoded = codec::encode_frame(frame).unwrap_or_else(|error| {
        tracing::error!(error = %error.in_full(), ?range, "can't encode a record; it becomes a gap");
        codec::frame_bytes(&gap_frame(frame.session, range.first, range.last, Gap::SpoolDamaged))
    });
    Record { range, frame: encoded }
}

/// A gap without counts.
pub(super) const fn gap_frame(session: SessionId, first: Seq, last: Seq, gap: Gap) -> Frame {
    Frame {
        session,
        first_seq: first,
        last_seq: last,
        gap: gap as u8,
        samples: Vec::new(),
        mixes: Vec::new(),
        talkers: vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_a_record_is_what_spools_on_disk_hold() {
        // Made with Python: zlib.crc32(struct.pack("<QQQ", 0xfeed, 4, 5) + b"123456789").
        let range = SeqRange { first: Seq(4), last: Seq(5) };
        assert_eq!(checksum(SessionId::new(0xfeed), range, b"123456789"), 0x0a95_be92);
    }
}
