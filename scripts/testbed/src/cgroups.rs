//! Real cgroups, of cgroup v2, that a test moves itself into.

use std::fs;
use std::path::{Path, PathBuf};

use crate::shell::sh;

/// Cgroups of this test, which leaves and removes them when this is dropped.
#[derive(Debug)]
pub struct Cgroups {
    /// The directory of all of them.
    pub root: PathBuf,
    before: PathBuf,
}

impl Cgroups {
    /// Makes none yet.
    #[must_use]
    pub fn new() -> Self {
        let line = sh("grep -m1 ' - cgroup2 ' /proc/self/mountinfo || true");
        let mount = line.split(' ').nth(4).expect("cgroup v2 must be mounted");
        let own = sh("grep ^0:: /proc/self/cgroup");
        let before = Path::new(mount).join(own.trim().trim_start_matches("0::/"));
        let root = Path::new(mount).join(format!("netmon-test-{}", std::process::id()));
        fs::create_dir(&root).unwrap();
        Self { root, before }
    }

    /// Moves this process into a cgroup, which is made if it isn't there.
    pub fn enter(&self, path: &str) {
        let directory = self.root.join(path);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("cgroup.procs"), "0").unwrap();
    }

    /// Moves this process back to where it was.
    pub fn leave(&self) {
        fs::write(self.before.join("cgroup.procs"), "0").unwrap();
    }
}

impl Default for Cgroups {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        self.leave();
        sh(&format!("find {} -depth -type d -exec rmdir {{}} +", self.root.display()));
    }
}
