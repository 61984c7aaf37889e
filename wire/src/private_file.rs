//! Files with secrets: made for their owner alone, replaced whole or not at all.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::geteuid;

use crate::permission;

/// Largest file that is read, bytes: a long chain of certificates fits many times.
const SIZE_MAX: u64 = 1 << 20;

/// Mode of a file for its owner alone.
const PRIVATE: u32 = 0o600;

/// Mode of a file that everybody may read.
const PUBLIC: u32 = 0o644;

/// Mode of a directory for its owner alone.
const PRIVATE_DIRECTORY: u32 = 0o700;

/// Mode of a directory through which everybody may pass.
const PUBLIC_DIRECTORY: u32 = 0o755;

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It can't be read.
    #[error("can't read {path}: {error}{}", after(way_out))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
        /// What helps, if that can be told.
        way_out: String,
    },
    /// It can't be written.
    #[error("can't write {path}: {error}{}", after(way_out))]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
        /// What helps, if that can be told.
        way_out: String,
    },
    /// Others may read it.
    #[error(
        "{path} has a secret and can be read by others (mode {mode:03o}); run: chmod 600 {path}"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Others may replace what is in it.
    #[error(
        "directory {path} has secrets and can be written by others (mode {mode:03o}); run: \
         chmod 700 {path}"
    )]
    ExposedDirectory {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

fn after(way_out: &str) -> String {
    if way_out.is_empty() { String::new() } else { format!("; {way_out}") }
}

impl FileError {
    /// A file or directory that can't be read, with the user who may if this one may not.
    #[must_use]
    pub fn read(path: &Path, error: io::Error) -> Self {
        let way_out = permission::way_out(path, &error, "");
        Self::Read { path: path.to_owned(), error, way_out }
    }

    /// A file or directory that can't be written, with the user who may if this one may not.
    #[must_use]
    pub fn write(path: &Path, error: io::Error) -> Self {
        let way_out = permission::way_out(path, &error, "");
        Self::Write { path: path.to_owned(), error, way_out }
    }

    /// True if there is no such file.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Read { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }
}

/// True if there is such a file or directory. One that can't be looked at is an error.
///
/// # Errors
/// [`FileError::Read`] names the file.
pub fn exists(path: &Path) -> Result<bool, FileError> {
    path.try_exists().map_err(|error| FileError::read(path, error))
}

/// Reads a file with a secret.
///
/// # Errors
/// [`FileError`] names the file; one that others can read is refused with the fix.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    read_checked(path, |mode| {
        let exposed = FileError::Exposed { path: path.to_owned(), mode };
        if mode & 0o077 == 0 { Ok(()) } else { Err(exposed) }
    })
}

/// Reads a file without a secret.
///
/// # Errors
/// [`FileError::Read`] names the file.
pub fn read_public(path: &Path) -> Result<Vec<u8>, FileError> {
    read_checked(path, |_| Ok(()))
}

fn read_checked(
    path: &Path,
    check: impl FnOnce(u32) -> Result<(), FileError>,
) -> Result<Vec<u8>, FileError> {
    let read_error = |error| FileError::read(path, error);
    let file = File::open(path).map_err(read_error)?;
    let metadata = file.metadata().map_err(read_error)?;
    check(metadata.mode() & 0o777)?;
    if metadata.len() > SIZE_MAX {
        let error = format!("it has {} bytes, more than any key or certificate", metadata.len());
        return Err(read_error(io::Error::other(error)));
    }
    let mut bytes = Vec::new();
    file.take(SIZE_MAX).read_to_end(&mut bytes).map_err(read_error)?;
    Ok(bytes)
}

/// Writes a file with a secret (mode 0600): after a crash the old or the new one is there, whole.
/// It belongs to whom its directory belongs, so that root may prepare it for a service.
///
/// # Errors
/// [`FileError::Write`] names the file.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    replace(path, bytes, PRIVATE).map_err(|error| FileError::write(path, error))
}

