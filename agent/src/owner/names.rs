//! Whose a socket is: its cgroup's owner, and the process that has it open.

use wire::talkers::{OwnerKind, TalkerOwner};

use super::cgroups::Cgroups;
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

    /// Allows as much work again as one round may take.
    pub const fn begin(&mut self) {
        self.processes.begin();
    }

    /// The owner of a socket: that of the cgroup that it was made in. Where containers have cgroups of
    /// v1 only, that of its process. `None` if neither is known.
    pub fn owner(&mut self, socket: &Socket) -> Option<TalkerOwner> {
        let path = self.cgroups.path(socket.cgroup?)?.to_owned();
        let process = self.processes.find(&self.cgroups.processes(&path), socket.inode);
        let mut named = naming::name(&path);
        if let Some(process) = process.as_ref().filter(|_| self.cgroups.has_v1()) {
            let all = processes::cgroups(process.pid);
            named = all.iter().map(|path| naming::name(path)).fold(named, better);
        }
        let (kind, name) = named;
        let process = process.map(|it| it.name).unwrap_or_default();
        Some(TalkerOwner { kind: kind as u8, name, process })
    }
}

/// The name that says more: hierarchies of v1 know containers that v2 doesn't, or the other way round.
fn better(one: (OwnerKind, String), other: (OwnerKind, String)) -> (OwnerKind, String) {
    let rank = |(kind, name): &(OwnerKind, String)| match kind {
        OwnerKind::Pod => 3,
        OwnerKind::Container => 2,
        OwnerKind::Unit => 1,
        // The root says nothing.
        _ => i32::from(name.as_str() != "/") - 1,
    };
    if rank(&other) > rank(&one) { other } else { one }
}
