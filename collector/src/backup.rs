//! `collector backup`: copies the embedded store into one file, complete or not at all.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crossbeam_channel::Receiver;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use settings::{Size, free_space};
use wire::private_file::{self, FileError};

use crate::store::sqlite::{BackupState, Copied, CopyError, OpenError, Snapshot};

/// The unfinished copy, and SQLite's files beside it.
const ENDINGS: [&str; 4] = ["new", "new-journal", "new-wal", "new-shm"];

/// Why no backup was made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file exists already.
    #[error("{0} is there already and was not changed; choose another name, or remove it")]
    Exists(PathBuf),
    /// The place for it is unusable.
    #[error(transparent)]
    File(#[from] FileError),
    /// The copy doesn't fit.
    #[error(
        "{place} has {free} free, and the copy needs {bytes}; free some space there, or choose \
         another place"
    )]
    NoRoom {
        /// The directory.
        place: PathBuf,
        /// Free space there.
        free: Size,
        /// Size of the copy.
        bytes: Size,
    },
    /// The copy fits, but then the store on the same disk would add no rows.
    #[error(
        "{place} has {free} free on the database's own disk, and a copy of {bytes} would leave less \
         than limits.disk_free_min ({least}), so that no rows are added; free some space there, or \
         choose a place on another disk"
    )]
    NoRoomLeft {
        /// The directory.
        place: PathBuf,
        /// Free space there.
        free: Size,
        /// Size of the copy.
        bytes: Size,
        /// What must remain free.
        least: Size,
    },
    /// The store can't be read.
    #[error(transparent)]
    Open(#[from] OpenError),
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

/// The unfinished copy under a name of its own (`.FILE.PID.RANDOM.new`). Dropping it removes it.
#[derive(Debug)]
struct Unfinished(PathBuf);

impl Unfinished {
    /// Makes an empty file beside `to`, for the owner of the directory.
    fn beside(to: &Path) -> Result<Self, FileError> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| FileError::write(to, error.into()))?;
        let mut name = OsString::from(".");
        name.push(to.file_name().unwrap_or_default());
        name.push(format!(".{}.{:016x}.new", std::process::id(), u64::from_ne_bytes(random)));
        let path = to.with_file_name(name);
        private_file::reserve(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        for ending in ENDINGS {
            // The next backup removes leftovers.
            let _absent = private_file::remove(&self.0.with_extension(ending));
        }
    }
}

/// The process that made a name for an unfinished copy of `file`. `None` if it is another name.
fn maker(name: &OsStr, file: &OsStr) -> Option<Pid> {
    let rest = name.as_bytes().strip_prefix(b".")?.strip_prefix(file.as_bytes())?;
    let mut parts = str::from_utf8(rest.strip_prefix(b".")?).ok()?.split('.');
    let (pid, random, ending) = (parts.next()?, parts.next()?, parts.next()?);
    let is_random = random.len() == 16 && random.bytes().all(|it| it.is_ascii_hexdigit());
    let is_ours = is_random && ENDINGS.contains(&ending) && parts.next().is_none();
    pid.parse().ok().filter(|pid| is_ours && *pid > 0).map(Pid::from_raw)
}

/// Removes what killed backups of the same file left.
fn remove_leftovers(to: &Path) {
    let file = to.file_name().unwrap_or_default();
    // Leftovers only take up space: a directory that can't be listed is no reason to fail.
    for name in private_file::names(directory(to)).unwrap_or_default() {
        let is_over = |pid| kill(pid, None) == Err(Errno::ESRCH);
        if maker(&name, file).is_some_and(is_over) {
            let _kept = private_file::remove(&to.with_file_name(name));
        }
    }
}

