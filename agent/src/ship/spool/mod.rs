//! The spool: a SQLite file that keeps every record until the collector's database has it.
//!
//! A record is written before it is sent, so that a killed agent loses nothing. The file is
//! bounded: when it is full, the oldest records are coarsened, and in the end replaced by gap
//! records with exact counts. A record that was sent since the last Welcome keeps its bounds,
//! for the collector may be committing it.

mod coarsen;
mod error;
mod maintain;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, params};
use wire::codec;
use wire::frame::{Frame, Gap};
use wire::message::{Committed, SeqRange};

use self::coarsen::Level;
pub use self::coarsen::coarsen_pending;
pub use self::error::SpoolError;

/// Version of the file's schema (`PRAGMA user_version`).
const SCHEMA_VERSION: i64 = 1;

/// How large the spool grows and how long it keeps what.
#[derive(Debug, Clone)]
pub struct SpoolLimits {
    /// Largest size of the file's used part, bytes.
    pub max_size: u64,
    /// Age from which on records are replaced by gap records.
    pub max_age: Duration,
    /// How long committed records are kept.
    pub keep_committed: Duration,
}

/// A record as it is kept and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The sequence numbers that it covers.
    pub range: SeqRange,
    /// The encoded frame.
    pub frame: Vec<u8>,
}

/// A session that the spool knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpooledSession {
    /// Its id.
    pub session: u64,
    /// When it began, nanoseconds since 1970 (UTC).
    pub started_ns: u64,
    /// Newest sequence number.
    pub last_seq: u64,
    /// What is known to be committed.
    pub committed_seq: u64,
}

/// The agent's spool.
#[derive(Debug)]
pub struct Spool {
    db: Connection,
    path: PathBuf,
    limits: SpoolLimits,
    /// What was sent since the last Welcome, per session, in merged ranges.
    sent: HashMap<u64, Vec<SeqRange>>,
}

impl Spool {
    /// Opens the spool at `path`, or makes a new one. A damaged file is moved aside under a name
    /// that tells `now_ns`, and reported by the second value.
    ///
    /// # Errors
    /// [`SpoolError`] names the file and the way out.
    pub fn open(
        path: &Path,
        limits: SpoolLimits,
        now_ns: u64,
    ) -> Result<(Self, Option<PathBuf>), SpoolError> {
        match Self::open_sound(path, limits.clone()) {
            Err(error) if error.is_damage() => {
                let aside = path.with_extension(format!("damaged-{}", now_ns / 1_000_000_000));
                let moved = std::fs::rename(path, &aside);
                let open_error = |error: std::io::Error| SpoolError::Open {
                    path: path.to_owned(),
                    error: Box::new(error),
                };
                moved.map_err(open_error)?;
                for suffix in ["-wal", "-shm"] {
                    let mut beside = path.as_os_str().to_owned();
                    beside.push(suffix);
                    let mut beside_aside = aside.as_os_str().to_owned();
                    beside_aside.push(suffix);
                    // Absent after a clean stop.
                    let _absent = std::fs::rename(beside, beside_aside);
                }
                Ok((Self::open_sound(path, limits)?, Some(aside)))
            }
            opened => Ok((opened?, None)),
        }
    }

