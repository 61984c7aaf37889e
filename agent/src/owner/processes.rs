//! The process that has a socket open, where this program may see that: as root, or its own.

use std::fs;

use super::naming;

/// Most processes of a cgroup that are searched for a socket.
const PROCESSES_MAX: usize = 64;

/// Most open files that are looked at between two [`Processes::begin`]: about 20 ms.
const FILES_MAX: usize = 16_384;

/// Access to `/proc`.
#[derive(Debug)]
pub struct Processes {
    /// Files that may still be looked at.
    left: usize,
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
    /// Nothing was looked at yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { left: FILES_MAX }
    }

    /// Allows as much work again.
    pub const fn begin(&mut self) {
        self.left = FILES_MAX;
    }

    /// The one of these processes that has a socket open; of several, the one that started first. `None`
    /// if there are too many to search, or their files can't be read.
    pub fn find(&mut self, pids: &[u32], inode: u32) -> Option<Process> {
        if inode == 0 || pids.len() > PROCESSES_MAX {
            return None;
        }
        let socket = format!("socket:[{inode}]");
        let having = pids.iter().copied().filter(|pid| self.has(*pid, &socket));
        let (_, pid) = having.filter_map(|pid| Some((started(pid)?, pid))).min()?;
        let comm = fs::read(format!("/proc/{pid}/comm")).ok()?;
        Some(Process { pid, name: naming::process(&comm) })
    }

    fn has(&mut self, pid: u32, socket: &str) -> bool {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        for file in files {
            if self.left == 0 {
                return false;
            }
            self.left -= 1;
            if fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == socket) {
                return true;
            }
        }
        false
    }
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
        let found = processes.find(&[first, own], inode).unwrap();
        assert_eq!(found.pid, own);
        assert!(!found.name.is_empty() && found.name.len() <= 15);
        assert!(started(own).unwrap() >= started(first).unwrap());
        assert_eq!(processes.find(&[own], 0), None, "nobody has it");
        assert_eq!(processes.find(&[own; PROCESSES_MAX + 1], inode), None, "too many to search");
        processes.left = 0;
        assert_eq!(processes.find(&[own], inode), None, "no more work allowed");
        processes.begin();
        assert!(processes.find(&[own], inode).is_some());
        assert!(!cgroups(own).is_empty());
    }
}
