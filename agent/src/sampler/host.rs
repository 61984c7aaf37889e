//! Keeps what readers know of this host up to date: its addresses and listening ports.
//!
//! On a thread of its own: the kernel's answers may take as long as its lists are, and the sampler must
//! not wait for them.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use settings::{Failures, InFull, words};

use crate::capture::talker_counter::SharedHost;
use crate::nic::addresses::OwnEnds;
use crate::talkers::host::OwnHost;
use crate::talkers::key::KeyAddress;

/// How often to read both again without an event: the kernel tells of addresses, but not of sockets that
/// listen.
const READ: Duration = Duration::from_secs(10);

/// How soon to read again after an event: events may come in a storm.
const AGAIN: Duration = Duration::from_millis(200);

/// How long the first reading may wait for each part of an answer, and how long those after it: capture
/// begins only after the first.
const FIRST_PATIENCE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(2);

/// This host, as all readers know it. Its thread ends when this is dropped.
#[derive(Debug)]
pub(super) struct HostWatch {
    shared: Arc<SharedHost>,
    /// Holds one event: whoever finds it full is read anyway.
    changed: Sender<()>,
}

impl HostWatch {
    /// Reads it for the first time, and starts to follow it.
    pub fn open() -> std::io::Result<Self> {
        let mut reading = Reading {
            own: OwnEnds::open(FIRST_PATIENCE)?,
            shared: Arc::new(SharedHost::new(Arc::default())),
            ports: Vec::new(),
            unread: Failures::new(),
        };
        reading.read();
        reading.own = reading.own.with_patience(PATIENCE)?;
        let shared = reading.shared.clone();
        let (changed, changes) = bounded(1);
        thread::Builder::new()
            .name("own addresses".to_owned())
            .spawn(move || reading.follow(&changes))?;
        Ok(Self { shared, changed })
    }

    /// What readers look at.
    pub fn shared(&self) -> Arc<SharedHost> {
        self.shared.clone()
    }

    /// An address has come or gone. Never waits.
    pub fn on_change(&self) {
        let _told_before = self.changed.try_send(());
    }
}

/// Reads what the kernel knows.
#[derive(Debug)]
struct Reading {
    own: OwnEnds,
    shared: Arc<SharedHost>,
    /// The TCP ports that are listened on, as last read. Without them the lower port is the service's.
    ports: Vec<u16>,
    unread: Failures<String>,
}

impl Reading {
    /// Reads again after each event, and now and then, until nobody wants it any more.
    fn follow(mut self, changes: &Receiver<()>) {
        let mut read = Instant::now();
        loop {
            match changes.recv_deadline(read + READ) {
                Ok(()) => thread::sleep((read + AGAIN).saturating_duration_since(Instant::now())),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            read = Instant::now();
            self.read();
        }
    }

    /// Reads both. What can't be read stays as it was.
    fn read(&mut self) {
        let addresses = match self.own.addresses() {
            Ok(addresses) => {
                self.unread.succeeded();
                addresses.into_iter().map(KeyAddress::from).collect()
            }
            Err(error) => {
                if let Some(tell) =
                    self.unread.failed(words(&error.in_full().to_string()), Instant::now())
                {
                    tracing::warn!(error = %error.in_full(), "can't read this host's addresses; talkers \
                     are told apart by those known before{tell}");
                }
                return;
            }
        };
        if let Ok(ports) = self.own.listening() {
            self.ports = ports;
        }
        let host = OwnHost::new(addresses, self.ports.clone());
        if *self.shared.get().1 != host {
            self.shared.set(Arc::new(host));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_at_once_and_its_thread_ends_with_it() {
        let watch = HostWatch::open().unwrap();
        let shared = watch.shared();
        let loopback = KeyAddress::v4([127, 0, 0, 1]);
        assert!(shared.get().1.owns(loopback), "it was read before anybody needs it");
        // Events are never waited for, however many there are.
        (0..1000).for_each(|_| watch.on_change());
        drop(watch);
        let end = Instant::now() + Duration::from_secs(10);
        while Arc::strong_count(&shared) > 1 {
            assert!(Instant::now() < end, "the thread goes on");
            thread::yield_now();
        }
    }
}