/// Writes a file without a secret (mode 0644), otherwise as [`write()`].
///
/// # Errors
/// [`FileError::Write`] names the file.
pub fn write_public(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    replace(path, bytes, PUBLIC).map_err(|error| FileError::write(path, error))
}

fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let (directory, name) = (parent(path), path.file_name().unwrap_or_default());
    let beside = directory.join(format!(".{}.new", name.to_string_lossy()));
    // What a crash has left there may have another mode.
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    give_to_owner_of(directory, &file)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    File::open(directory)?.sync_all()
}

/// Removes a file for good. False if there was none: somebody else has removed it.
///
/// # Errors
/// [`FileError::Write`] names the file.
pub fn remove(path: &Path) -> Result<bool, FileError> {
    let removed = match std::fs::remove_file(path) {
        Ok(()) => {
            File::open(parent(path)).and_then(|directory| directory.sync_all()).map(|()| true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    };
    removed.map_err(|error| FileError::write(path, error))
}

/// Makes a directory for its owner alone (mode 0700) unless it is there. Those above it that are
/// missing too are made so that others can pass them (mode 0755), whatever the umask is: a service
/// whose user isn't the one who runs this must reach its own. Each belongs to whom the one above
/// it belongs.
///
/// # Errors
/// [`FileError`] names the directory.
pub fn make_directory(path: &Path) -> Result<(), FileError> {
    make(path, PRIVATE_DIRECTORY)
}

/// [`make_directory()`] of a directory with secrets.
///
/// # Errors
/// [`FileError`] names the directory; one in which others can write is refused with the fix.
pub fn create_directory(path: &Path) -> Result<(), FileError> {
    make_directory(path)?;
    let metadata = std::fs::metadata(path).map_err(|error| FileError::write(path, error))?;
    let mode = metadata.mode() & 0o777;
    let exposed = FileError::ExposedDirectory { path: path.to_owned(), mode };
    if mode & 0o022 == 0 { Ok(()) } else { Err(exposed) }
}

fn make(path: &Path, mode: u32) -> Result<(), FileError> {
    let write_error = |error| FileError::write(path, error);
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Ok(_) => return Err(write_error(io::Error::from(io::ErrorKind::NotADirectory))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(write_error(error)),
    }
    let above = parent(path);
    make(above, PUBLIC_DIRECTORY)?;
    // Nobody else may pass it until it is whose it shall be.
    match DirBuilder::new().mode(PRIVATE_DIRECTORY).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Another process was faster, or this is a symbolic link that leads nowhere.
            return std::fs::metadata(path).map(drop).map_err(|_| {
                let why = "it is a symbolic link that leads nowhere";
                let way_out = format!("remove it: rm {}", path.display());
                FileError::Write { path: path.to_owned(), error: io::Error::other(why), way_out }
            });
        }
        made => made.map_err(write_error)?,
    }
    let set_up = || {
        // Not of what somebody has put in its place meanwhile.
        let as_made = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        let made = OpenOptions::new().read(true).custom_flags(as_made.bits()).open(path)?;
        give_to_owner_of(above, &made)?;
        made.set_permissions(Permissions::from_mode(mode))
    };
    set_up().map_err(write_error)
}

/// Makes an empty file with mode 0600 for the owner of its directory, unless there is one: what
/// others, such as SQLite, are to fill, when root runs what is a service's.
///
/// # Errors
/// [`FileError::Write`] names the file.
pub fn reserve(path: &Path) -> Result<(), FileError> {
    let made = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|file| give_to_owner_of(parent(path), &file)),
    }
    .map_err(|error| FileError::write(path, error))
}

/// Keeps all other processes out of a directory that lock it too, until the file is dropped.
/// Blocks until the lock is free.
///
/// # Errors
/// [`FileError::Write`] names the lock's file.
pub fn lock(directory: &Path) -> Result<File, FileError> {
    let path = directory.join("lock");
    let file = open_lock(&path)?;
    file.lock().map_err(|error| FileError::write(&path, error))?;
    Ok(file)
}