fn directory(to: &Path) -> &Path {
    to.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// Checks that a copy of `bytes` fits beside `to`, and leaves `least` if the store is on the same disk.
fn check_room(store: &Path, to: &Path, bytes: u64, least: Size) -> Result<(), BackupError> {
    let place = directory(to);
    let failed = |error| FileError::write(to, error);
    let disk = |path: &Path| fs::metadata(path).map(|it| it.dev());
    let kept =
        if disk(store).map_err(failed)? == disk(place).map_err(failed)? { least.0 } else { 0 };
    let free = free_space(place).map_err(|errno| failed(errno.into()))?;
    let (place, whole) = (place.to_owned(), 1 << 20);
    let (shown, copy) = (Size(free / whole * whole), Size(bytes.next_multiple_of(whole)));
    if free < bytes {
        return Err(BackupError::NoRoom { place, free: shown, bytes: copy });
    }
    if free - bytes < kept {
        return Err(BackupError::NoRoomLeft { place, free: shown, bytes: copy, least });
    }
    Ok(())
}

/// Copies the embedded store at `store` into a new file readable only by its owner, even while a
/// collector writes to the store. The file belongs to the owner of its directory, and appears complete
/// and synced to disk, or not at all. `least` is what the store's own disk must keep free.
///
/// # Errors
/// [`BackupError`]; then `to` is unchanged.
pub fn backup(
    store: &Path,
    to: &Path,
    least: Size,
    stop: &Receiver<Infallible>,
    tell: impl FnMut(BackupState),
) -> Result<Copied, BackupError> {
    if private_file::exists(to)? {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let snapshot = Snapshot::open(store)?;
    remove_leftovers(to);
    check_room(store, to, snapshot.bytes(), least)?;
    let unfinished = Unfinished::beside(to)?;
    let copied = snapshot.copy(&unfinished.0, stop, tell)?;
    publish(&unfinished.0, to)?;
    Ok(copied)
}

/// Gives the finished copy its name, unless another file has it meanwhile.
fn publish(from: &Path, to: &Path) -> Result<(), BackupError> {
    let _acting = private_file::act_for(from)?;
    let failed = |error| FileError::write(to, error);
    File::open(from).and_then(|file| file.sync_all()).map_err(failed)?;
    let renamed = match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        // Some file systems (NFS) can't rename like that, but have hard links.
        Err(Errno::EINVAL | Errno::ENOSYS) => fs::hard_link(from, to),
        renamed => renamed.map_err(io::Error::from),
    };
    match renamed {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(BackupError::Exists(to.to_owned()));
        }
        renamed => renamed.map_err(failed)?,
    }
    File::open(directory(to)).and_then(|file| file.sync_all()).map_err(failed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_unfinished_copies_of_the_same_file_are_leftovers() {
        let maker = |name: &str| maker(OsStr::new(name), OsStr::new("a.sqlite"));
        for name in ["new", "new-journal", "new-wal", "new-shm"] {
            let name = format!(".a.sqlite.17.0123456789abcdef.{name}");
            assert_eq!(maker(&name), Some(Pid::from_raw(17)), "{name}");
        }
        for name in [
            "a.sqlite",
            ".a.sqlite.new",
            ".b.sqlite.17.0123456789abcdef.new",
            ".a.sqlite.-1.0123456789abcdef.new",
            ".a.sqlite.0.0123456789abcdef.new",
            ".a.sqlite.17.0123456789abcdef.newer",
            ".a.sqlite.17.0123456789abcdef.new.old",
            ".a.sqlite.17.0123.new",
        ] {
            assert_eq!(maker(name), None, "{name}");
        }
    }

    #[test]
    fn a_file_that_came_meanwhile_is_not_replaced() {
        let place = tempfile::tempdir().unwrap();
        let (from, to) = (place.path().join("from"), place.path().join("to"));
        fs::write(&from, "copy").unwrap();
        fs::write(&to, "another's").unwrap();
        assert!(matches!(publish(&from, &to), Err(BackupError::Exists(_))));
        assert_eq!(fs::read_to_string(&to).unwrap(), "another's");
        fs::remove_file(&to).unwrap();
        publish(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "copy");
    }
}
