//! A proxy before a worker. It can hold what the coordinator sends at a phase of a commit.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A phase of a commit over several nodes, before the worker receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before the decision.
    Prepare,
    /// After the coordinator has committed.
    CommitPrepared,
}

impl Phase {
    /// The beginning of the statement that ends the phase. Citus sends it in its own message.
    const fn words(self) -> &'static [u8] {
        match self {
            Self::Prepare => b"PREPARE TRANSACTION",
            Self::CommitPrepared => b"COMMIT PREPARED",
        }
    }
}

/// A waiter for a phase. The proxy signals that the phase is reached, then waits until the waiter is
/// done.
#[derive(Debug)]
struct Trap {
    phase: Phase,
    sprung: Sender<()>,
    done: Receiver<()>,
}

/// The held statement of a phase. It never passes: dropping this ends its connection.
#[derive(Debug)]
pub struct Caught {
    _done: Sender<()>,
}

/// The proxy; it ends with the process.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    trap: Arc<Mutex<Option<Trap>>>,
}

impl Proxy {
    /// Starts forwarding to the server at `port` on this host.
    #[must_use]
    pub fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let own = listener.local_addr().expect("it is bound").port();
        let trap: Arc<Mutex<Option<Trap>>> = Arc::default();
        let traps = trap.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                // Refuse connections while the server is down, as the server would.
                if let Ok(far) = TcpStream::connect(("127.0.0.1", port)) {
                    join(&near, &far, &traps);
                }
            }
        });
        Self { port: own, trap }
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Holds the next statement of a phase; `None` if none comes in time.
    #[must_use]
    pub fn catch(&self, phase: Phase, patience: Duration) -> Option<Caught> {
        let ((sprung, wait), (done, ends)) = (mpsc::channel(), mpsc::channel());
        let trap = Trap { phase, sprung, done: ends };
        *self.trap.lock().unwrap_or_else(PoisonError::into_inner) = Some(trap);
        let caught = wait.recv_timeout(patience).is_ok();
        *self.trap.lock().unwrap_or_else(PoisonError::into_inner) = None;
        caught.then_some(Caught { _done: done })
    }
}

/// Forwards both directions until one side ends.
fn join(near: &TcpStream, far: &TcpStream, traps: &Arc<Mutex<Option<Trap>>>) {
    let copy = |stream: &TcpStream| stream.try_clone().expect("files can be opened");
    for stream in [near, far] {
        // Small messages must not wait.
        let _slower = stream.set_nodelay(true);
    }
    let (from, to, traps) = (copy(near), copy(far), traps.clone());
    std::thread::spawn(move || pass(from, to, |said| springs(&traps, said)));
    let (from, to) = (copy(far), copy(near));
    std::thread::spawn(move || pass(from, to, |_| false));
}

/// Forwards one direction until it ends or is held.
fn pass(mut from: TcpStream, mut to: TcpStream, caught: impl Fn(&[u8]) -> bool) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        if caught(&bytes[..read]) || to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    for stream in [from, to] {
        let _ended = stream.shutdown(Shutdown::Both);
    }
}

/// True if a waiter wants this message. Blocks until that waiter is done.
fn springs(traps: &Mutex<Option<Trap>>, said: &[u8]) -> bool {
    let mut traps = traps.lock().unwrap_or_else(PoisonError::into_inner);
    let is_it = |trap: &mut Trap| {
        let words = trap.phase.words();
        said.windows(words.len()).any(|window| window == words)
    };
    let Some(trap) = traps.take_if(is_it) else { return false };
    drop(traps);
    if trap.sprung.send(()).is_err() {
        return false;
    }
    // Ends when the other side is dropped.
    let _done = trap.done.recv();
    true
}
