//! Section `limits`: resources that one client, one address and all clients together may use.
//!
//! Honest use stays below every default: an agent with 2,500 NICs at 10 ms, an agent that returns after
//! a week, thousands of agents that return at once behind one address. A client over a limit is slowed
//! down or refused. Others notice nothing.

use serde::{Deserialize, Serialize};
use settings::{Problem, Size};

use crate::ingest::{ClientLimits, Quotas, TotalLimits};

/// Largest rate that can be set, more than any machine can do.
const RATE_MAX: u32 = 1_000_000_000;

/// Section `limits`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsSection {
    /// Most connected agents; 1 to 1,000,000. Each needs about 80 KiB of memory.
    pub connections: usize,
    /// Most handshakes at once; 16 to 4,096. A handshake takes milliseconds. A slow one holds up to
    /// 320 KiB until it times out.
    pub handshakes: usize,
    /// Most handshakes at once per address (per /48 for IPv6); 1 to 4,096. Further ones wait.
    pub address_handshakes: usize,
    /// Memory for frames of all clients that wait for a missing one; 2 MiB to 64 GiB.
    pub waiting: Size,
    /// Free space on the embedded store's disk below which nothing is written; 128 MiB to 1 TiB. SQLite's
    /// log uses up to 128 MiB of it. Deleting by age and other programs need some too.
    pub disk_free_min: Size,
    /// Limits of one client.
    pub client: ClientLimits,
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            connections: 10_000,
            handshakes: 512,
            address_handshakes: 128,
            waiting: Size::mib(64),
            disk_free_min: Size::mib(256),
            client: ClientLimits::default(),
        }
    }
}

impl LimitsSection {
    /// The limits, in the listener's form.
    #[must_use]
    pub fn ingest(&self) -> Quotas {
        let total = TotalLimits {
            connections: self.connections,
            handshakes: self.handshakes,
            address_handshakes: self.address_handshakes,
            waiting: usize::try_from(self.waiting.0).unwrap_or(usize::MAX),
        };
        Quotas::new(total, self.client.clone())
    }

    pub(super) fn check(&self) -> Result<(), Problem> {
        let count =
            |key, value: usize, most: usize| Problem::unless_within(key, &value, &(1..=most));
        count("limits.connections", self.connections, 1_000_000)?;
        Problem::unless_within("limits.handshakes", &self.handshakes, &(16..=4096))?;
        count("limits.address_handshakes", self.address_handshakes, 4096)?;
        let room = Size::mib(128)..=Size::mib(1 << 20);
        Problem::unless_within("limits.disk_free_min", &self.disk_free_min, &room)?;
        let client = &self.client;
        count("limits.client.connections", client.connections, 1000)?;
        for (key, value) in [
            ("limits.client.streams", client.streams),
            ("limits.client.introductions", client.introductions),
            ("limits.client.frames", client.frames),
            ("limits.client.rows", client.rows),
            ("limits.client.nics", client.nics),
            ("limits.client.sessions", client.sessions),
            ("limits.client.inventories", client.inventories),
            ("limits.client.links", client.links),
            ("limits.client.renewals", client.renewals),
            ("limits.client.tags", client.tags),
            ("limits.client.retags", client.retags),
        ] {
            Problem::unless_within(key, &value, &(1..=RATE_MAX))?;
        }
        for (key, value) in [
            ("limits.waiting", self.waiting),
            ("limits.client.bytes", client.bytes),
            ("limits.client.waiting", client.waiting),
            ("limits.client.queued", client.queued),
        ] {
            Problem::unless_within(key, &value, &(Size::mib(2)..=Size::mib(64 << 10)))?;
        }
        Ok(())
    }
}
