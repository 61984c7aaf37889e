//! Stands before a worker: what the coordinator says to it can be caught at a phase of a commit.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A phase of a commit over several nodes, before the worker has heard of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nobody has decided.
    Prepare,
    /// The coordinator has committed.
    CommitPrepared,
}

impl Phase {
    /// How the statement begins that ends the phase; Citus sends it in a message of its own.
    const fn words(self) -> &'static [u8] {
        match self {
            Self::Prepare => b"PREPARE TRANSACTION",
            Self::CommitPrepared => b"COMMIT PREPARED",
        }
    }
}

/// Who waits for the phase: told once it is there, and heard when all is done.
#[derive(Debug)]
struct Trap {
    phase: Phase,
    sprung: Sender<()>,
    done: Receiver<()>,
}

/// The statement of a phase, which has not passed. It never will: its connection ends with this.
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
    /// Begins to pass on what comes to the server at `port` of this host.
    #[must_use]
    pub fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let own = listener.local_addr().expect("it is bound").port();
        let trap: Arc<Mutex<Option<Trap>>> = Arc::default();
        let traps = trap.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                // A server that is down refuses: so does this.
                if let Ok(far) = TcpStream::connect(("127.0.0.1", port)) {
                    join(&near, &far, &traps);
                }
            }
        });
        Self { port: own, trap }
    }

    /// Where it listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Catches the next statement of a phase; `None` if there is none in time.
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

/// Passes on what both sides say until one of them ends.
fn join(near: &TcpStream, far: &TcpStream, traps: &Arc<Mutex<Option<Trap>>>) {
    let copy = |stream: &TcpStream| stream.try_clone().expect("files can be opened");
    for stream in [near, far] {
        // What is said in small messages must not wait.
        let _slower = stream.set_nodelay(true);
    }
    let (from, to, traps) = (copy(near), copy(far), traps.clone());
    std::thread::spawn(move || pass(from, to, |said| springs(&traps, said)));
    let (from, to) = (copy(far), copy(near));
    std::thread::spawn(move || pass(from, to, |_| false));
}

/// Passes on what is said until it ends or is caught.
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

/// Whether this is what somebody waits for; holds it until that one is done.
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
