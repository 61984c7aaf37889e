//! Packets at a given rate, sent from the far end of the link to an address that never answers.

use std::fs::File;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use testbed::Pair;

/// An address behind the link that takes packets and never answers.
const NOBODY: &str = "10.9.0.77:9";

/// Ethernet, IPv4 and UDP headers, bytes.
const HEADERS: usize = 14 + 20 + 8;

/// Adds the address to the sender's neighbour table.
pub fn answer_nobody(link: &Pair) {
    link.there_sh("ip neigh add 10.9.0.77 lladdr 02:00:00:00:ff:01 dev there nud permanent");
}

/// What to send.
#[derive(Debug, Clone, Copy)]
pub struct Paced {
    /// Bytes of each packet from the MAC header on.
    pub len: usize,
    /// Number of packets.
    pub packets: u32,
    /// Packets per second.
    pub rate: u32,
}

impl Paced {
    /// Sends them from the network namespace of a process. The calling thread stays in that namespace.
    /// Returns the elapsed time.
    ///
    /// # Errors
    /// Fails if the namespace can't be entered or the socket fails.
    pub fn send_from(self, pid: u32) -> anyhow::Result<Duration> {
        let Self { len, packets, rate } = self;
        setns(File::open(format!("/proc/{pid}/ns/net"))?, CloneFlags::CLONE_NEWNET)?;
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(NOBODY)?;
        let payload = vec![0; len - HEADERS];
        // Send one millisecond's packets at a time.
        let chunk = (rate / 1000).max(1);
        let start = Instant::now();
        for sent in 0..packets {
            if sent % chunk == 0 {
                let due = Duration::from_secs(1) * sent / rate;
                std::thread::sleep(due.saturating_sub(start.elapsed()));
            }
            socket.send(&payload)?;
        }
        Ok(start.elapsed())
    }
}
