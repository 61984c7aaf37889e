//! Which host has a client's place, over all collectors of one store, and which second hosts were
//! refused it.
//!
//! A claim names the collector that its host is connected to. Who wants the place at another collector
//! asks a question in the store; the one that has it answers for as long as its host does. A collector
//! that is gone answers nothing, and its claim goes to whoever asked, once its host has had the time to
//! come to another collector. Only the clock of the store is asked for that.

use std::net::IpAddr;
use std::time::Duration;

use wire::id::ClientId;
use wire::message::Claim;

/// A client's place at a collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceId {
    /// One run of a collector: a number by chance.
    pub collector: u64,
    /// Number of the place among those that this run has given; later ones have higher numbers.
    pub number: u64,
}

/// Who has a client's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Where.
    pub place: PlaceId,
    /// Who it says that it is.
    pub claim: Claim,
    /// Its address.
    pub address: IpAddr,
}

/// How long a collector may leave questions unanswered before another host than its own gets a place of
/// its. An agent notices after 15 s that its collector is gone, an older one after 30 s, and comes to
/// another one by its fallbacks: it must find its place there.
pub const SILENCE: Duration = Duration::from_secs(35);

/// How a host has lost a client's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Its connection has ended, to the same collector as the one that claims the place now.
    Ended(PlaceId),
    /// Its collector hasn't answered the question of this number.
    Silent(PlaceId, u64),
}

/// A question whether a client's host still answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// Whose.
    pub client: ClientId,
    /// At which place of the collector that is asked.
    pub place: u64,
    /// Number of the question; later ones have higher numbers.
    pub number: u64,
}

/// A second host was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondHostRecord {
    /// Under whose certificate.
    pub client: String,
    /// Since when there is one, nanoseconds since 1970 (UTC).
    pub since_ns: u64,
    /// When it was last told, nanoseconds since 1970 (UTC): every 10 minutes while it tries.
    pub told_ns: u64,
    /// Address of the host that goes on.
    pub kept: IpAddr,
    /// Address of the one that was refused.
    pub refused: IpAddr,
    /// What the second is to the first.
    pub what: String,
}

/// A second host that was not told of for so long is gone, nanoseconds.
const SECOND_HOST_GONE_NS: u64 = 1_800_000_000_000;

impl SecondHostRecord {
    /// One that was told of since then is the same, nanoseconds since 1970 (UTC).
    pub(crate) fn same_since_ns(&self) -> u64 {
        self.told_ns.saturating_sub(SECOND_HOST_GONE_NS)
    }

    /// True if the second host still tries at `now_ns`, nanoseconds since 1970 (UTC).
    #[must_use]
    pub fn is_current(&self, now_ns: u64) -> bool {
        self.told_ns.saturating_add(SECOND_HOST_GONE_NS) >= now_ns
    }
}
