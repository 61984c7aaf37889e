//! Traffic on an agent's NICs, with a journal of each packet's time.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use testbed::Namespace;
use testbed::clock::now_ns;

use crate::random::Random;

/// Bytes of headers before a UDP payload: MAC, IPv4 and UDP.
const HEADERS: u64 = 14 + 20 + 8;

/// One packet. It passed the NIC between these two times, nanoseconds since 1970 (UTC).
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// Just before the send call.
    pub before_ns: u64,
    /// Just after the send call.
    pub after_ns: u64,
    /// Bytes on the wire.
    pub bytes: u64,
}

/// Packets sent in random bursts until stopped.
#[derive(Debug)]
pub struct Flow {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Sent>>,
}

impl Flow {
    /// Sends from `source` in a namespace to `target`, which never answers.
    #[must_use]
    pub fn start(space: &Namespace, source: &str, target: &str, seed: u64) -> Self {
        let socket = socket_in(space, source);
        let target = format!("{target}:9");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let (mut random, mut journal) = (Random::new(seed), Vec::new());
            while !stopped.load(Ordering::Relaxed) {
                for _ in 0..random.below(8) {
                    let payload = vec![0; usize::try_from(random.below(1473)).unwrap_or(0)];
                    let before_ns = now_ns();
                    socket.send_to(&payload, &target).expect("the queue has room");
                    let (after_ns, bytes) = (now_ns(), payload.len() as u64 + HEADERS);
                    journal.push(Sent { before_ns, after_ns, bytes });
                }
                std::thread::sleep(Duration::from_micros(random.below(40_000)));
            }
            journal
        });
        Self { stop, thread }
    }

    /// Stops, and returns the journal.
    #[must_use]
    pub fn stop(self) -> Vec<Sent> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("sending does not fail")
    }
}

/// A socket stays in the namespace where it was made, even if its thread leaves.
fn socket_in(space: &Namespace, source: &str) -> UdpSocket {
    let path = format!("/proc/{}/ns/net", space.pid());
    let source = format!("{source}:0");
    let made = std::thread::spawn(move || {
        let file = std::fs::File::open(&path).expect("the namespace is there");
        setns(file, CloneFlags::CLONE_NEWNET).expect("root may enter");
        UdpSocket::bind(&source).expect("the address is there")
    });
    made.join().expect("a socket can be made")
}
