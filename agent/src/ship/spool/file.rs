//! The spool's file as it is open, and what it holds.

use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use rusqlite::{Connection, OptionalExtension};
use wire::frame::Frame;
use wire::id::SessionId;
use wire::message::SeqRange;
use wire::private_file::{self, Acting};
use wire::{BootNs, Seq, WallNs};

use super::age::Clock;
use super::error::{SpoolError, SqliteError};
use super::sent::Sent;
use crate::clocks::BootId;

/// Share of the write-ahead log: 1/LOG_SHARE of [`SpoolLimits::max_size`].
pub(super) const LOG_SHARE: u64 = 8;

/// The spool's limits on size and age.
#[derive(Debug, Clone)]
pub struct SpoolLimits {
    /// Largest size of the file and its log, bytes.
    pub max_size: u64,
    /// Age from which on records are replaced by gap records.
    pub max_age: Duration,
    /// How long committed records are kept.
    pub keep_committed: Duration,
}

/// A moment by both clocks, and in which boot of the kernel it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// The wall clock, nanoseconds since 1970 (UTC).
    pub wall_ns: WallNs,
    /// The boot-time clock, nanoseconds.
    pub boot_ns: BootNs,
    /// The boot that this clock counts from.
    pub boot: BootId,
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
    pub session: SessionId,
    /// When it began by the wall clock, nanoseconds since 1970 (UTC).
    pub started_ns: WallNs,
    /// Newest sequence number.
    pub last_seq: Seq,
    /// The sequence numbers known to be committed.
    pub committed_seq: Seq,
}

/// The agent's spool.
#[derive(Debug)]
pub struct Spool {
    pub(super) db: Connection,
    pub(super) path: PathBuf,
    pub(super) limits: SpoolLimits,
    pub(super) clock: Clock,
    /// The boot of the kernel in which this run began.
    pub(super) boot: BootId,
    /// The ranges sent since the last Welcome.
    pub(super) sent: Sent,
    /// Records are sent as they are made.
    pub(super) connected: bool,
    /// The running session, up to its last written record.
    pub(super) running: Option<SpooledSession>,
    pub(super) beginning: Option<Beginning>,
    /// The file was set aside and the new one is not made yet.
    pub(super) lost: bool,
    /// Nothing could be saved of it.
    pub(super) lost_all: bool,
    /// When lost records were last logged.
    pub(super) complained: Cell<Option<Instant>>,
}

/// A session without any written record.
#[derive(Debug)]
pub(super) struct Beginning {
    /// Gaps that cover the time before it.
    pub before: Vec<Frame>,
    /// Least time that has passed since the last record, nanoseconds.
    pub passed_ns: u64,
}

impl Spool {
    /// A guard for threads that use the spool: root acts as the owner of the directory while it
    /// lives.
    ///
    /// # Errors
    /// [`SpoolError::File`] names the directory.
    pub fn acting(&self) -> Result<Acting, SpoolError> {
        Ok(private_file::act_for(&self.path)?)
    }

    /// Says which file it is that SQLite fails on.
    pub(super) fn wrap<T>(&self, result: rusqlite::Result<T>) -> Result<T, SpoolError> {
        result.map_err(|error| {
            let path = self.path.clone();
            match error.sqlite_error_code() {
                // This agent never gives up its lock, so another agent holds it.
                Some(rusqlite::ErrorCode::DatabaseBusy) => SpoolError::InUse { path },
                _ => SpoolError::Sqlite { path, error: SqliteError(error) },
            }
        })
    }

    /// Syncs to disk, against power loss.
    ///
    /// # Errors
    /// [`SpoolError::Open`] if the system can't write it.
    pub fn sync(&self) -> Result<(), SpoolError> {
        let mut wal = self.path.as_os_str().to_owned();
        wal.push("-wal");
        let open_error = |error: std::io::Error| SpoolError::open(&self.path, error);
        // Don't block on a FIFO that somebody has put there.
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
        match File::options().read(true).custom_flags(flags.bits()).open(wal) {
            Ok(file) => file.sync_data().map_err(open_error),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(open_error(error)),
        }
    }
}

/// The spool's clock as a file has it.
pub(super) fn read_clock(db: &Connection) -> rusqlite::Result<Option<Clock>> {
    db.query_row("SELECT boot_ns, spool_ns FROM clock", [], |row| {
        let spool_ns = row.get::<_, i64>(1)?.cast_unsigned();
        Ok(Clock { boot_ns: BootNs::of_column(row.get(0)?), spool_ns })
    })
    .optional()
}

/// Writes the spool's clock down.
pub(super) fn write_clock(db: &Connection, clock: Clock) -> rusqlite::Result<()> {
    let [boot, spool] = [clock.boot_ns.to_column(), clock.spool_ns.cast_signed()];
    db.prepare_cached("INSERT OR REPLACE INTO clock VALUES (1, ?1, ?2)")?.execute([boot, spool])?;
    Ok(())
}
