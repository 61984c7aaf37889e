//! Advice if the system denies access to a file or directory: the user who has access, and the command
//! to run.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, Gid, Group, Uid, User, access};

/// Most symbolic links on a path, as in the kernel (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// Advice for an error on `path`: the user who has access, if this one hasn't, or else `otherwise`.
/// Examines the file system.
#[must_use]
pub fn way_out(path: &Path, error: &io::Error, otherwise: &str) -> String {
    if error.kind() == io::ErrorKind::PermissionDenied {
        denied(path)
    } else {
        otherwise.to_owned()
    }
}

/// Like [`way_out()`], for a library that failed on `path` without a reason. The file is examined
/// without being opened: closing it would drop this process's locks on it (fcntl(2)).
#[must_use]
pub fn examine(path: &Path, otherwise: &str) -> String {
    match access(path, AccessFlags::R_OK | AccessFlags::W_OK) {
        Err(Errno::EACCES) => denied(path),
        _ => otherwise.to_owned(),
    }
}

/// Advice if this user may not read or write `path`. Examines the file system.
#[must_use]
pub fn denied(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let program = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let program = program.file_name().unwrap_or_default().to_string_lossy();
    // systemd sets this for services that notify it.
    let service = std::env::var_os("NOTIFY_SOCKET").is_some();
    let told = |barrier: &Barrier| barrier.way_out(Uid::effective(), service, &program);
    Barrier::on_the_way_to(&absolute)
        .map_or_else(|_| format!("let this user pass {}", absolute.display()), |it| told(&it))
}

/// The file or directory that denies access to this user.
#[derive(Debug, Clone)]
struct Barrier {
    path: PathBuf,
    is_dir: bool,
    mode: u32,
    owner: Uid,
    /// Owner of the parent directory.
    around: Uid,
    /// The group's name, if a user has the same name.
    same_named: Option<String>,
}

impl Barrier {
    /// The last accessible directory on the way to `path`, which is absolute, or the file there.
    /// Follows symbolic links as the kernel does.
    fn on_the_way_to(path: &Path) -> io::Result<Self> {
        let mut at = PathBuf::from("/");
        let mut ahead: Vec<OsString> = parts(path);
        let mut links = 0;
        while let Some(part) = ahead.pop() {
            if part == ".." {
                at.pop();
                continue;
            }
            let next = at.join(part);
            match fs::symlink_metadata(&next) {
                Ok(metadata) if metadata.is_symlink() && links < LINKS_MAX => {
                    links += 1;
                    let target = fs::read_link(&next)?;
                    if target.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    ahead.extend(parts(&target));
                }
                Ok(_) => at = next,
                // The directory denies searching, or the missing file can't be created in it.
                Err(_) => break,
            }
        }
        let around = fs::metadata(at.parent().unwrap_or(&at))?;
        Ok(Self::new(at.clone(), &fs::metadata(&at)?, &around))
    }

    fn new(path: PathBuf, metadata: &Metadata, around: &Metadata) -> Self {
        let group = Group::from_gid(Gid::from_raw(metadata.gid())).ok().flatten();
        let same_named = group.filter(|it| matches!(User::from_name(&it.name), Ok(Some(_))));
        Self {
            path,
            is_dir: metadata.is_dir(),
            mode: metadata.mode() & 0o777,
            owner: Uid::from_raw(metadata.uid()),
            around: Uid::from_raw(around.uid()),
            same_named: same_named.map(|it| it.name),
        }
    }

    fn way_out(&self, me: Uid, service: bool, program: &str) -> String {
        let path = self.path.display();
        let owner = name(self.owner);
        let whose = format!("{path} belongs to {owner} (mode {:03o})", self.mode);
        if self.owner == me {
            return format!("{whose}; run: chmod u+rwX {path}");
        }
        if self.around == me {
            // A stray file among this user's own.
            return format!("{whose}; run as root: chown {} {path}", name(me));
        }
        if service && self.is_dir {
            return format!("{whose}; run as root: chmod 755 {path}");
        }
        // A config with a password belongs to root and is readable for its service.
        let reader = self.same_named.as_ref().filter(|_| !self.is_dir && self.mode & 0o040 != 0);
        let reader = reader.filter(|_| self.owner.is_root());
        if service {
            return format!("{whose}; let {} read it", name(me));
        }
        match reader {
            Some(user) => format!("{whose}; run: sudo -u {user} {program} ..."),
            None if self.owner.is_root() => format!("{whose}; run: sudo {program} ..."),
            None => format!("{whose}; run: sudo -u {owner} {program} ..."),
        }
    }
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

/// A user's name for sudo and chown.
pub(crate) fn name(user: Uid) -> String {
    match User::from_uid(user) {
        Ok(Some(user)) => user.name,
        _ => format!("'#{user}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Uid = Uid::from_raw(4_000_001);
    const OTHER: Uid = Uid::from_raw(4_000_002);
    const ROOT: Uid = Uid::from_raw(0);

    fn barrier(is_dir: bool, mode: u32, owner: Uid) -> Barrier {
        let path = PathBuf::from("/x/y");
        Barrier { path, is_dir, mode, owner, around: ROOT, same_named: Some("netmon".to_owned()) }
    }

    fn told(barrier: &Barrier) -> String {
        barrier.way_out(ME, false, "collector")
    }

    #[test]
    fn a_person_is_told_to_run_it_as_the_owner() {
        let told = told(&barrier(true, 0o700, OTHER));
        assert!(told.ends_with("run: sudo -u '#4000002' collector ..."), "{told}");
        let told = self::told(&barrier(true, 0o700, ROOT));
        assert!(told.ends_with("run: sudo collector ..."), "{told}");
    }

    #[test]
    fn a_config_that_roots_group_may_read_is_for_the_user_of_that_name() {
        let told = told(&barrier(false, 0o640, ROOT));
        assert!(told.ends_with("run: sudo -u netmon collector ..."), "{told}");
        let told = self::told(&barrier(false, 0o600, ROOT));
        assert!(told.ends_with("run: sudo collector ..."), "{told}");
    }

    #[test]
    fn a_service_is_told_what_root_must_open_for_it() {
        let closed = barrier(true, 0o700, ROOT).way_out(ME, true, "agent");
        assert!(closed.ends_with("run as root: chmod 755 /x/y"), "{closed}");
        let stray = Barrier { around: ME, ..barrier(false, 0o600, ROOT) };
        for service in [false, true] {
            let stray = stray.way_out(ME, service, "agent");
            assert!(stray.ends_with("run as root: chown '#4000001' /x/y"), "{stray}");
        }
    }

    #[test]
    fn ones_own_closed_directory_is_opened_by_its_mode() {
        let told = told(&barrier(true, 0o000, ME));
        assert!(told.ends_with("run: chmod u+rwX /x/y"), "{told}");
    }

    #[test]
    fn the_barrier_is_what_can_be_seen_last_behind_links_too() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().canonicalize().unwrap();
        fs::create_dir_all(real.join("private/net")).unwrap();
        fs::create_dir(real.join("public")).unwrap();
        std::os::unix::fs::symlink("../private/net", real.join("public/net")).unwrap();
        let barrier = |path: &str| Barrier::on_the_way_to(&real.join(path)).unwrap().path;
        assert_eq!(barrier("public/net/x/y"), real.join("private/net"));
        assert_eq!(barrier("public/net"), real.join("private/net"));
        std::os::unix::fs::symlink("loop", real.join("loop")).unwrap();
        assert_eq!(barrier("public/x"), real.join("public"));
        assert!(Barrier::on_the_way_to(&real.join("loop/x")).is_err());
    }
}
