//! What an unprivileged owner of a directory may plant in it. Root, working there for a service,
//! follows no link out of it, never blocks on its contents, and gives away only files that it has just
//! made.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};
use tempfile::TempDir;
use wire::causes::InFull as _;
use wire::private_file::{self, FileError};

/// The owner of the directory.
const SERVICE: u32 = 65_432;

/// Longer than any step here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A service's data directory, and files of root that its user wants.
struct Host {
    root: TempDir,
}

impl Host {
    /// `None` unless this runs as root: other users have nothing to lose.
    fn new() -> Option<Self> {
        if !geteuid().is_root() {
            return None;
        }
        let host = Self { root: tempfile::tempdir().unwrap() };
        fs::set_permissions(host.root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for (directory, mode) in [(host.data(), 0o755), (host.victim(""), 0o700)] {
            fs::create_dir(&directory).unwrap();
            fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
        }
        own(&host.data());
        fs::write(host.victim("shadow"), "root's").unwrap();
        fs::set_permissions(host.victim("shadow"), fs::Permissions::from_mode(0o600)).unwrap();
        Some(host)
    }

    fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// A directory inside the service's.
    fn identity(&self) -> PathBuf {
        let path = self.data().join("identity");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        own(&path);
        path
    }

    fn victim(&self, name: &str) -> PathBuf {
        self.root.path().join("victim").join(name)
    }

    fn assert_unharmed(&self) {
        let names: Vec<_> = fs::read_dir(self.victim("")).unwrap().flatten().collect();
        assert_eq!(names.len(), 1, "{names:?}");
        let metadata = fs::metadata(self.victim("shadow")).unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o777), (0, 0o600));
        assert_eq!(fs::read(self.victim("shadow")).unwrap(), b"root's");
        assert_eq!(fs::metadata(self.victim("")).unwrap().uid(), 0);
    }
}

fn own(path: &Path) {
    chown(path, Some(SERVICE), Some(SERVICE)).unwrap();
}

fn link(target: &Path, path: &Path) {
    symlink(target, path).unwrap();
    std::os::unix::fs::lchown(path, Some(SERVICE), Some(SERVICE)).unwrap();
}

type Deed = fn(&Path) -> Result<(), FileError>;

/// Every operation on a file in a directory.
const DEEDS: [(&str, Deed); 6] = [
    ("read", |path| private_file::read(path).map(drop)),
    ("read_public", |path| private_file::read_public(path).map(drop)),
    ("write", |path| private_file::write(path, b"new")),
    ("reserve", private_file::reserve),
    ("open_lock", |path| private_file::open_lock(path).map(drop)),
    ("lock", |path| private_file::lock(path.parent().unwrap()).map(drop)),
];

/// Runs an operation, and fails if it blocks.
fn within_patience<T: Send + 'static>(deed: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || done.send(deed()));
    result.recv_timeout(PATIENCE).expect("it blocks on a planted file")
}

/// Runs every operation on a file `lock` that `plant` creates.
fn with_planted(plant: impl Fn(&Host, &Path), check: impl Fn(&str, &Path, Result<(), FileError>)) {
    for (deed, run) in DEEDS {
        let Some(host) = Host::new() else { return };
        let path = host.identity().join("lock");
        plant(&host, &path);
        let planted = path.clone();
        let result = within_patience(move || run(&planted));
        host.assert_unharmed();
        check(deed, &path, result);
    }
}

/// Refused files are named with the remedy; replaced files are replaced, not written to.
fn refused(deed: &str, path: &Path, result: Result<(), FileError>) {
    if deed == "write" {
        result.unwrap();
        assert_eq!(fs::symlink_metadata(path).unwrap().uid(), SERVICE);
        return assert_eq!(private_file::read(path).unwrap(), b"new");
    }
    let text = result.expect_err(deed).in_full().to_string();
    assert!(text.contains(&format!("rm {}", path.display())), "{deed}: {text}");
}

#[test]
fn a_planted_link_is_not_followed() {
    with_planted(|host, path| link(&host.victim("shadow"), path), refused);
    with_planted(|host, path| link(&host.victim("not-there"), path), refused);
    with_planted(|_, path| link(Path::new("lock"), path), refused);
}

#[test]
fn a_planted_hard_link_is_not_used() {
    // If fs.protected_hardlinks is off, anybody can make one.
    with_planted(|host, path| fs::hard_link(host.victim("shadow"), path).unwrap(), refused);
}

#[test]
fn nobody_waits_at_a_planted_fifo() {
    let fifo = |_: &Host, path: &Path| {
        mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        own(path);
    };
    with_planted(fifo, refused);
}

#[test]
fn a_directory_that_is_a_planted_link_is_refused_with_the_way_out() {
    let Some(host) = Host::new() else { return };
    let path = host.data().join("identity");
    link(&host.victim(""), &path);
    let refused = |result: Result<(), FileError>| {
        let text = result.unwrap_err().in_full().to_string();
        assert!(text.contains(&format!("rm {}", path.display())), "{text}");
    };
    refused(private_file::create_directory(&path));
    refused(private_file::make_directory(&path.join("tokens")));
    refused(private_file::write(&path.join("shadow"), b"new"));
    refused(private_file::remove(&path.join("shadow")).map(drop));
    refused(private_file::lock(&path).map(drop));
    host.assert_unharmed();
}

