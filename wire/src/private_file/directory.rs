//! A directory by its descriptor: operations stay in that directory even if its path changes.
//!
//! Root works in directories of services, whose users may plant links, fifos and directories or swap
//! them at any time. So root follows only root's symbolic links, creates, renames and removes files
//! only with the rights of the directory's owner, and opens nothing that could block. For other users,
//! the system enforces this.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{
    FchmodatFlags, FileStat, Mode, SFlag, fchmod, fchmodat, fstat, fstatat, mkdirat,
};
use nix::unistd::{Gid, Uid, UnlinkatFlags, unlinkat};

use super::acting::{Acting, is_root};
use super::error::FileError;
use crate::permission;

/// Most symbolic links on a path, as in the kernel (path_resolution(7)).
pub(super) const LINKS_MAX: usize = 40;

/// Write permission for users other than owner and group.
const OTHERS_WRITE: u32 = 0o002;

/// Only owners may rename and remove (`/tmp`).
const STICKY: u32 = 0o1000;

/// A directory, held open.
#[derive(Debug)]
pub(super) struct Directory {
    descriptor: OwnedFd,
    /// Its path, with symbolic links resolved.
    pub path: PathBuf,
    /// The last directory of root on the way to it, before those of another user.
    gate: Option<PathBuf>,
    pub owner: Uid,
    group: Gid,
    /// Permissions.
    pub mode: u32,
}

/// Modes of new directories.
#[derive(Debug, Clone, Copy)]
pub(super) struct Modes {
    /// The last directory.
    pub last: u32,
    /// Those above it.
    pub above: u32,
}

/// An entry found on the way.
enum Step {
    Directory(Directory),
    Link(PathBuf),
    Missing,
}

