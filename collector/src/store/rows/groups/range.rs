//! The request for the traffic of groups.

use wire::WallNs;
use wire::tag::{Tag, TagKey};

use crate::store::rows::rollups::{FIVE_MINUTES_NS, MINUTE_NS};
use crate::store::rows::series::Resolution;

/// Most 5-minute intervals of clients that are read from rows for an answer: 2,000 days of clients, which
/// with two NICs each take 2.5 to 6.6 s on a busy machine. What agents of 1,000 hosts sent since midnight, and
/// the day before until it is packed, are among them.
const UNPACKED_MAX: u64 = 2000 * 288;

/// The request for the traffic of groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupsRange {
    /// The key whose values are the groups; `None`: one group of all.
    pub by: Option<TagKey>,
    /// Each client is a group of its own, and `by` is not looked at.
    pub each_client: bool,
    /// Only clients while they had all of these tags.
    pub having: Vec<Tag>,
    /// Only this client.
    pub client: Option<String>,
    /// Start, nanoseconds since 1970 (UTC).
    pub from_ns: WallNs,
    /// End, not included.
    pub to_ns: WallNs,
    /// Length of a point, nanoseconds; see [`GroupsRange::new`].
    pub step_ns: u64,
    /// Most 5-minute intervals of clients that are read from rows, where days aren't packed.
    pub unpacked_max: u64,
}

impl GroupsRange {
    /// Rounds the step to whole minutes and the range to whole steps since 1970 (UTC), so that every point
    /// is complete.
    #[must_use]
    pub fn new(
        by: Option<TagKey>,
        having: Vec<Tag>,
        (from_ns, to_ns): (WallNs, WallNs),
        step_ns: u64,
    ) -> Self {
        let step_ns = step_ns.div_ceil(MINUTE_NS).max(1).saturating_mul(MINUTE_NS);
        let from_ns = from_ns.floor(step_ns);
        let to_ns = WallNs(to_ns.get().div_ceil(step_ns).saturating_mul(step_ns));
        let unpacked_max = UNPACKED_MAX;
        Self { by, each_client: false, having, client: None, from_ns, to_ns, step_ns, unpacked_max }
    }

    /// The rollup that has its points: the coarsest whose intervals tile a step.
    #[must_use]
    pub const fn resolution(&self) -> Resolution {
        if self.step_ns.is_multiple_of(FIVE_MINUTES_NS) {
            Resolution::FiveMinutes
        } else {
            Resolution::Minute
        }
    }

    /// The keys that decide about a client.
    pub(in crate::store) fn keys(&self) -> Vec<String> {
        let having = self.having.iter().map(Tag::key);
        self.by.iter().chain(having).map(ToString::to_string).collect()
    }
}
