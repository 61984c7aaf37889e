//! Clients in a store.

use std::time::Duration;

use wire::WallNs;
use wire::message::{Host, Nic};

use crate::identity::Revocation;
use crate::time::rough;

/// A client in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its id.
    pub client: String,
    /// Its display name, from its operator.
    pub alias: String,
    /// When it first connected, nanoseconds since 1970 (UTC).
    pub created_ns: WallNs,
    /// When it last committed or connected, nanoseconds since 1970 (UTC).
    pub last_seen_ns: WallNs,
    /// The latest facts about its host.
    pub host: Host,
    /// How far its clock is ahead of the collector's, nanoseconds, in its newest session.
    pub clock_offset_ns: Option<i64>,
    /// Its latest NICs.
    pub nics: Vec<Nic>,
}

/// A client that no collector has seen for this long is down. Sightings are stored every 10 s, and a
/// report may come late.
const DOWN: Duration = Duration::from_secs(30);

impl Client {
    /// How long it has been down, if it is, at `now_ns`, nanoseconds since 1970 (UTC).
    #[must_use]
    pub fn down_for(&self, now_ns: WallNs) -> Option<Duration> {
        let silent = Duration::from_nanos(now_ns.saturating_since(self.last_seen_ns));
        (silent > DOWN).then_some(silent)
    }

    /// The difference of its clock from the collector's as text, if it exceeds a sample's length.
    #[must_use]
    pub fn clock_apart(&self) -> Option<String> {
        let offset_ns = self.clock_offset_ns?;
        let apart_ns = offset_ns.unsigned_abs();
        let side = if offset_ns > 0 { "ahead" } else { "behind" };
        let apart = rough(Duration::from_nanos(apart_ns));
        (apart_ns > self.host.sample_interval_ns).then(|| format!("{apart} {side}"))
    }
}

/// A client in the register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Its id.
    pub client: String,
    /// Its display name, from its operator.
    pub alias: String,
    /// When a collector of this store last saw it, by that collector's clock, nanoseconds since 1970
    /// (UTC). Updated at least every 10 s while it delivers.
    pub last_seen_ns: WallNs,
    /// When it was forgotten, nanoseconds since 1970 (UTC); `None` if it wasn't.
    pub forgotten_ns: Option<WallNs>,
}

/// A client's last revocation, stored for all collectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRevocation {
    /// Its id.
    pub client: String,
    /// The revocation.
    pub revocation: Revocation,
    /// Number of the change that added it; later ones are higher.
    pub change: u64,
}
