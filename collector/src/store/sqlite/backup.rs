//! Copies the file as of one moment while a collector continues to write to it (SQLite's online
//! backup), and checks the copy.

use std::convert::Infallible;
use std::ffi::c_int;
use std::path::{Path, PathBuf};

use crossbeam_channel::{Receiver, TryRecvError};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use wire::advice::Advised;
use wire::private_file::{self, FileError};

use super::error::{OpenError, SqliteError};
use super::open;

/// Number of 4 KiB pages copied at once: 16 MiB keep a disk busy and take little time.
const PAGES: c_int = 4096;

/// SQLite's steps between checks for a stop: some 10 ms.
const STEPS: c_int = 1_000_000;

/// Progress of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupState {
    /// Bytes copied, and bytes in total.
    Copied(u64, u64),
    /// The copy is being checked.
    Checking,
}

/// Result of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Size of the copy, bytes.
    pub bytes: u64,
    /// Version of its schema.
    pub schema: i64,
}

/// Why no copy was made.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The copy can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its directory is unusable.
    #[error(transparent)]
    File(#[from] FileError),
    /// Reading the one or writing the other failed.
    #[error("can't copy the database {from} to {to}")]
    Copy {
        /// The store.
        from: PathBuf,
        /// The copy.
        to: PathBuf,
        /// What SQLite said, with the remedy if one is known.
        #[source]
        error: Advised,
    },
    /// The copy is damaged, because the store or the copy's disk is.
    #[error(
        "the copy of the database {from} is damaged: {said}; run `collector fsck`, and look after the \
         disks of both"
    )]
    Damaged {
        /// The store.
        from: PathBuf,
        /// The fault.
        said: String,
    },
    /// A signal came.
    #[error("interrupted; there is no backup")]
    Interrupted,
}

/// The store as of one moment, while a collector continues to write to it.
#[derive(Debug)]
pub struct Snapshot {
    db: Connection,
    path: PathBuf,
    schema: i64,
    page: u64,
    bytes: u64,
}

impl Snapshot {
    /// Opens the file at `path`, with the rights of its owner. A collector may have it open.
    ///
    /// # Errors
    /// [`OpenError`] says why the file can't be read.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |error| OpenError::from_sqlite(path, error);
        let (db, _) = open::read_only(path)?;
        // One transaction for all steps; otherwise each commit of the collector would restart the copy.
        // Commits continue, but the log isn't truncated until this ends.
        db.execute_batch("BEGIN").map_err(failed)?;
        let schema = user_version(&db).map_err(failed)?;
        let page = number(&db, "PRAGMA page_size").map_err(failed)?;
        let bytes = number(&db, "PRAGMA page_count").map_err(failed)?.saturating_mul(page);
        Ok(Self { db, path: path.to_owned(), schema, page, bytes })
    }

    /// Size of a copy, bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Copies it into the empty file at `to`, with the rights of the owner of that directory, and checks
    /// the copy. Stops when the sender of `stop` is dropped.
    ///
    /// # Errors
    /// [`CopyError`]; then the file at `to` is useless.
    pub fn copy(
        self,
        to: &Path,
        stop: &Receiver<Infallible>,
        mut tell: impl FnMut(BackupState),
    ) -> Result<Copied, CopyError> {
        let failed = |error| failed(&self.path, to, error);
        let _acting = private_file::act_for(to)?;
        {
            let mut copy = open::open(to, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            // An unfinished copy is discarded, and the caller syncs a finished one.
            copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
                .map_err(failed)?;
            let backup = Backup::new(&self.db, &mut copy).map_err(failed)?;
            loop {
                if is_over(stop) {
                    return Err(CopyError::Interrupted);
                }
                let step = backup.step(PAGES).map_err(failed)?;
                let progress = backup.progress();
                let bytes = |pages: c_int| u64::try_from(pages).unwrap_or(0) * self.page;
                tell(BackupState::Copied(
                    bytes(progress.pagecount - progress.remaining),
                    bytes(progress.pagecount),
                ));
                if step == StepResult::Done {
                    break;
                }
            }
        }
        // The log may be truncated again.
        drop(self.db);
        tell(BackupState::Checking);
        let mut copy = open::open(to, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let watched = stop.clone();
        copy.progress_handler(STEPS, Some(move || is_over(&watched))).map_err(failed)?;
        let damaged = |said: String| CopyError::Damaged { from: self.path.clone(), said };
        open::set_up(&copy).map_err(failed)?;
        // One file, without a log beside it.
        let mode: String =
            copy.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0)).map_err(failed)?;
        let said: String =
            copy.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
        let found = open::check_identity(&copy, to)?;
        if said != "ok" || mode != "delete" {
            return Err(damaged(said));
        }
        if found != self.schema {
            return Err(damaged(format!("its schema is {found}, not {}", self.schema)));
        }
        let pages = number(&copy, "PRAGMA page_count").map_err(failed)?;
        Ok(Copied { bytes: pages * self.page, schema: self.schema })
    }
}

/// SQLite fails to read the one or to write the other.
fn failed(from: &Path, to: &Path, error: rusqlite::Error) -> CopyError {
    let way_out = match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => return CopyError::Interrupted,
        Some(ErrorCode::DiskFull) => "free space there, or choose another place",
        _ => "",
    };
    let error = Advised::new(SqliteError(error), way_out);
    CopyError::Copy { from: from.to_owned(), to: to.to_owned(), error }
}

/// True if the sender was dropped.
fn is_over(stop: &Receiver<Infallible>) -> bool {
    stop.try_recv() == Err(TryRecvError::Disconnected)
}

fn user_version(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn number(db: &Connection, sql: &str) -> rusqlite::Result<u64> {
    let number: i64 = db.query_row(sql, [], |row| row.get(0))?;
    Ok(u64::try_from(number).unwrap_or(0))
}