impl Directory {
    /// Opens the directory at `path`.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        Self::find(path, None, path)
    }

    /// Opens the directory at `path` and creates missing ones on the way, each for the owner of its
    /// parent.
    pub fn make(path: &Path, modes: Modes) -> Result<Self, FileError> {
        Self::find(path, Some(modes), path)
    }

    /// Opens the parent directory of `path`. Also returns the name in it.
    pub fn around(path: &Path) -> Result<(Self, &OsStr), FileError> {
        let name = path.file_name().ok_or(Errno::EISDIR);
        let name = name.map_err(|errno| FileError::write(path, errno.into()))?;
        let above =
            path.parent().filter(|it| *it != Path::new("")).unwrap_or_else(|| Path::new("."));
        Ok((Self::find(above, None, path)?, name))
    }

    /// Errors name `wanted`.
    fn find(path: &Path, make: Option<Modes>, wanted: &Path) -> Result<Self, FileError> {
        let failed = |error: io::Error| match make {
            None => FileError::read(wanted, error),
            Some(_) => FileError::write(wanted, error),
        };
        let mut ahead = parts(path);
        let mut at = Self::start(path).map_err(failed)?;
        let mut stranger: Option<(Uid, PathBuf)> = None;
        // The link that led here, and the number of components after its target.
        let mut link: Option<(PathBuf, usize)> = None;
        let mut links = 0;
        while let Some(part) = ahead.pop() {
            let there = at.path.join(&part);
            at = match at.step(&part).map_err(failed)? {
                Step::Directory(next) => next,
                Step::Link(target) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(failed(Errno::ELOOP.into()));
                    }
                    link = Some((there, ahead.len()));
                    ahead.extend(parts(&target));
                    if target.is_absolute() { Self::start(&target).map_err(failed)? } else { at }
                }
                Step::Missing => match (make, &link) {
                    (None, _) => return Err(failed(Errno::ENOENT.into())),
                    (_, Some((link, behind))) if ahead.len() >= *behind => {
                        let way_out = format!("remove it: rm {}", link.display());
                        let why = "is a symbolic link that leads nowhere";
                        return Err(failed(refused(link, why, &way_out)));
                    }
                    (Some(modes), _) => {
                        let mode = if ahead.is_empty() { modes.last } else { modes.above };
                        at.make_in(&part, mode).map_err(failed)?
                    }
                },
            };
            at.pass(&mut stranger).map_err(failed)?;
        }
        at.gate = stranger.and_then(|(_, first)| first.parent().map(Path::to_owned));
        Ok(at)
    }

    /// The start of the way to `path`.
    fn start(path: &Path) -> io::Result<Self> {
        let start = Path::new(if path.is_absolute() { "/" } else { "." });
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Self::new(openat(AT_FDCWD, start, flags, Mode::empty())?, start.to_owned())
    }

    fn new(descriptor: OwnedFd, path: PathBuf) -> io::Result<Self> {
        let stat = fstat(&descriptor)?;
        let (owner, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        let mode = stat.st_mode & 0o7777;
        Ok(Self { descriptor, path, gate: None, owner, group, mode })
    }

    /// The entry of a name, opened without following links.
    fn look(&self, name: &OsStr) -> io::Result<Option<(OwnedFd, FileStat)>> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match openat(&self.descriptor, name, flags, Mode::empty()) {
            Err(Errno::ENOENT) => Ok(None),
            found => {
                let found = found?;
                let stat = fstat(&found)?;
                Ok(Some((found, stat)))
            }
        }
    }

    fn step(&self, part: &OsStr) -> io::Result<Step> {
        let Some((found, stat)) = self.look(part)? else { return Ok(Step::Missing) };
        let path = self.path.join(part);
        match kind(&stat) {
            SFlag::S_IFDIR if part == ".." => {
                let above = self.path.parent().filter(|_| self.path.is_absolute());
                let above = above.map_or_else(|| path.clone(), Path::to_owned);
                Ok(Step::Directory(Self::new(found, above)?))
            }
            SFlag::S_IFDIR => Ok(Step::Directory(Self::new(found, path)?)),
            SFlag::S_IFLNK => Ok(Step::Link(follow(&found, &stat, &path)?)),
            _ => Err(Errno::ENOTDIR.into()),
        }
    }

    /// The target of a name, if it is a link that may be followed.
    pub fn link(&self, name: &OsStr) -> io::Result<Option<PathBuf>> {
        match self.look(name)? {
            Some((found, stat)) if kind(&stat) == SFlag::S_IFLNK => {
                Ok(Some(self.path.join(follow(&found, &stat, &self.path.join(name))?)))
            }
            _ => Ok(None),
        }
    }

    /// Checks that root may work here. Everything in another user's directory belongs to that user, or
    /// root made it there.
    fn pass(&self, stranger: &mut Option<(Uid, PathBuf)>) -> io::Result<()> {
        let path = &self.path;
        if !is_root() {
            return Ok(());
        }
        if self.mode & (OTHERS_WRITE | STICKY) == OTHERS_WRITE {
            let why = format!("is writable for everybody (mode {:03o})", self.mode);
            let way_out = format!("run: chmod o-w {}", path.display());
            return Err(refused(path, &why, &way_out));
        }
        match stranger {
            _ if self.owner.is_root() => Ok(()),
            Some((other, _)) if *other != self.owner => {
                let (other, owner) = (permission::name(*other), permission::name(self.owner));
                let why = format!("belongs to {owner} in a directory of {other}");
                let way_out = format!("run: chown -R {other} {}", path.display());
                Err(refused(path, &why, &way_out))
            }
            Some(_) => Ok(()),
            None => {
                *stranger = Some((self.owner, path.clone()));
                Ok(())
            }
        }
    }

    /// Root creates, renames and removes with the rights of the owner.
    pub fn acting(&self) -> io::Result<Acting> {
        Acting::as_user(self.owner, self.group)
    }

    /// True if root's directories deny this user the way here. Only those are checked, because nobody
    /// else can change their permissions.
    pub fn is_behind_root(&self) -> bool {
        let searched = self.gate.as_ref().map(|gate| std::fs::metadata(gate.join(".")));
        matches!(searched, Some(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied)
    }

    /// The directory on the way to `place`, which is in this one, that its owner has closed.
    pub fn closed<'a>(&'a self, place: &'a Path) -> &'a Path {
        let closed = |path: &&Path| {
            let metadata = std::fs::symlink_metadata(path);
            metadata.is_ok_and(|it| it.uid() == self.owner.as_raw() && it.mode() & 0o100 == 0)
        };
        place.ancestors().skip(1).filter(closed).last().unwrap_or(&self.path)
    }

    fn make_in(&self, name: &OsStr, mode: u32) -> io::Result<Self> {
        let _acting = self.acting()?;
        // Nobody else may enter it before its owner and mode are set, whatever the umask is.
        let made = match mkdirat(&self.descriptor, name, Mode::from_bits_truncate(0o700)) {
            // Another process was faster.
            Err(Errno::EEXIST) => false,
            made => made.map(|()| true)?,
        };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let opened = openat(&self.descriptor, name, flags, Mode::empty())?;
        if made {
            fchmod(&opened, Mode::from_bits_truncate(mode))?;
        }
        Self::new(opened, self.path.join(name))
    }

    /// Opens an existing file.
    pub fn open_file(&self, name: &OsStr, access: OFlag) -> io::Result<File> {
        // Anything but a regular file must not block.
        let never = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        self.check_file(name)?;
        let file = openat(&self.descriptor, name, access | never, Mode::empty())?;
        self.check_stat(&fstat(&file)?, name)?;
        Ok(file.into())
    }

    /// Makes a file.
    pub fn create_file(&self, name: &OsStr, mode: u32) -> io::Result<File> {
        let _acting = self.acting()?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let mode = Mode::from_bits_truncate(mode);
        Ok(openat(&self.descriptor, name, flags | OFlag::O_NOFOLLOW, mode)?.into())
    }

    /// Checks that a name is that of a usable file; `false` if it doesn't exist.
    pub fn check_file(&self, name: &OsStr) -> io::Result<bool> {
        match self.stat(name)? {
            None => Ok(false),
            Some(stat) => self.check_stat(&stat, name).map(|()| true),
        }
    }

    fn check_stat(&self, stat: &FileStat, name: &OsStr) -> io::Result<()> {
        let what = match kind(stat) {
            SFlag::S_IFREG if self.is_foreign(stat) => "a hard link to another's file",
            SFlag::S_IFREG => return Ok(()),
            SFlag::S_IFLNK => "a symbolic link",
            SFlag::S_IFIFO => "a fifo",
            SFlag::S_IFDIR => return Err(Errno::EISDIR.into()),
            _ => "no file",
        };
        Err(planted(&self.path.join(name), what, Uid::from_raw(stat.st_uid)))
    }

    /// True if neither the owner nor root has made it here.
    fn is_foreign(&self, stat: &FileStat) -> bool {
        is_root()
            && !self.owner.is_root()
            && stat.st_uid != self.owner.as_raw()
            && stat.st_nlink > 1
    }

    pub fn stat(&self, name: &OsStr) -> io::Result<Option<FileStat>> {
        match fstatat(&self.descriptor, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => Ok(None),
            stat => Ok(Some(stat?)),
        }
    }

    /// Removes all permissions of others from a file. Returns its old mode if it had any. The file is
    /// not opened: closing it would drop this process's locks on it (fcntl(2)).
    pub fn close_to_others(&self, name: &OsStr) -> io::Result<Option<u32>> {
        let mode = self.stat(name)?.map_or(0, |stat| stat.st_mode & 0o777);
        if mode & 0o077 == 0 {
            return Ok(None);
        }
        let _acting = self.acting()?;
        let private = Mode::from_bits_truncate(mode & 0o700);
        fchmodat(&self.descriptor, name, private, FchmodatFlags::NoFollowSymlink)?;
        Ok(Some(mode))
    }

    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        let _acting = self.acting()?;
        Ok(renameat(&self.descriptor, from, &self.descriptor, to)?)
    }

    /// Removes a name. Returns false if it didn't exist.
    pub fn remove(&self, name: &OsStr) -> io::Result<bool> {
        let _acting = self.acting()?;
        match unlinkat(&self.descriptor, name, UnlinkatFlags::NoRemoveDir) {
            Err(Errno::ENOENT) => Ok(false),
            removed => Ok(removed.map(|()| true)?),
        }
    }

    /// Makes name changes survive a power loss.
    pub fn sync(&self) -> io::Result<()> {
        File::from(self.reopened()?).sync_all()
    }

    /// All names except `.` and `..`.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::from_fd(self.reopened()?)?.iter() {
            let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
            names.extend(Some(name).filter(|it| it != "." && it != ".."));
        }
        Ok(names)
    }

    fn reopened(&self) -> io::Result<OwnedFd> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(openat(&self.descriptor, ".", flags, Mode::empty())?)
    }
}

/// The target of a link. Root follows only its own links.
fn follow(link: &OwnedFd, stat: &FileStat, path: &Path) -> io::Result<PathBuf> {
    let owner = Uid::from_raw(stat.st_uid);
    if is_root() && !owner.is_root() {
        return Err(planted(path, "a symbolic link", owner));
    }
    Ok(readlinkat(link, "")?.into())
}

fn planted(path: &Path, what: &str, owner: Uid) -> io::Error {
    let why = format!("is {what} of {}", permission::name(owner));
    refused(path, &why, &format!("if nobody needs it, run: rm {}", path.display()))
}

fn refused(path: &Path, why: &str, way_out: &str) -> io::Error {
    io::Error::other(format!("{} {why}; {way_out}", path.display()))
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

/// The components of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let named = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().rev().filter_map(named).collect()
}
