//! The spool: a SQLite file that keeps every record until the collector's database has it.
//!
//! A record is written before it is sent, so that a killed agent loses nothing. The file is
//! bounded: when it is full, the oldest records are coarsened, and in the end replaced by gap
//! records with exact counts. A record that was sent since the last Welcome keeps its bounds,
//! for the collector may be committing it. Every record has a checksum; what is damaged becomes
//! a gap record.

mod age;
mod coarsen;
mod damage;
mod error;
mod fork;
mod maintain;
mod records;
mod sent;
mod session;

use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use wire::message::SeqRange;
use wire::private_file::{self, Acting};

use self::age::Clock;
pub use self::coarsen::coarsen_pending;
pub use self::error::SpoolError;
pub use self::fork::Forked;
use self::sent::Sent;
use self::session::Beginning;

/// Version of the file's schema (`PRAGMA user_version`).
const SCHEMA_VERSION: i64 = 3;

/// Of [`SpoolLimits::max_size`], one part in so many is left to the write-ahead log.
const LOG_SHARE: u64 = 8;

/// Pages of the log after which SQLite takes it into the file, at most: its own default.
const LOG_PAGES_MAX: u64 = 1000;

/// How large the spool grows and how long it keeps what.
#[derive(Debug, Clone)]
pub struct SpoolLimits {
    /// Largest size of the file and its log, bytes.
    pub max_size: u64,
    /// Age from which on records are replaced by gap records.
    pub max_age: Duration,
    /// How long committed records are kept.
    pub keep_committed: Duration,
}

/// A moment by both clocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// The wall clock, nanoseconds since 1970 (UTC).
    pub wall_ns: u64,
    /// The boot-time clock, nanoseconds.
    pub boot_ns: u64,
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
    /// When it began by the wall clock, nanoseconds since 1970 (UTC).
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
    clock: Clock,
    /// What was sent since the last Welcome.
    sent: Sent,
    /// Records are sent as they are made.
    connected: bool,
    /// The session that runs, as far as it is written.
    running: Option<SpooledSession>,
    beginning: Option<Beginning>,
    /// The file was set aside, and there is no new one yet.
    lost: bool,
    /// Nothing could be saved of it.
    lost_all: bool,
    /// When lost records were told of.
    complained: Cell<Option<Instant>>,
}

impl Spool {
    /// Opens the spool at `path`, or makes a new one. A damaged file is moved aside under a name
    /// that tells the wall time, and reported by the second value. All times that other functions
    /// take are of the boot-time clock.
    ///
    /// # Errors
    /// [`SpoolError`] names the file and the way out.
    pub fn open(
        path: &Path,
        limits: SpoolLimits,
        now: Now,
    ) -> Result<(Self, Option<PathBuf>), SpoolError> {
        if let Some(directory) = path.parent() {
            private_file::make_directory(directory)?;
        }
        let _acting = private_file::act_for(path)?;
        // A kill may have come while the last one was being saved.
        if !private_file::exists(&damage::recovering(path))? {
            match Self::open_sound(path, limits.clone(), now.boot_ns) {
                Err(error) if error.is_damage() => {}
                opened => return Ok((opened?, None)),
            }
        }
        let (spool, aside) = Self::open_anew(path, limits, now)?;
        Ok((spool, Some(aside)))
    }

    fn open_sound(path: &Path, limits: SpoolLimits, boot_ns: u64) -> Result<Self, SpoolError> {
        let mut spool = Self {
            db: Self::open_file(path)?,
            path: path.to_owned(),
            limits,
            clock: Clock::new(boot_ns),
            sent: Sent::default(),
            connected: false,
            running: None,
            beginning: None,
            lost: false,
            lost_all: false,
            complained: Cell::default(),
        };
        spool.wrap(spool.prepare())??;
        let loaded = spool.load_sent();
        spool.wrap(loaded)?;
        let clock = spool.wrap(read_clock(&spool.db))?;
        spool.clock = clock.map_or(spool.clock, |clock| clock.resumed(boot_ns));
        Ok(spool)
    }

    /// What a thread that uses the spool keeps, so that root works there as whom the directory
    /// belongs to.
    ///
    /// # Errors
    /// [`SpoolError::File`] names the directory.
    pub fn acting(&self) -> Result<Acting, SpoolError> {
        Ok(private_file::act_for(&self.path)?)
    }

    fn open_file(path: &Path) -> Result<Connection, SpoolError> {
        // For the owner of the directory: root may run what is a service's.
        for (path, mode) in private_file::reserve_database(path)? {
            let mode = format!("{mode:03o}");
            tracing::warn!(path = %path.display(), mode, "others could read this file; it is closed");
        }
        // No link that the owner has put there since.
        let flags = OpenFlags::default() | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        Connection::open_with_flags(private_file::real_path(path)?, flags)
            .map_err(|error| SpoolError::Open { path: path.to_owned(), error: Box::new(error) })
    }

