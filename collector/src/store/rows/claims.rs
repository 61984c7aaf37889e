//! Which host holds a client's place, over all collectors of a store, and which second hosts were
//! refused.
//!
//! A claim names the collector to which its host is connected. A host that wants the place at another
//! collector asks a question in the store; the holder's collector answers while its host answers. A
//! dead collector never answers, and its claim goes to the asking host once the holder has had time to
//! reach another collector. Only the store's clock counts here.

use std::net::IpAddr;
use std::time::Duration;

use wire::WallNs;
use wire::id::ClientId;
use wire::message::Claim;

/// A client's place at a collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceId {
    /// One run of a collector: a random number.
    pub collector: u64,
    /// Number of the place within this run; later ones are higher.
    pub number: u64,
}

/// The holder of a client's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Its place.
    pub place: PlaceId,
    /// Its own description.
    pub claim: Claim,
    /// Its address.
    pub address: IpAddr,
}

/// How long a collector may leave questions unanswered before another host gets the place. An agent
/// notices after 15 s that its collector is gone, an older one after 30 s, and reconnects to a
/// fallback, where it must still find its place.
pub const SILENCE: Duration = Duration::from_secs(35);

/// How a host lost a client's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Its connection to the claiming collector has ended.
    Ended(PlaceId),
    /// Its collector hasn't answered this question.
    Silent(PlaceId, u64),
}

/// The question whether a client's host still answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// The client.
    pub client: ClientId,
    /// The place at the asked collector.
    pub place: u64,
    /// Number of the question; later ones are higher.
    pub number: u64,
}

/// A refused second host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondHostRecord {
    /// The client of its certificate.
    pub client: String,
    /// When it first tried, nanoseconds since 1970 (UTC).
    pub since_ns: WallNs,
    /// When it was last reported, nanoseconds since 1970 (UTC): every 10 minutes while it tries.
    pub told_ns: WallNs,
    /// Address of the host that keeps the place.
    pub kept: IpAddr,
    /// Address of the refused host.
    pub refused: IpAddr,
    /// How the second host relates to the first.
    pub what: String,
}

/// A second host without a report for this long is gone, nanoseconds.
const SECOND_HOST_GONE_NS: u64 = 1_800_000_000_000;

impl SecondHostRecord {
    /// A record reported since then is the same second host, nanoseconds since 1970 (UTC).
    pub(crate) fn same_since_ns(&self) -> WallNs {
        self.told_ns.saturating_sub(SECOND_HOST_GONE_NS)
    }

    /// True if the second host still tries at `now_ns`, nanoseconds since 1970 (UTC).
    #[must_use]
    pub fn is_current(&self, now_ns: WallNs) -> bool {
        self.told_ns.saturating_add(SECOND_HOST_GONE_NS) >= now_ns
    }
}
