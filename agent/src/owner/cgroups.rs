//! Paths of cgroups by id: their directories' inode numbers. Opening a cgroup by its id would need
//! rights.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wire::talkers::ROOT_CGROUP;

/// Id of the root cgroup (`KERNFS_ROOT_INO`).
const ROOT: u64 = 1;

/// Most directories that are read. Hosts with many pods have some thousand.
const DIRECTORIES_MAX: usize = 50_000;

/// Shortest time between two readings, and how much longer it is than a reading took: at most 2 % of a
/// CPU.
const AGAIN: Duration = Duration::from_secs(1);
const TIMES: u32 = 50;

/// Where the cgroups of this host are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hierarchies {
    /// Where cgroup v2 is mounted.
    pub unified: Vec<PathBuf>,
    /// True if there are hierarchies of v1 too.
    pub has_v1: bool,
}

impl Hierarchies {
    /// Reads `/proc/self/mountinfo` (proc(5)).
    #[must_use]
    pub fn of(mountinfo: &str) -> Self {
        let mut found = Self::default();
        for line in mountinfo.lines() {
            let Some((mount, kind)) = line.split_once(" - ") else { continue };
            let fields: Vec<&str> = mount.split(' ').collect();
            match (kind.split(' ').next(), fields.get(4)) {
                (Some("cgroup"), _) => found.has_v1 = true,
                (Some("cgroup2"), Some(place)) => {
                    found.unified.push(PathBuf::from(place.replace("\\040", " ")));
                }
                _ => {}
            }
        }
        found
    }
}

/// Why the cgroup of a socket can't be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoCgroup {
    /// The kernel doesn't tell it (Linux before 5.8).
    Untold,
    /// There is no cgroup v2 here.
    NotMounted,
    /// It isn't below the one that is mounted here, or is so new that its directory was not read yet.
    NotHere,
}

/// An index of the cgroups of v2, read when an id is asked for that isn't in it.
#[derive(Debug)]
pub struct Cgroups {
    has_v1: bool,
    /// Where v2 is read.
    root: Option<PathBuf>,
    /// True if that is all of the host's, not the part that a container has.
    is_whole: bool,
    paths: HashMap<u64, String>,
    read: Option<Instant>,
    took: Duration,
}

impl Cgroups {
    /// Finds out where cgroups are. Without `/proc`, there are none.
    #[must_use]
    pub fn open() -> Self {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Self::of(Hierarchies::of(&mountinfo))
    }

    fn of(Hierarchies { unified, has_v1 }: Hierarchies) -> Self {
        // A container may have its own part, and the host's all besides.
        let whole = unified.iter().find(|place| id(place) == Some(ROOT));
        let (root, is_whole) = (whole.or_else(|| unified.first()).cloned(), whole.is_some());
        Self { has_v1, root, is_whole, paths: HashMap::new(), read: None, took: Duration::ZERO }
    }

    /// True if there are hierarchies of v1 too.
    #[must_use]
    pub const fn has_v1(&self) -> bool {
        self.has_v1
    }

    /// True if all cgroups of the host are here: those that containers have are a part.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The path of a socket's cgroup, by its id, from the mount on.
    ///
    /// # Errors
    /// Why it can't be told.
    pub fn path(&mut self, id: Option<u64>) -> Result<&str, NoCgroup> {
        if self.root.is_none() {
            return Err(NoCgroup::NotMounted);
        }
        let id = id.ok_or(NoCgroup::Untold)?;
        if !self.paths.contains_key(&id) {
            self.read_again();
        }
        self.paths.get(&id).map(String::as_str).ok_or(NoCgroup::NotHere)
    }

    /// Its processes. Empty if they can't be read.
    #[must_use]
    pub fn processes(&self, path: &str) -> Vec<u32> {
        let root = self.root.as_deref();
        let file = root.map(|root| root.join(path.trim_start_matches('/')).join("cgroup.procs"));
        let text = file.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    fn read_again(&mut self) {
        let wait = AGAIN.max(self.took * TIMES);
        let Some(root) = self.root.clone() else { return };
        if self.read.is_some_and(|read| read.elapsed() < wait) {
            return;
        }
        let began = Instant::now();
        // Ids are never used again, and sockets may outlive their cgroup: keep the earlier ones.
        if self.paths.len() > DIRECTORIES_MAX {
            self.paths.clear();
        }
        self.paths.extend(directories(&root));
        (self.read, self.took) = (Some(Instant::now()), began.elapsed());
    }
}

/// Id of a cgroup's directory.
fn id(directory: &Path) -> Option<u64> {
    Some(fs::metadata(directory).ok()?.ino())
}

/// The directories from this one down, by inode number.
fn directories(root: &Path) -> HashMap<u64, String> {
    let mut found: HashMap<u64, String> =
        id(root).into_iter().map(|id| (id, ROOT_CGROUP.to_owned())).collect();
    let mut open = vec![(root.to_owned(), String::new())];
    while let Some((directory, path)) = open.pop() {
        // A cgroup may be gone by now.
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            if found.len() < DIRECTORIES_MAX && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let below = format!("{path}/{}", entry.file_name().to_string_lossy());
                found.insert(entry.ino(), below.clone());
                open.push((entry.path(), below));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroups_are_found_wherever_they_are_mounted() {
        let v2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        let unified = |path: &str| vec![PathBuf::from(path)];
        let only = Hierarchies { unified: unified("/sys/fs/cgroup"), has_v1: false };
        assert_eq!(Hierarchies::of(v2), only);
        let hybrid = "31 30 0:27 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n\
                      32 30 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n";
        let both = Hierarchies { unified: unified("/sys/fs/cgroup/unified"), has_v1: true };
        assert_eq!(Hierarchies::of(hybrid), both);
        let v1 = "32 30 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\ngarbage\n - cgroup2";
        assert_eq!(Hierarchies::of(v1), Hierarchies { unified: vec![], has_v1: true });
    }

    #[test]
    fn directories_are_named_from_the_mount_on() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("system.slice/nginx.service");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("cgroup.procs"), "17\n9\n").unwrap();
        let here = Hierarchies { unified: vec![root.path().to_owned()], has_v1: false };
        let mut cgroups = Cgroups::of(here);
        let id = |path: &Path| Some(id(path).unwrap());
        assert_eq!(cgroups.path(id(&deep)), Ok("/system.slice/nginx.service"));
        assert_eq!(cgroups.path(id(root.path())), Ok("/"));
        assert!(!cgroups.is_whole(), "what a container has is a part");
        assert_eq!(cgroups.path(id(&deep.join("cgroup.procs"))), Err(NoCgroup::NotHere));
        assert_eq!(cgroups.path(None), Err(NoCgroup::Untold));
        let mut of_v1 = Cgroups::of(Hierarchies { unified: vec![], has_v1: true });
        assert_eq!(of_v1.path(Some(1)), Err(NoCgroup::NotMounted));
        assert_eq!(cgroups.processes("/system.slice/nginx.service"), [17, 9]);
        fs::remove_dir_all(&deep).unwrap();
        assert!(cgroups.processes("/system.slice/nginx.service").is_empty());
    }
}