    fn open_sound(path: &Path, limits: SpoolLimits) -> Result<Self, SpoolError> {
        let open_error = |error: Box<dyn std::error::Error + Send + Sync>| SpoolError::Open {
            path: path.to_owned(),
            error,
        };
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(|error| open_error(Box::new(error)))?;
        }
        let db = Connection::open(path).map_err(|error| open_error(Box::new(error)))?;
        let spool = Self { db, path: path.to_owned(), limits, sent: HashMap::new() };
        spool.wrap(spool.prepare())??;
        Ok(spool)
    }

    fn prepare(&self) -> rusqlite::Result<Result<(), SpoolError>> {
        // One writer and no other reader: the lock is held for good, which also refuses a
        // second agent on the same directory.
        self.db.execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;
             PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 4194304;",
        )?;
        let found: i64 = self.db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if found > SCHEMA_VERSION {
            return Ok(Err(SpoolError::Newer { path: self.path.clone(), found }));
        }
        if found == 0 {
            self.db.execute_batch(include_str!("schema.sql"))?;
        }
        let check: String = self.db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if check == "ok" {
            Ok(Ok(()))
        } else {
            Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                Some(check),
            ))
        }
    }

    fn wrap<T>(&self, result: rusqlite::Result<T>) -> Result<T, SpoolError> {
        result.map_err(|error| SpoolError::Sqlite { path: self.path.clone(), error })
    }

    /// Starts a session.
    ///
    /// # Errors
    /// [`SpoolError::Sqlite`] if the file can't be written.
    pub fn begin(&mut self, session: u64, started_ns: u64) -> Result<(), SpoolError> {
        self.wrap(self.db.execute(
            "INSERT INTO sessions VALUES (?1, ?2, 0, 0)",
            params![session.cast_signed(), started_ns.cast_signed()],
        ))?;
        Ok(())
    }

    /// The sessions that have something to deliver, oldest first, and with them `running`.
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
        self.wrap(read())
    }

    /// Writes records that were just made, in order.
    ///
    /// # Errors
    /// [`SpoolError::Sqlite`] if the file can't be written; nothing is kept of the records then.
    pub fn append(&mut self, frames: &[Frame], made_ns: u64) -> Result<Vec<Record>, SpoolError> {
        let records: Vec<(u64, Record)> =
            frames.iter().map(|frame| (frame.session, record(frame))).collect();
        let write = || {
            let transaction = self.db.unchecked_transaction()?;
            for (session, record) in &records {
                insert(&transaction, *session, record, Level::Exact, made_ns)?;
                transaction
                    .prepare_cached("UPDATE sessions SET last_seq = ?2 WHERE session = ?1")?
                    .execute([session.cast_signed(), record.range.last.cast_signed()])?;
            }
            transaction.commit()
        };
        self.wrap(write())?;
        Ok(records.into_iter().map(|(_, record)| record).collect())
    }

    /// The records that cover `range`, up to `max_bytes` of them but at least one. Numbers that
    /// are in no record any more come as a gap record without samples.
    ///
    /// # Errors
    /// [`SpoolError::Sqlite`] if the file can't be read.
    pub fn read(
        &self,
        session: u64,
        range: SeqRange,
        max_bytes: usize,
    ) -> Result<Vec<Record>, SpoolError> {
        let read = || {
            let mut statement = self.db.prepare_cached(
                "SELECT first_seq, last_seq, frame FROM records WHERE session = ?1
                 AND first_seq BETWEEN coalesce((SELECT max(first_seq) FROM records
                     WHERE session = ?1 AND first_seq <= ?2), 0) AND ?3
                 AND last_seq >= ?2 ORDER BY first_seq",
            )?;
            let bounds = [session, range.first, range.last].map(u64::cast_signed);
            let mut rows = statement.query(bounds)?;
            let (mut records, mut bytes, mut next) = (Vec::new(), 0, range.first);
            while bytes < max_bytes
                && let Some(row) = rows.next()?
            {
                let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
                let found = SeqRange { first: number(0)?, last: number(1)? };
                if found.first > next {
                    records.push(forgotten(session, next, found.first - 1));
                }
                let frame: Vec<u8> = row.get(2)?;
                bytes += frame.len();
                next = found.last + 1;
                records.push(Record { range: found, frame });
            }
            if bytes < max_bytes && next <= range.last {
                records.push(forgotten(session, next, range.last));
            }
            Ok(records)
        };
        self.wrap(read())
    }

    /// A record was handed to the connection: it keeps its bounds until the next Welcome.
    pub fn on_sent(&mut self, session: u64, range: SeqRange) {
        let sent = self.sent.entry(session).or_default();
        match sent
            .iter_mut()
            .find(|known| known.last + 1 >= range.first && range.first >= known.first)
        {
            Some(known) => known.last = known.last.max(range.last),
            None => sent.push(range),
        }
    }

    /// The collector has said how far every session is: what was sent before is settled.
    ///
    /// # Errors
    /// [`SpoolError::Sqlite`] if the file can't be written.
    pub fn on_welcome(&mut self, committed: &[Committed], now_ns: u64) -> Result<(), SpoolError> {
        self.sent.clear();
        committed.iter().try_for_each(|session| self.on_committed(*session, now_ns))
    }

    /// The collector's database has a session up to here.
    ///
    /// # Errors
    /// [`SpoolError::Sqlite`] if the file can't be written.
    pub fn on_committed(&mut self, committed: Committed, now_ns: u64) -> Result<(), SpoolError> {
        let [session, seq, now] = [committed.session, committed.seq, now_ns].map(u64::cast_signed);
        let write = || {
            let transaction = self.db.unchecked_transaction()?;
            transaction
                .prepare_cached("UPDATE sessions SET committed_seq = ?2 WHERE session = ?1")?
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

    /// Makes what was written safe against power loss.
    ///
    /// # Errors
    /// [`SpoolError::Open`] if the system can't write it.
    pub fn sync(&self) -> Result<(), SpoolError> {
        let mut wal = self.path.as_os_str().to_owned();
        wal.push("-wal");
        let open_error = |error: std::io::Error| SpoolError::Open {
            path: self.path.clone(),
            error: Box::new(error),
        };
        match std::fs::File::open(wal) {
            Ok(file) => file.sync_data().map_err(open_error),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(open_error(error)),
        }
    }
}

fn insert(
    db: &Connection,
    session: u64,
    record: &Record,
    level: Level,
    made_ns: u64,
) -> rusqlite::Result<()> {
    let Record { range, frame } = record;
    let [session, first, last, made] =
        [session, range.first, range.last, made_ns].map(u64::cast_signed);
    db.prepare_cached("INSERT INTO records VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(params![
        session,
        first,
        last,
        level as u8,
        made,
        frame
    ])?;
    Ok(())
}

fn record(frame: &Frame) -> Record {
    let range = SeqRange { first: frame.first_seq, last: frame.last_seq };
    Record { range, frame: codec::encode_frame(frame) }
}

const fn gap_frame(session: u64, first: u64, last: u64, gap: Gap) -> Frame {
    Frame {
        session,
        first_seq: first,
        last_seq: last,
        gap: gap as u8,
        samples: Vec::new(),
        mixes: Vec::new(),
    }
}

fn forgotten(session: u64, first: u64, last: u64) -> Record {
    record(&gap_frame(session, first, last, Gap::Forgotten))
}
