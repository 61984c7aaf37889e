//! Sockets that close now, one on each CPU. The kernel tells of closed sockets on the side, on the CPU
//! that closed them and in order: once it has told of these, it has told of all that closed before.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use wire::BootNs;

use crate::sampler::allowed_cpus;

/// Shortest time between two rounds of markers, nanoseconds: each takes a socket and a move per CPU. Half
/// of what an answer waits for, so that a round that must wait is told of in time.
const EVERY_NS: u64 = 250_000_000;

/// Rounds that are kept: those of a second, twice as long as an answer waits.
const KEPT: usize = 4;

/// When to close markers: where an answer needs them, and not for each of many.
#[derive(Debug, Default)]
pub struct Markers {
    is_wanted: bool,
    /// When they were closed, with their ports; the newest last.
    rounds: VecDeque<(BootNs, Vec<u16>)>,
}

impl Markers {
    /// Somebody needs to know that all sockets have been told of that closed up to now.
    pub const fn want(&mut self) {
        self.is_wanted = true;
    }

    /// How long to wait until they are to be closed; `None` if nobody wants them.
    #[must_use]
    pub fn wait(&self, now_ns: BootNs) -> Option<Duration> {
        let last = self.rounds.back().map(|(at_ns, _)| *at_ns);
        let passed_ns = last.map_or(EVERY_NS, |last| now_ns.saturating_since(last));
        self.is_wanted.then(|| Duration::from_nanos(EVERY_NS.saturating_sub(passed_ns)))
    }

    /// Notes that they are closed after a time. Without any ports, that was not possible.
    pub fn closed(&mut self, at_ns: BootNs, ports: Vec<u16>) {
        self.is_wanted = false;
        if self.rounds.len() == KEPT {
            self.rounds.pop_front();
        }
        self.rounds.push_back((at_ns, ports));
    }

    /// Whether a round after a time was told of, as `is_told` says.
    pub fn are_told(&self, since_ns: BootNs, is_told: impl Fn(&[u16], BootNs) -> bool) -> bool {
        let since = self.rounds.iter().filter(|(at_ns, _)| *at_ns >= since_ns);
        since.filter(|(_, ports)| !ports.is_empty()).any(|(at_ns, ports)| is_told(ports, *at_ns))
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_serves_all_who_asked_before_it() {
        let mut markers = Markers::default();
        assert_eq!(markers.wait(BootNs(0)), None, "nobody needs them");
        markers.want();
        assert_eq!(markers.wait(BootNs(7)), Some(Duration::ZERO));
        markers.closed(BootNs(7), vec![1]);
        let (soon, due) = (BootNs(7 + EVERY_NS / 5), BootNs(7 + EVERY_NS));
        assert_eq!(markers.wait(soon), None);
        markers.want();
        assert_eq!(markers.wait(soon), Some(Duration::from_nanos(EVERY_NS / 5 * 4)));
        assert_eq!(markers.wait(due), Some(Duration::ZERO));
        assert!(!markers.are_told(soon, |_, _| true), "the round was before");
        markers.closed(due, vec![2]);
        assert!(markers.are_told(soon, |ports, at| (ports, at) == (&[2], due)));
        assert!(!markers.are_told(soon, |_, _| false));
        markers.closed(due, vec![]);
        assert!(!markers.are_told(due, |ports, _| ports.is_empty()), "there was none");
        (0..9).for_each(|_| markers.closed(due, vec![3]));
        assert_eq!(markers.rounds.len(), KEPT);
    }
}
