//! `collector backup`: copies the embedded store into one file, complete or not at all.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crossbeam_channel::Receiver;
use wire::private_file::{self, FileError};

use crate::store::sqlite::{BackupState, Copied, CopyError, copy};

/// Why no backup was made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file exists already.
    #[error("{0} is there already and was not changed; choose another name, or remove it")]
    Exists(PathBuf),
    /// The place for it is unusable.
    #[error(transparent)]
    File(#[from] FileError),
    /// The store can't be copied.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The store is no file of this collector.
    #[error(
        "the database is PostgreSQL, which has tools of its own; run: pg_dump --format=custom \
         --file={file} {database}"
    )]
    Server {
        /// The requested file.
        file: String,
        /// The database, without its password.
        database: String,
    },
}

/// The unfinished copy under a temporary name. Dropping it removes it.
#[derive(Debug)]
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        for suffix in ["", "-journal", "-wal", "-shm"] {
            let mut name = self.0.as_os_str().to_owned();
            name.push(suffix);
            // The next backup removes leftovers.
            let _absent = private_file::remove(Path::new(&name));
        }
    }
}

/// Copies the embedded store at `store` into a new file readable only by its owner, even while a
/// collector writes to the store. The file appears complete and synced to disk, or not at all.
///
/// # Errors
/// [`BackupError`]; then `to` is unchanged.
pub fn backup(
    store: &Path,
    to: &Path,
    stop: &Receiver<Infallible>,
    tell: impl FnMut(BackupState),
) -> Result<Copied, BackupError> {
    let exists = || BackupError::Exists(to.to_owned());
    if private_file::exists(to)? {
        return Err(exists());
    }
    let mut name = OsString::from(".");
    name.push(to.file_name().unwrap_or_default());
    name.push(".new");
    let unfinished = Unfinished(to.with_file_name(name));
    let beside = &unfinished.0;
    // Remove the leftovers of a crash.
    private_file::remove(beside)?;
    private_file::reserve(beside)?;
    let _acting = private_file::act_for(beside)?;
    let copied = copy(store, beside, stop, tell)?;
    let failed = |error| FileError::write(to, error);
    File::open(beside).and_then(|file| file.sync_all()).map_err(failed)?;
    match fs::hard_link(beside, to) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(exists()),
        // Not all file systems have hard links.
        Err(_) => fs::rename(beside, to).map_err(failed)?,
    }
    let directory = to.parent().filter(|it| !it.as_os_str().is_empty());
    let directory = directory.unwrap_or_else(|| Path::new("."));
    File::open(directory).and_then(|file| file.sync_all()).map_err(failed)?;
    Ok(copied)
}
