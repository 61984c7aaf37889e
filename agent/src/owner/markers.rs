//! Sockets that close now, one on each CPU. The kernel tells of closed sockets on the side, on the CPU
//! that closed them and in order: once it has told of these, it has told of all that closed before.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::sampler::allowed_cpus;

/// Closes a socket on each CPU that this thread may use; returns their ports.
///
/// # Errors
/// If there are no sockets left.
pub fn close() -> io::Result<Vec<u16>> {
    let cpus = allowed_cpus();
    // All are open at first, so that no two have the same port.
    let open = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0));
    let sockets: Vec<UdpSocket> =
        (0..cpus.len().max(1)).map(|_| open()).collect::<io::Result<_>>()?;
    let ports = sockets.iter().map(|socket| Ok(socket.local_addr()?.port())).collect();
    for (n, socket) in sockets.into_iter().enumerate() {
        // A sandbox may forbid to move: then this CPU tells for all.
        let _moved = cpus.get(n).map(|cpu| stay(&[*cpu]));
        drop(socket);
    }
    let _back = stay(&cpus);
    ports
}

fn stay(cpus: &[usize]) -> nix::Result<()> {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu)?;
    }
    // This thread.
    sched_setaffinity(Pid::from_raw(0), &set)
}
