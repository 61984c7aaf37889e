//! Keeps what readers know of this host up to date: its addresses and listening ports.

use std::sync::Arc;
use std::time::Instant;

use settings::{Failures, InFull, words};
use wire::BootNs;

use crate::capture::talker_counter::SharedHost;
use crate::nic::addresses::OwnEnds;
use crate::talkers::host::OwnHost;
use crate::talkers::key::KeyAddress;

/// How often to read both again without an event, nanoseconds: the kernel tells of addresses, but not of
/// sockets that listen.
const READ_NS: u64 = 10_000_000_000;

/// How soon to read again after an event, nanoseconds: events may come in a storm.
const AGAIN_NS: u64 = 200_000_000;

/// This host, as all readers know it.
#[derive(Debug)]
pub(super) struct HostWatch {
    own: OwnEnds,
    shared: Arc<SharedHost>,
    /// The TCP ports that are listened on, as last read. Without them the lower port is the service's.
    ports: Vec<u16>,
    /// When it was last read.
    read_ns: Option<BootNs>,
    /// An address has come or gone since then.
    changed: bool,
    unread: Failures<String>,
}

impl HostWatch {
    /// Reads it for the first time.
    pub fn open(now_ns: BootNs) -> std::io::Result<Self> {
        let mut watch = Self {
            own: OwnEnds::open()?,
            shared: Arc::new(SharedHost::new(Arc::default())),
            ports: Vec::new(),
            read_ns: None,
            changed: true,
            unread: Failures::new(),
        };
        watch.follow(now_ns);
        Ok(watch)
    }

    /// What readers look at.
    pub fn shared(&self) -> Arc<SharedHost> {
        self.shared.clone()
    }

    /// An address has come or gone.
    pub const fn on_change(&mut self) {
        self.changed = true;
    }

    /// Reads it again if that is due. What can't be read stays as it was.
    pub fn follow(&mut self, now_ns: BootNs) {
        let pause_ns = if self.changed { AGAIN_NS } else { READ_NS };
        if self.read_ns.is_some_and(|read_ns| now_ns < read_ns.saturating_add(pause_ns)) {
            return;
        }
        (self.read_ns, self.changed) = (Some(now_ns), false);
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
