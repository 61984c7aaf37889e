//! Whose a socket is: its cgroup's owner, and the process that has it open.

use wire::talkers::{OwnerKind, ROOT_CGROUP, TalkerOwner};

use super::cgroups::{Cgroups, NoCgroup};
use super::diag::Socket;
use super::naming;
use super::processes::{self, Processes};

/// Finds owners of sockets.
#[derive(Debug)]
pub struct OwnerNames {
    cgroups: Cgroups,
    processes: Processes,
}

impl OwnerNames {
    /// Finds out where cgroups are.
    #[must_use]
    pub fn open() -> Self {
        Self { cgroups: Cgroups::open(), processes: Processes::new() }
    }

    /// Begins a round, which may look at this many open files of processes.
    pub fn begin(&mut self, files: usize) {
        self.processes.begin(files);
    }

    /// The owner of a socket: that of the cgroup that it was made in. Where there are cgroups of v1, or
    /// none, also that of its process's cgroups. `None` if neither is known.
    pub fn owner(&mut self, socket: &Socket) -> Option<TalkerOwner> {
        let path = self.cgroups.path(socket.cgroup).map(str::to_owned);
        let process = match &path {
            Ok(path) => {
                let pids = || self.cgroups.processes(path);
                self.processes.find(socket.cgroup, pids, socket.inode)
            }
            // It is another container's.
            Err(NoCgroup::NotHere) => return None,
            Err(NoCgroup::NotMounted | NoCgroup::Untold) => {
                self.processes.find(None, processes::all, socket.inode)
            }
        };
        let looks_at_process = path.is_err() || self.cgroups.has_v1();
        let of_process = process.as_ref().filter(|_| looks_at_process);
        let of_process = of_process.map(|it| processes::cgroups(it.pid)).unwrap_or_default();
        let is_placed = path.is_ok() && self.cgroups.is_whole();
        let paths = path.into_iter().chain(of_process);
        let named = paths.map(|path| naming::name(&path)).reduce(better);
        let process = process.map(|it| it.name).unwrap_or_default();
        match named {
            Some((kind, name)) if is_placed || name != ROOT_CGROUP => {
                Some(TalkerOwner { kind: kind as u8, name, process })
            }
            // What is the root here may be any place on the host.
            _ => (!process.is_empty()).then(|| naming::only(process)),
        }
    }

    /// The path of a socket's cgroup.
    ///
    /// # Errors
    /// Why it can't be told.
    pub fn cgroup(&mut self, socket: &Socket) -> Result<&str, NoCgroup> {
        self.cgroups.path(socket.cgroup)
    }

    /// True if all cgroups of the host are here, not only those of a container.
    #[must_use]
    pub const fn sees_whole_host(&self) -> bool {
        self.cgroups.is_whole()
    }
}

/// The name that says more: hierarchies of v1 know containers that v2 doesn't, or the other way round.
fn better(one: (OwnerKind, String), other: (OwnerKind, String)) -> (OwnerKind, String) {
    let rank = |(kind, name): &(OwnerKind, String)| match kind {
        OwnerKind::Pod => 3,
        OwnerKind::Container => 2,
        OwnerKind::Unit => 1,
        // The root says nothing.
        _ => i32::from(name != ROOT_CGROUP) - 1,
    };
    if rank(&other) > rank(&one) { other } else { one }
}
