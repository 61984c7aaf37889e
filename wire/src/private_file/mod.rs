//! Files with secrets: created for their owner alone, replaced completely or not at all.

mod acting;
mod directory;
mod error;

use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;

pub use self::acting::Acting;
use self::directory::{Directory, LINKS_MAX, Modes};
pub use self::error::FileError;
use crate::advice::Advised;

/// Largest file to read, bytes: many times a long chain of certificates.
const SIZE_MAX: u64 = 1 << 20;

/// Mode of a file for its owner alone.
const PRIVATE: u32 = 0o600;

/// Mode of a file that everybody may read.
const PUBLIC: u32 = 0o644;

/// Mode of a directory for its owner alone.
const PRIVATE_DIRECTORY: u32 = 0o700;

/// Mode of a directory through which everybody may pass.
const PUBLIC_DIRECTORY: u32 = 0o755;

/// Longest wait for a lock: an enrolment holds it while it tries several collectors.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);

/// Time between two tries to take a lock.
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// SQLite's files beside a database.
const BESIDE_DATABASE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// True if the file or directory exists. Fails if that can't be determined.
///
/// # Errors
/// [`FileError::Read`] names the file.
pub fn exists(path: &Path) -> Result<bool, FileError> {
    let found = match resolved(path) {
        Err(error) if error.is_absent() => return Ok(false),
        found => found?,
    };
    Ok(found.0.stat(&found.1).map_err(|error| FileError::read(path, error))?.is_some())
}

/// The names in a directory, unsorted.
///
/// # Errors
/// [`FileError::Read`] names the directory.
pub fn names(directory: &Path) -> Result<Vec<OsString>, FileError> {
    Directory::open(directory)?.names().map_err(|error| FileError::read(directory, error))
}

/// Resolves a path, following permitted symbolic links.
fn resolved(path: &Path) -> Result<(Directory, OsString), FileError> {
    let mut place = path.to_owned();
    for _ in 0..LINKS_MAX {
        let (directory, name) = Directory::around(&place)?;
        match directory.link(name).map_err(|error| FileError::read(path, error))? {
            Some(target) => place = target,
            None => return Ok((directory, name.to_owned())),
        }
    }
    Err(FileError::read(path, Errno::ELOOP.into()))
}

/// Reads a file with a secret.
///
/// # Errors
/// [`FileError`] names the file. A file that others can read is refused, with the remedy.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    read_up_to(path, SIZE_MAX)
}

/// [`read()`] for a file of at most `most` bytes.
///
/// # Errors
/// Those of [`read()`].
pub fn read_up_to(path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
    read_checked(path, most, |mode| {
        let exposed = FileError::Exposed { path: path.to_owned(), mode };
        if mode & 0o077 == 0 { Ok(()) } else { Err(exposed) }
    })
}

/// Reads a file without a secret.
///
/// # Errors
/// [`FileError::Read`] names the file.
pub fn read_public(path: &Path) -> Result<Vec<u8>, FileError> {
    read_checked(path, SIZE_MAX, |_| Ok(()))
}

fn read_checked(
    path: &Path,
    most: u64,
    check: impl FnOnce(u32) -> Result<(), FileError>,
) -> Result<Vec<u8>, FileError> {
    let read_error = |error| FileError::read(path, error);
    let (directory, name) = resolved(path)?;
    let file = directory.open_file(&name, OFlag::O_RDONLY).map_err(read_error)?;
    let metadata = file.metadata().map_err(read_error)?;
    check(metadata.mode() & 0o777)?;
    if metadata.len() > most {
        let error = format!("it has {} bytes, more than the {most} that fit", metadata.len());
        return Err(read_error(io::Error::other(error)));
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).map_err(read_error)?;
    Ok(bytes)
}

/// Writes a file with a secret (mode 0600): after a crash, either the old or the new file is there
/// completely. It belongs to the owner of its directory, so that root may prepare it for a service.
///
/// # Errors
/// [`FileError::Write`] names the file.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    replace(path, bytes, PRIVATE)
}

/// Writes a file without a secret (mode 0644), otherwise like [`write()`].
///
/// # Errors
/// [`FileError::Write`] names the file.
pub fn write_public(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    replace(path, bytes, PUBLIC)
}

fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let (directory, name) = Directory::around(path).map_err(FileError::of_writing)?;
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(".new");
    let replace = || {
        // A file left by a crash may have another mode.
        directory.remove(&beside)?;
        let mut file = directory.create_file(&beside, mode)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        directory.rename(&beside, name)?;
        directory.sync()
    };
    replace().map_err(|error| FileError::write(path, error))
}

/// Removes a file durably. Returns false if it didn't exist: another process removed it.
///
/// # Errors
/// [`FileError::Write`] names the file.
pub fn remove(path: &Path) -> Result<bool, FileError> {
    let (directory, name) = match Directory::around(path) {
        Err(error) if error.is_absent() => return Ok(false),
        found => found.map_err(FileError::of_writing)?,
    };
    let removed = directory
        .remove(name)
        .and_then(|removed| if removed { directory.sync().map(|()| true) } else { Ok(false) });
    removed.map_err(|error| FileError::write(path, error))
}

/// Creates a directory for its owner alone (mode 0700) if it is missing. Missing parents get mode 0755,
/// whatever the umask is: a service with another user must reach its directory. Each belongs to the
/// owner of its parent.
///
/// # Errors
/// [`FileError`] names the directory.
pub fn make_directory(path: &Path) -> Result<(), FileError> {
    make(path).map(drop)
}

/// Like [`make_directory()`], for a directory with secrets.
///
/// # Errors
/// [`FileError`] names the directory. One that others can write to is refused, with the remedy.
pub fn create_directory(path: &Path) -> Result<(), FileError> {
    let mode = make(path)?.mode & 0o777;
    let exposed = FileError::ExposedDirectory { path: path.to_owned(), mode };
    if mode & 0o022 == 0 { Ok(()) } else { Err(exposed) }
}