    fn prepare(&self) -> rusqlite::Result<Result<(), SpoolError>> {
        // One writer and no other reader: the lock is held for good, which also refuses a
        // second agent on the same directory.
        let page: i64 = self.db.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        // Half the log's share: a transaction may be written to it at any time before.
        let share = self.limits.max_size / LOG_SHARE / 2;
        let pages = (share / page.cast_unsigned()).clamp(1, LOG_PAGES_MAX);
        let size = pages * page.cast_unsigned();
        self.db.execute_batch(&format!(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;
             PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = {size};
             PRAGMA wal_autocheckpoint = {pages};",
        ))?;
        let found: i64 = self.db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        match found {
            0 => self.db.execute_batch(include_str!("schema.sql"))?,
            1 => {
                self.db.execute_batch(include_str!("upgrade_1.sql"))?;
                self.db.execute_batch(include_str!("upgrade_2.sql"))?;
            }
            2 => self.db.execute_batch(include_str!("upgrade_2.sql"))?,
            SCHEMA_VERSION => {}
            _ => return Ok(Err(SpoolError::Newer { path: self.path.clone(), found })),
        }
        let check: String = self.db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        // Numbers that contradict each other, or are none, are damage that SQLite doesn't see.
        let no_number = |columns: &[&str]| {
            let of_each = columns.iter().map(|column| format!("typeof({column}) <> 'integer'"));
            of_each.collect::<Vec<_>>().join(" OR ")
        };
        let of_sessions = no_number(&[
            "started_ns",
            "last_seq",
            "committed_seq",
            "sent_seq",
            "forgotten_seq",
            "ended",
            "nth",
        ]);
        let of_records = no_number(&["session", "first_seq", "last_seq", "level", "made_ns"]);
        let wrong: i64 = self.db.query_row(
            &format!(
                "SELECT (SELECT count(*) FROM sessions
                     WHERE max(committed_seq, sent_seq, forgotten_seq) > last_seq
                         OR min(committed_seq, sent_seq, forgotten_seq) < 0 OR {of_sessions})
                 + (SELECT count(*) FROM (SELECT session, first_seq, last_seq, level, made_ns,
                     lag(last_seq, 1, 0) OVER (PARTITION BY session ORDER BY first_seq) AS before
                     FROM records) WHERE first_seq <= before OR last_seq < first_seq
                         OR {of_records})
                 + (SELECT count(*) FROM (SELECT session, max(last_seq) AS newest FROM records
                     GROUP BY session) LEFT JOIN sessions USING (session)
                     WHERE last_seq IS NULL OR last_seq < newest)"
            ),
            [],
            |row| row.get(0),
        )?;
        if check == "ok" && wrong == 0 {
            Ok(Ok(()))
        } else {
            Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                Some(check),
            ))
        }
    }

    /// What an earlier run has sent keeps its bounds until the next Welcome.
    fn load_sent(&mut self) -> rusqlite::Result<()> {
        let mut statement = self.db.prepare(
            "SELECT session, committed_seq + 1, sent_seq FROM sessions
             WHERE sent_seq > committed_seq",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
            self.sent.add(number(0)?, SeqRange { first: number(1)?, last: number(2)? });
        }
        Ok(())
    }

    fn wrap<T>(&self, result: rusqlite::Result<T>) -> Result<T, SpoolError> {
        result.map_err(|error| {
            let path = self.path.clone();
            match error.sqlite_error_code() {
                // This agent's lock is held for good: it is another one's.
                Some(rusqlite::ErrorCode::DatabaseBusy) => SpoolError::InUse { path },
                _ => SpoolError::Sqlite { path, error },
            }
        })
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
        // Whatever somebody has put there is not waited for.
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
        match File::options().read(true).custom_flags(flags.bits()).open(wal) {
            Ok(file) => file.sync_data().map_err(open_error),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(open_error(error)),
        }
    }
}

/// The spool's clock as a file has it.
fn read_clock(db: &Connection) -> rusqlite::Result<Option<Clock>> {
    db.query_row("SELECT boot_ns, spool_ns FROM clock", [], |row| {
        let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
        Ok(Clock { boot_ns: number(0)?, spool_ns: number(1)? })
    })
    .optional()
}

/// Writes the spool's clock down.
fn write_clock(db: &Connection, clock: Clock) -> rusqlite::Result<()> {
    let [boot, spool] = [clock.boot_ns, clock.spool_ns].map(u64::cast_signed);
    db.prepare_cached("INSERT OR REPLACE INTO clock VALUES (1, ?1, ?2)")?.execute([boot, spool])?;
    Ok(())
}