/// Opens the file of a lock, or makes it for the owner of its directory.
///
/// # Errors
/// [`FileError::Write`] names the file.
pub fn open_lock(path: &Path) -> Result<File, FileError> {
    reserve(path)?;
    let opened = OpenOptions::new().write(true).open(path);
    opened.map_err(|error| FileError::write(path, error))
}

/// Only root can give a file away, and only root needs to.
fn give_to_owner_of(directory: &Path, file: &File) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let (owner, made) = (std::fs::metadata(directory)?, file.metadata()?);
    if owner.uid() == made.uid() {
        return Ok(());
    }
    fchown(file, Some(owner.uid()), Some(owner.gid()))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if above != Path::new("") => above,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_secret_is_written_for_its_owner_alone_and_replaced_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/key.pem");
        create_directory(path.parent().unwrap()).unwrap();
        std::fs::write(path.with_file_name(".key.pem.new"), "left by a crash").unwrap();
        write(&path, b"long first text").unwrap();
        write(&path, b"second").unwrap();
        assert_eq!(read(&path).unwrap(), b"second");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn the_directories_above_let_everybody_pass() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lib/network-monitor/agent/identity");
        create_directory(&path).unwrap();
        let modes: Vec<u32> = path.ancestors().take(4).map(mode).collect();
        assert_eq!(modes, [0o700, 0o755, 0o755, 0o755]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_named_with_the_fix() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent");
        std::os::unix::fs::symlink("private/agent", &path).unwrap();
        let text = create_directory(&path.join("identity")).unwrap_err().to_string();
        assert!(text.contains(&format!("rm {}", path.display())), "{text}");
    }

    #[test]
    fn what_root_makes_is_of_the_owner_of_its_directory() {
        const SERVICE: u32 = 65_432;
        if !geteuid().is_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(directory.path(), Some(SERVICE), Some(SERVICE)).unwrap();
        let path = directory.path().join("agent/identity");
        create_directory(&path).unwrap();
        write(&path.join("key"), b"x").unwrap();
        reserve(&path.join("store")).unwrap();
        drop(lock(&path).unwrap());
        for made in ["..", "key", "store", "lock"].map(|name| path.join(name)) {
            let metadata = std::fs::metadata(&made).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (SERVICE, SERVICE), "{}", made.display());
        }
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused_with_the_fix() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        write_public(&path, b"x").unwrap();
        set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let text = read(&path).unwrap_err().to_string();
        assert!(text.contains(&format!("chmod 600 {}", path.display())), "{text}");
        assert!(text.contains("644"), "{text}");
        assert_eq!(read_public(&path).unwrap(), b"x");
        set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read(&path), Err(FileError::Exposed { mode: 0o640, .. })));
        set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        assert_eq!(read(&path).unwrap(), b"x");
    }

    #[test]
    fn a_directory_in_which_others_can_write_is_refused_with_the_fix() {
        let directory = tempfile::tempdir().unwrap();
        set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
        let text = create_directory(directory.path()).unwrap_err().to_string();
        assert!(text.contains(&format!("chmod 700 {}", directory.path().display())), "{text}");
    }

    #[test]
    fn of_two_that_remove_a_file_one_wins() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        write(&path, b"x").unwrap();
        assert!(remove(&path).unwrap());
        assert!(!remove(&path).unwrap());
    }

    #[test]
    fn what_is_no_file_or_no_directory_or_too_long_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        assert!(read(&path).unwrap_err().is_absent());
        File::create(&path).unwrap().set_len(SIZE_MAX + 1).unwrap();
        let text = read_public(&path).unwrap_err().to_string();
        assert!(text.contains(&path.display().to_string()) && text.contains("bytes"), "{text}");
        assert!(create_directory(&path).unwrap_err().to_string().contains("/x"));
        assert!(write(&path.join("y"), b"").unwrap_err().to_string().contains("/x/y"));
    }
}
