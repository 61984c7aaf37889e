//! Copies the file as of one moment while a collector continues to write to it (SQLite's online
//! backup), and checks the copy.

use std::convert::Infallible;
use std::ffi::c_int;
use std::path::{Path, PathBuf};

use crossbeam_channel::{Receiver, TryRecvError};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use wire::advice::Advised;

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
    /// The store or the copy can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
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

/// Copies the file at `path` into the empty file at `to`, and checks the copy. A collector may have the
/// store open; the copy holds everything committed before the start. Stops when the sender of `stop` is
/// dropped.
///
/// # Errors
/// [`CopyError`]; then the file at `to` is useless.
pub fn copy(
    path: &Path,
    to: &Path,
    stop: &Receiver<Infallible>,
    mut tell: impl FnMut(BackupState),
) -> Result<Copied, CopyError> {
    let failed = |error: rusqlite::Error| {
        let way_out = match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => return CopyError::Interrupted,
            Some(ErrorCode::DiskFull) => "free space there, or choose another place",
            _ => "",
        };
        let error = Advised::new(SqliteError(error), way_out);
        CopyError::Copy { from: path.to_owned(), to: to.to_owned(), error }
    };
    let (source, _) = open::read_only(path)?;
    // One transaction for all steps; otherwise each commit of the collector would restart the copy.
    // Commits continue, but the log isn't truncated until this ends.
    source.execute_batch("BEGIN").map_err(failed)?;
    let schema = user_version(&source).map_err(failed)?;
    let mut copy = open::open(to, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // An unfinished copy is discarded, and the caller syncs a finished one.
    copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").map_err(failed)?;
    let page = number(&source, "PRAGMA page_size").map_err(failed)?;
    {
        let backup = Backup::new(&source, &mut copy).map_err(failed)?;
        loop {
            if is_over(stop) {
                return Err(CopyError::Interrupted);
            }
            let step = backup.step(PAGES).map_err(failed)?;
            let progress = backup.progress();
            let bytes = |pages: c_int| u64::try_from(pages).unwrap_or(0) * page;
            tell(BackupState::Copied(
                bytes(progress.pagecount - progress.remaining),
                bytes(progress.pagecount),
            ));
            if step == StepResult::Done {
                break;
            }
        }
    }
    drop((source, copy));
    tell(BackupState::Checking);
    let mut copy = open::open(to, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let watched = stop.clone();
    copy.progress_handler(STEPS, Some(move || is_over(&watched))).map_err(failed)?;
    let damaged = |said: String| CopyError::Damaged { from: path.to_owned(), said };
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
    if found != schema {
        return Err(damaged(format!("its schema is {found}, not {schema}")));
    }
    Ok(Copied { bytes: number(&copy, "PRAGMA page_count").map_err(failed)? * page, schema })
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
