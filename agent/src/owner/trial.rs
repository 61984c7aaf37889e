//! What can be found out of owners with the rights of this program: it is tried.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use nix::unistd::geteuid;
use wire::talkers::TalkerOwner;

use super::closures;
use super::names::OwnerNames;
use super::sockets::Sockets;

/// Most other processes that are tried.
const PROCESSES_MAX: usize = 256;

/// What could be found out.
#[derive(Debug)]
pub struct OwnerTrial {
    /// Whose a socket of this program is, by its cgroup, and how long the question took. An owner that
    /// is none: the cgroup isn't below the one that is mounted here.
    pub own: io::Result<(Option<TalkerOwner>, Duration)>,
    /// Whether the kernel tells of closed sockets.
    pub closures: io::Result<()>,
    /// Processes of other users, for root all others, whose open files can be read.
    pub readable: usize,
    /// Those whose open files can't.
    pub unreadable: usize,
}

/// Tries.
#[must_use]
pub fn examine() -> OwnerTrial {
    let (mut readable, mut unreadable) = (0, 0);
    let (own, user) = (std::process::id(), geteuid());
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = names.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_other = |pid: &u32| {
        let owner = fs::metadata(format!("/proc/{pid}")).map(|it| it.uid());
        *pid != own && (user.is_root() || owner.is_ok_and(|owner| owner != user.as_raw()))
    };
    for pid in pids.filter(is_other).take(PROCESSES_MAX) {
        match fs::read_dir(format!("/proc/{pid}/fd")) {
            Ok(_) => readable += 1,
            // It may have ended since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => unreadable += 1,
        }
    }
    OwnerTrial { own: find_own(), closures: closures::try_listen(), readable, unreadable }
}

/// A socket that listens for a moment.
fn find_own() -> io::Result<(Option<TalkerOwner>, Duration)> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let here = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), listener.local_addr()?.port());
    let nowhere = SocketAddr::new(here.ip(), 1);
    let mut sockets = Sockets::open()?;
    let began = Instant::now();
    let found = sockets.exactly(here, nowhere)?;
    let took = began.elapsed();
    let socket = found.ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, "the kernel finds no socket; load tcp_diag")
    })?;
    Ok((OwnerNames::open().owner(&socket), took))
}