#[test]
fn what_others_own_in_a_users_directory_is_refused() {
    let Some(host) = Host::new() else { return };
    let path = host.identity();
    chown(&path, Some(SERVICE + 1), Some(SERVICE + 1)).unwrap();
    let text = private_file::write(&path.join("key"), b"x").unwrap_err().in_full().to_string();
    assert!(text.contains(&format!("{}", path.display())), "{text}");
    assert!(text.contains("chown"), "{text}");
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
}

#[test]
fn a_directory_that_everybody_may_write_is_refused_with_the_way_out() {
    let Some(host) = Host::new() else { return };
    fs::set_permissions(host.data(), fs::Permissions::from_mode(0o777)).unwrap();
    for path in [host.data(), host.data().join("identity")] {
        let text = private_file::make_directory(&path).unwrap_err().in_full().to_string();
        assert!(text.contains(&format!("chmod o-w {}", host.data().display())), "{text}");
    }
}

#[test]
fn root_does_not_stay_root_where_the_owner_keeps_himself_out() {
    let Some(host) = Host::new() else { return };
    let identity = host.identity();
    let path = identity.join("store");
    private_file::reserve(&path).unwrap();
    for (closed, mode) in [(&host.data(), 0o000), (&identity, 0o000), (&identity, 0o600)] {
        fs::set_permissions(closed, fs::Permissions::from_mode(mode)).unwrap();
        let text = private_file::act_for(&path).unwrap_err().in_full().to_string();
        assert!(text.contains(&format!("run: chmod 700 {}", closed.display())), "{text}");
        fs::set_permissions(closed, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let acting = private_file::act_for(&path).unwrap();
    let refused = fs::read(host.victim("shadow")).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
    drop(acting);
    host.assert_unharmed();
}

#[test]
fn root_stays_root_where_root_keeps_the_owner_out() {
    let Some(host) = Host::new() else { return };
    let path = host.identity().join("store");
    fs::set_permissions(host.root.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let _acting = private_file::act_for(&path).unwrap();
    fs::write(&path, "root's").unwrap();
}

#[test]
fn a_real_path_has_no_links_of_root_and_none_of_others() {
    let Some(host) = Host::new() else { return };
    let (lib, path) = (host.root.path().join("lib"), host.identity().join("store"));
    symlink("data", &lib).unwrap();
    let real = fs::canonicalize(path.parent().unwrap()).unwrap().join("store");
    assert_eq!(private_file::real_path(&lib.join("identity/store")).unwrap(), real);
    link(&host.victim("shadow"), &path);
    let text = private_file::real_path(&path).unwrap_err().in_full().to_string();
    assert!(text.contains(&format!("rm {}", path.display())), "{text}");
}

#[test]
fn links_of_root_are_followed() {
    let Some(host) = Host::new() else { return };
    let path = host.root.path().join("lib");
    symlink("data", &path).unwrap();
    private_file::create_directory(&path.join("identity")).unwrap();
    private_file::write(&path.join("identity/key"), b"x").unwrap();
    symlink("key", path.join("identity/other")).unwrap();
    assert_eq!(private_file::read(&path.join("identity/other")).unwrap(), b"x");
    assert_eq!(fs::metadata(host.data().join("identity/key")).unwrap().uid(), SERVICE);
}

#[test]
fn a_lock_that_somebody_keeps_is_waited_for_no_longer_than_told() {
    let Some(host) = Host::new() else { return };
    let path = host.identity();
    let _kept = private_file::lock(&path).unwrap();
    let begun = Instant::now();
    let text = private_file::lock_within(&path, Duration::from_millis(50))
        .unwrap_err()
        .in_full()
        .to_string();
    assert!(begun.elapsed() < PATIENCE);
    assert!(text.contains("lock") && text.contains("another process"), "{text}");
}

#[test]
fn a_directory_that_is_swapped_during_the_work_leads_nowhere_else() {
    let Some(host) = Host::new() else { return };
    let (path, trap) = (host.identity(), host.data().join("trap"));
    link(&host.victim(""), &trap);
    let (mut done, mut refused) = (0, 0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // The owner of the directory may do this at any time.
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                renameat2(AT_FDCWD, &path, AT_FDCWD, &trap, RenameFlags::RENAME_EXCHANGE).unwrap();
            }
        });
        let (begun, long) = (Instant::now(), Duration::from_secs(1));
        // A busy machine may let one of the two run for all of that.
        while begun.elapsed() < long || (done.min(refused) == 0 && begun.elapsed() < PATIENCE) {
            let work = || {
                private_file::create_directory(&path)?;
                private_file::reserve(&path.join("store"))?;
                drop(private_file::lock(&path)?);
                private_file::write(&path.join("key"), b"secret")?;
                private_file::read(&path.join("key"))
            };
            if work().is_ok() {
                done += 1
            } else {
                refused += 1
            };
        }
        stop.store(true, Relaxed);
    });
    host.assert_unharmed();
    assert!(done > 0 && refused > 0, "no race: {done} done, {refused} refused");
}
