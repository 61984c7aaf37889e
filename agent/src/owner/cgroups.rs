//! Paths of cgroups by id: their directories' inode numbers. Opening a cgroup by its id would need
//! rights.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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

/// An index of the cgroups of v2, read when an id is asked for that isn't in it.
#[derive(Debug)]
pub struct Cgroups {
    has_v1: bool,
    /// Where v2 is read.
    root: Option<PathBuf>,
    paths: HashMap<u64, String>,
    read: Option<Instant>,
    took: Duration,
}

impl Cgroups {
    /// Finds out where cgroups are. Without `/proc`, there are none.
    #[must_use]
    pub fn open() -> Self {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let Hierarchies { unified, has_v1 } = Hierarchies::of(&mountinfo);
        // A container may have its own part, and the host's all besides.
        let whole = unified.iter().find(|place| id(place) == Some(ROOT));
        let root = whole.or_else(|| unified.first()).cloned();
        Self { has_v1, root, paths: HashMap::new(), read: None, took: Duration::ZERO }
    }

    /// True if there are hierarchies of v1 too.
    #[must_use]
    pub const fn has_v1(&self) -> bool {
        self.has_v1
    }

    /// The path of a cgroup from the mount on. `None` if it isn't below it, or is so new that its
    /// directory was not read yet.
    pub fn path(&mut self, id: u64) -> Option<&str> {
        if !self.paths.contains_key(&id) {
            self.read_again();
        }
        self.paths.get(&id).map(String::as_str)
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

/// The directories from this one down, by inode number; the first only if it is the host's root: what
/// a container sees as one has another path.
fn directories(root: &Path) -> HashMap<u64, String> {
    let mut found = HashMap::new();
    if id(root) == Some(ROOT) {
        found.insert(ROOT, "/".to_owned());
    }
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
        let mut cgroups = Cgroups::open();
        cgroups.root = Some(root.path().to_owned());
        let id = |path: &Path| id(path).unwrap();
        assert_eq!(cgroups.path(id(&deep)), Some("/system.slice/nginx.service"));
        assert_eq!(cgroups.path(id(root.path())), None, "a part's root has another path");
        assert_eq!(cgroups.path(id(&deep.join("cgroup.procs"))), None, "no directory");
        assert_eq!(cgroups.processes("/system.slice/nginx.service"), [17, 9]);
        fs::remove_dir_all(&deep).unwrap();
        assert!(cgroups.processes("/system.slice/nginx.service").is_empty());
    }
}
