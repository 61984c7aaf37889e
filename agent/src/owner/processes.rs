//! The process that has a socket open, where this program may see that: as root, or its own.

use std::collections::{HashMap, HashSet};
use std::fs;

use super::naming;

/// Most processes that are searched for a socket.
const PROCESSES_MAX: usize = 4096;

/// What a process costs beside its open files, in files.
const PER_PROCESS: usize = 4;

/// The cgroup whose processes are searched; `None`: all processes.
type Searched = Option<u64>;

/// Access to `/proc`. What was found is kept for the round.
#[derive(Debug, Default)]
pub struct Processes {
    /// Files that may still be looked at.
    left: usize,
    searched: HashSet<Searched>,
    /// By inode number of a socket: which of the processes that were searched is named.
    having: HashMap<(Searched, u32), Holder>,
}

/// A process that has a socket open. The first in order is named: the one that started first, but not the
/// first of the host, which keeps the sockets that it has made for services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Holder {
    is_init: bool,
    started: u64,
    pid: u32,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its name.
    pub name: String,
}

impl Processes {
    /// Nothing was looked at yet, and nothing may be before a round begins.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a round that may look at this many open files.
    pub fn begin(&mut self, files: usize) {
        *self = Self { left: files, ..Self::default() };
    }

    /// The process of a cgroup that has a socket open; of several, the one that started first. `None` if
    /// there are too many to search, or their files can't be read. `pids` are the processes.
    pub fn find(
        &mut self,
        cgroup: Searched,
        pids: impl FnOnce() -> Vec<u32>,
        inode: u32,
    ) -> Option<Process> {
        if inode == 0 {
            return None;
        }
        if self.searched.insert(cgroup) {
            let pids = pids();
            if pids.len() <= PROCESSES_MAX {
                pids.into_iter().for_each(|pid| self.search(cgroup, pid));
            }
        }
        let pid = self.having.get(&(cgroup, inode))?.pid;
        let comm = fs::read(format!("/proc/{pid}/comm")).ok()?;
        Some(Process { pid, name: naming::process(&comm) })
    }

    fn search(&mut self, cgroup: Searched, pid: u32) {
        let Some(left) = self.left.checked_sub(PER_PROCESS) else { return };
        self.left = left;
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut holder = None;
        for file in files {
            let Some(left) = self.left.checked_sub(1) else { return };
            self.left = left;
            let Some(inode) = fs::read_link(file.path()).ok().and_then(|it| socket(it.to_str()?))
            else {
                continue;
            };
            if holder.is_none() {
                let Some(started) = started(pid) else { return };
                holder = Some(Holder { is_init: pid == 1, started, pid });
            }
            let Some(holder) = holder else { return };
            let first = self.having.entry((cgroup, inode)).or_insert(holder);
            *first = holder.min(*first);
        }
    }
}

/// The inode number of a socket that a file is (proc(5)).
fn socket(target: &str) -> Option<u32> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// All processes.
#[must_use]
pub fn all() -> Vec<u32> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The paths of a process's cgroups, one per hierarchy.
#[must_use]
pub fn cgroups(pid: u32) -> Vec<String> {
    let text = fs::read(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let path = |line: &str| line.splitn(3, ':').nth(2).map(str::to_owned);
    text.lines().filter_map(path).collect()
}

/// When a process started, in ticks since the host booted.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, also parentheses and spaces.
    let text = String::from_utf8_lossy(&stat);
    text.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn of_a_sockets_processes_the_first_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let inode = nix::sys::stat::fstat(listener.as_fd()).unwrap().st_ino;
        let inode = u32::try_from(inode).unwrap();
        let (own, first) = (std::process::id(), 1);
        let mut processes = Processes::new();
        let both = || vec![first, own];
        assert_eq!(processes.find(None, both, inode), None, "no work allowed");
        processes.begin(10_000);
        let found = processes.find(Some(7), both, inode).unwrap();
        assert_eq!(found.pid, own);
        assert!(!found.name.is_empty() && found.name.len() <= 15);
        assert!(started(own).unwrap() >= started(first).unwrap());
        assert_eq!(processes.find(Some(7), || panic!("it is known"), inode), Some(found.clone()));
        assert_eq!(processes.find(Some(7), both, 0), None, "nobody has it");
        assert_eq!(processes.find(Some(8), Vec::new, inode), None, "not in that cgroup");
        assert_eq!(processes.find(Some(9), || vec![own; PROCESSES_MAX + 1], inode), None);
        processes.begin(usize::MAX);
        assert_eq!(processes.find(None, all, inode), Some(found));
        processes.begin(PER_PROCESS);
        assert_eq!(processes.find(None, both, inode), None, "no more work allowed");
        assert!(!cgroups(own).is_empty());
    }
}
