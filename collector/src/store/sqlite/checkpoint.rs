//! Brings the pages of the log (WAL) into the database file while commits go on: in a commit it would take some ten
//! times as long as the commit itself.

use std::ffi::c_int;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, TryLockError};

use rusqlite::Connection;
use rusqlite::hooks::Wal;
use settings::{InFull, SharedFailures};

use super::error::OpenError;
use super::open;

/// Pages in the log at which they are brought into the file.
#[derive(Debug, Clone, Copy)]
pub struct Pages {
    /// Beside commits, and again after as many more. A page that several commits have changed is then written once.
    pub beside: u32,
    /// In a commit, because commits come without a pause: the log begins anew only once all of it is in the file, and
    /// most is by then.
    pub within: u32,
}

impl Pages {
    /// 32 MiB, half of what the file of the log keeps, and 128 MiB. SQLite's own 1,000 pages of 4 KiB are less than
    /// one commit of a thousand NICs.
    pub const DEFAULT: Self = Self { beside: 8 << 10, within: 32 << 10 };
}

/// The checkpoints of an open file.
#[derive(Debug, Clone)]
pub struct Checkpoints(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    due: AtomicBool,
    db: Mutex<Connection>,
    /// Another process may open the file only once this one is through with it.
    _lock: Arc<File>,
}

impl Checkpoints {
    /// Those of the file at `path`, which `writer` writes and `lock` keeps.
    pub fn of(
        writer: &mut Connection,
        path: &Path,
        lock: Arc<File>,
        pages: Pages,
    ) -> Result<Self, OpenError> {
        let db = Mutex::new(open::beside(path)?);
        let inner = Arc::new(Inner { due: AtomicBool::new(false), db, _lock: lock });
        let told = Arc::downgrade(&inner);
        let (mut before, mut next) = (0, pages.beside);
        let on_commit = move |wal: &mut Wal, found: c_int| {
            let found = u32::try_from(found).unwrap_or(0);
            if found < before {
                // The log has begun anew.
                next = pages.beside;
            }
            before = found;
            if found >= next
                && let Some(it) = told.upgrade()
            {
                // Not with each commit, while it goes on growing.
                next = found.saturating_add(pages.beside);
                it.due.store(true, Ordering::Relaxed);
            }
            if found >= pages.within {
                // The commit is good whether this succeeds or not; the next one tries again.
                let _failed = wal.checkpoint();
            }
            Ok(())
        };
        writer.wal_hook(Some(on_commit)).map_err(|error| OpenError::from_sqlite(path, error))?;
        Ok(Self(inner))
    }

    /// Begins one on a thread of its own if commits have made it due.
    pub fn proceed(&self) {
        if self.0.due.swap(false, Ordering::Relaxed) {
            let this = self.clone();
            tokio::task::spawn_blocking(move || this.run());
        }
    }

    /// True if none is due or under way.
    #[cfg(test)]
    pub fn are_idle(&self) -> bool {
        !self.0.due.load(Ordering::Relaxed) && Arc::strong_count(&self.0) == 1
    }

    /// Takes what is in the log by now. Waits for nobody: what a reader still needs stays there.
    fn run(&self) {
        let db = match self.0.db.try_lock() {
            Ok(db) => db,
            Err(TryLockError::Poisoned(db)) => db.into_inner(),
            // One of the next commits makes it due again.
            Err(TryLockError::WouldBlock) => return,
        };
        if let Err(error) = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
            && let Some(tell) = FAILED.failed((), std::time::Instant::now())
        {
            tracing::warn!(
                error = %error.in_full(),
                "the database's log can't be brought into its file, and grows{tell}"
            );
        }
    }
}

/// Failed ones. Rate-limits the log, because each commit may try again.
static FAILED: SharedFailures<()> = SharedFailures::new();
