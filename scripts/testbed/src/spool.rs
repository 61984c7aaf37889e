//! What the spool of an agent at work holds.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, Result};

/// Looks into a copy of a spool: an agent shares its own with nobody. `None` if the agent wrote
/// while it was copied: try again.
pub fn look<T>(spool: &Path, look: impl FnOnce(&Connection) -> Result<T>) -> Option<T> {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("spool.sqlite");
    fs::copy(spool, &copy).ok()?;
    let wal = |path: &Path| format!("{}-wal", path.display());
    fs::copy(wal(spool), wal(&copy)).ok()?;
    look(&Connection::open(copy).ok()?).ok()
}