fn make(path: &Path) -> Result<Directory, FileError> {
    Directory::make(path, Modes { last: PRIVATE_DIRECTORY, above: PUBLIC_DIRECTORY })
}

/// Creates an empty file with mode 0600 for the owner of its directory, if it is missing.
///
/// # Errors
/// [`FileError::Write`] names the file. Anything but a regular file of the right owner is refused, with
/// the remedy.
pub fn reserve(path: &Path) -> Result<(), FileError> {
    let (directory, name) = resolved(path).map_err(FileError::of_writing)?;
    make_file(&directory, &name).map_err(|error| FileError::write(path, error))
}

fn make_file(directory: &Directory, name: &OsStr) -> io::Result<()> {
    match directory.create_file(name, PRIVATE) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            directory.check_file(name).map(drop)
        }
        made => made.map(drop),
    }
}

/// [`reserve()`] for a SQLite database, which creates its other files with the same mode. Removes the
/// permissions of others from existing files and returns those files with their old modes, to be
/// reported.
///
/// # Errors
/// Those of [`reserve()`], for each of the files.
pub fn reserve_database(path: &Path) -> Result<Vec<(PathBuf, u32)>, FileError> {
    let (directory, name) = resolved(path).map_err(FileError::of_writing)?;
    let write_error = |error| FileError::write(path, error);
    make_file(&directory, &name).map_err(write_error)?;
    let mut closed = Vec::new();
    for (name, path) in database_files(&name, path) {
        let there = directory.check_file(&name).map_err(write_error)?;
        let mode =
            if there { directory.close_to_others(&name).map_err(write_error)? } else { None };
        closed.extend(mode.map(|mode| (path, mode)));
    }
    Ok(closed)
}

/// Checks the files of a SQLite database before reading it: refuses anything but regular files of the
/// right owner.
///
/// # Errors
/// Those of [`reserve()`], for each of the files.
pub fn check_database(path: &Path) -> Result<(), FileError> {
    let (directory, name) = resolved(path)?;
    for (name, _) in database_files(&name, path) {
        directory.check_file(&name).map_err(|error| FileError::read(path, error))?;
    }
    Ok(())
}

/// The names of a database's files, and their display paths.
fn database_files(name: &OsStr, path: &Path) -> impl Iterator<Item = (OsString, PathBuf)> {
    let with = |text: &OsStr, suffix: &str| {
        let mut text = text.to_owned();
        text.push(suffix);
        text
    };
    let suffixes = [""].into_iter().chain(BESIDE_DATABASE);
    suffixes.map(move |it| (with(name, it), with(path.as_os_str(), it).into()))
}

/// Resolves a path for a library that opens files by path and can be told to follow no links: the
/// directory's owner may plant a link at any time.
///
/// # Errors
/// [`FileError::Read`] names the path. A link that may not be followed is refused, with the remedy.
pub fn real_path(path: &Path) -> Result<PathBuf, FileError> {
    let (directory, name) = resolved(path)?;
    Ok(directory.path.join(name))
}

/// While the value lives, root accesses the files beside `path` with the rights of the directory's
/// owner, for a library. Other users are unaffected, and so is root if that user is locked out above by
/// root (a service with `DynamicUser=`).
///
/// # Errors
/// [`FileError`] if root may not work in the directory, or its owner has locked himself out.
pub fn act_for(path: &Path) -> Result<Acting, FileError> {
    let (directory, name) = resolved(path)?;
    let acting = directory.acting().map_err(|error| FileError::write(path, error))?;
    let place = directory.path.join(name);
    match std::fs::symlink_metadata(&place) {
        Err(error) if acting.is_another() && error.kind() == io::ErrorKind::PermissionDenied => {
            if directory.is_behind_root() {
                return Ok(Acting::as_before());
            }
            drop(acting);
            let way_out = format!("run: chmod 700 {}", directory.closed(&place).display());
            Err(FileError::Write { path: path.to_owned(), error: Advised::new(error, way_out) })
        }
        _ => Ok(acting),
    }
}

/// Locks a directory against other processes that lock it too, until the file is dropped. Waits at most
/// a minute for the lock.
///
/// # Errors
/// [`FileError::Write`] names the lock's file.
pub fn lock(directory: &Path) -> Result<File, FileError> {
    lock_within(directory, LOCK_PATIENCE)
}

/// [`lock()`] with another longest wait.
///
/// # Errors
/// [`FileError::Write`] names the lock's file.
pub fn lock_within(directory: &Path, patience: Duration) -> Result<File, FileError> {
    let path = directory.join("lock");
    let file = open_lock(&path)?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if begun.elapsed() < patience => {
                std::thread::sleep(LOCK_RETRY);
            }
            Err(TryLockError::WouldBlock) => {
                let why = format!("another process has kept the lock for {patience:?}");
                let way_out = format!("find and end it: fuser -v {}", path.display());
                return Err(FileError::Write { path, error: Advised::new(why, way_out) });
            }
            Err(TryLockError::Error(error)) => return Err(FileError::write(&path, error)),
        }
    }
}

/// Opens the file of a lock, or creates it for the owner of its directory.
///
/// # Errors
/// [`FileError::Write`] names the file.
pub fn open_lock(path: &Path) -> Result<File, FileError> {
    let write_error = |error| FileError::write(path, error);
    let (directory, name) = resolved(path).map_err(FileError::of_writing)?;
    make_file(&directory, &name).map_err(write_error)?;
    directory.open_file(&name, OFlag::O_WRONLY).map_err(write_error)
}

#[cfg(test)]
mod tests;
