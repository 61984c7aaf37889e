//! Clients, as a store knows them.

use std::time::Duration;

use wire::message::{Host, Nic};

use crate::identity::Revocation;
use crate::time::rough;

/// A client as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its id.
    pub client: String,
    /// What its operator calls it.
    pub alias: String,
    /// When it first connected, nanoseconds since 1970 (UTC).
    pub created_ns: u64,
    /// When something of it was last committed or it last connected, nanoseconds since 1970 (UTC).
    pub last_seen_ns: u64,
    /// Facts about the host, as last told.
    pub host: Host,
    /// By how much its clock is ahead of the collector's, nanoseconds, of its newest session.
    pub clock_offset_ns: Option<i64>,
    /// Its NICs, as last told.
    pub nics: Vec<Nic>,
}

/// A client of which no collector has heard for so long is down: that it was heard of is noted
/// every 10 s, and a report may come late.
const DOWN: Duration = Duration::from_secs(30);

impl Client {
    /// For how long it has been down, if it is, at `now_ns`, nanoseconds since 1970 (UTC).
    #[must_use]
    pub fn down_for(&self, now_ns: u64) -> Option<Duration> {
        let silent = Duration::from_nanos(now_ns.saturating_sub(self.last_seen_ns));
        (silent > DOWN).then_some(silent)
    }

    /// By how much its clock differs from the collector's, for people, where that is more than a
    /// sample lasts.
    #[must_use]
    pub fn clock_apart(&self) -> Option<String> {
        let offset_ns = self.clock_offset_ns?;
        let apart_ns = offset_ns.unsigned_abs();
        let side = if offset_ns > 0 { "ahead" } else { "behind" };
        let apart = rough(Duration::from_nanos(apart_ns));
        (apart_ns > self.host.sample_interval_ns).then(|| format!("{apart} {side}"))
    }
}

/// A client as the register has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Its id.
    pub client: String,
    /// What its operator calls it.
    pub alias: String,
    /// When a collector of this store last heard of it, by that one's clock; of one that goes on
    /// delivering it moves every 10 s at least. Nanoseconds since 1970 (UTC).
    pub last_seen_ns: u64,
    /// When it was forgotten, nanoseconds since 1970 (UTC); `None` of all others.
    pub forgotten_ns: Option<u64>,
}

/// A client's last revocation, as a store keeps it for all of its collectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRevocation {
    /// Its id.
    pub client: String,
    /// What was revoked.
    pub revocation: Revocation,
    /// Number of the change by which the store got it: later ones have higher numbers.
    pub change: u64,
}
