//! Section `limits`: what one client, one address and all together may take of the collector.
//!
//! No default is reached by honest use: an agent with 2,500 NICs at 10 ms, one that is back after a
//! week, thousands of agents that are back at once behind one address. A client over a limit is
//! slowed down or refused; others notice nothing.

use serde::{Deserialize, Serialize};
use settings::{Problem, Size};

use crate::ingest::{ClientLimits, Quotas, TotalLimits};

/// Most that a rate can be set to: beyond any machine.
const RATE_MAX: u32 = 1_000_000_000;

/// Section `limits`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsSection {
    /// Agents that are connected; 1 to 1,000,000. Each takes some 80 KiB of memory.
    pub connections: usize,
    /// Handshakes at once; 16 to 4,096. One is done within milliseconds; who needs
    /// longer holds up to 320 KiB until its time is over.
    pub handshakes: usize,
    /// Of them, those of one address (of IPv6: of one /48); 1 to 4,096. Others of it wait.
    pub address_handshakes: usize,
    /// Memory for frames that wait for a missing one, of all clients; 2 MiB to 64 GiB.
    pub waiting: Size,
    /// Room on the disk of the embedded store below which nothing is written; 128 MiB to 1 TiB. SQLite's
    /// log takes up to 128 MiB of it, deleting by age needs some, and so do its neighbours.
    pub disk_free_min: Size,
    /// What one client may take.
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
    /// The limits as the listener takes them.
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
