//! What can be found out of owners with the rights of this program: it is tried.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use nix::unistd::geteuid;
use wire::talkers::OwnerKind;

use super::cgroups::NoCgroup;
use super::closures;
use super::diag::{Filter, States, TCP};
use super::names::OwnerNames;
use super::naming;
use super::sockets::Sockets;

/// Most other processes that are tried.
const PROCESSES_MAX: usize = 256;

/// What could be found out.
#[derive(Debug)]
pub struct OwnerTrial {
    /// What was found out of sockets.
    pub sockets: io::Result<SocketTrial>,
    /// Whether the kernel tells of closed sockets.
    pub closures: io::Result<()>,
    /// Processes of other users, for root all others, whose open files can be read.
    pub readable: usize,
    /// Those whose open files can't.
    pub unreadable: usize,
}

/// What was found out of a socket of this program, and of those that listen here.
#[derive(Debug)]
pub struct SocketTrial {
    /// What the cgroup of this program's socket says of its owner, or why it can't be told.
    pub own: Result<(OwnerKind, String), NoCgroup>,
    /// How long the question took.
    pub took: Duration,
    /// True if this program is in no cgroup of those that are mounted here: its shell came from outside.
    pub is_from_outside: bool,
    /// False if only a container's cgroups are mounted here.
    pub sees_whole_host: bool,
    /// TCP sockets that listen here, except this program's.
    pub listening: usize,
    /// Those of them whose cgroup is not below the one that is mounted here.
    pub elsewhere: usize,
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
    OwnerTrial { sockets: try_sockets(), closures: closures::try_listen(), readable, unreadable }
}

/// Asks for a socket of this program, which listens for a moment, and for all that listen.
fn try_sockets() -> io::Result<SocketTrial> {
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
    let mut names = OwnerNames::open();
    let own = names.cgroup(&socket).map(naming::name);
    let listening = Filter {
        protocol: TCP,
        states: States::LISTENING,
        local_port: None,
        remote: None,
        remote_port: None,
    };
    let listening = sockets.all(listening)?.unwrap_or_default().iter();
    let others: Vec<_> = listening.filter(|it| it.cookie != socket.cookie).collect();
    let is_elsewhere = |it: &&&_| names.cgroup(it) == Err(NoCgroup::NotHere);
    let elsewhere = others.iter().filter(is_elsewhere).count();
    Ok(SocketTrial {
        own,
        took,
        is_from_outside: is_from_outside(&fs::read_to_string("/proc/self/cgroup")?),
        sees_whole_host: names.sees_whole_host(),
        listening: others.len(),
        elsewhere,
    })
}

/// Whether `/proc/self/cgroup` says that this program's cgroup of v2 is above those that it sees: it was
/// started outside and has entered the namespace of a container (cgroup_namespaces(7)).
fn is_from_outside(own: &str) -> bool {
    let mut paths = own.lines().filter_map(|line| line.strip_prefix("0::"));
    paths.any(|path| path.split('/').nth(1) == Some(".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_from_outside_has_a_path_that_leads_out() {
        for (own, came) in [
            ("0::/system.slice/ssh.service\n", false),
            ("0::/\n", false),
            ("0::/..\n", true),
            ("9:name=systemd:/../..\n0::/\n", false),
            ("4:memory:/a\n0::/../../user.slice/session-4.scope\n", true),
            ("0::/..hidden\n", false),
            ("", false),
        ] {
            assert_eq!(is_from_outside(own), came, "{own}");
        }
    }
}
