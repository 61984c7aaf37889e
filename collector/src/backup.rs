//! `collector backup`: the embedded store as one file, whole or not at all.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crossbeam_channel::Receiver;
use wire::private_file::{self, FileError};

use crate::store::sqlite::{BackupState, Copied, CopyError, copy};

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file is there.
    #[error("{0} is there already and was not changed; choose another name, or remove it")]
    Exists(PathBuf),
    /// No place for it.
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
        /// The file that was asked for.
        file: String,
        /// The database, without its password.
        database: String,
    },
}

/// The copy while it is made, under a name of its own. Dropped, it is removed.
#[derive(Debug)]
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        for suffix in ["", "-journal", "-wal", "-shm"] {
            let mut name = self.0.as_os_str().to_owned();
            name.push(suffix);
            // What is left over is removed by the next backup.
            let _absent = private_file::remove(Path::new(&name));
        }
    }
}

/// Copies the embedded store at `store` into a new file, for its owner alone, also while a collector
/// writes to it. Either all of the file is there and on the disk, or nothing.
///
/// # Errors
/// [`BackupError`]; nothing is at `to` then that wasn't before.
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
    // What a crash has left there.
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
