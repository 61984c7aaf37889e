//! The record of talkers nearest to a time.

use wire::WallNs;
use wire::talkers::TalkersKind;

/// The request for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TalkersAt {
    /// The client.
    pub client: String,
    /// The NIC.
    pub nic: String,
    /// Records of this kind only.
    pub kind: TalkersKind,
    /// The time, nanoseconds since 1970 (UTC).
    pub at_ns: WallNs,
    /// How far the interval of a record may be from that time, nanoseconds; 0: it must cover it.
    pub within_ns: u64,
}

impl TalkersAt {
    /// The nearest of these intervals (start and length) that is near enough.
    pub(in crate::store) fn nearest(
        &self,
        intervals: impl IntoIterator<Item = (WallNs, u64)>,
    ) -> Option<WallNs> {
        let distance = |&(start_ns, interval_ns): &(WallNs, u64)| {
            let end_ns = start_ns.saturating_add(interval_ns.saturating_sub(1));
            self.at_ns.saturating_since(end_ns).max(start_ns.saturating_since(self.at_ns))
        };
        let near = intervals.into_iter().filter(|it| distance(it) <= self.within_ns);
        near.min_by_key(distance).map(|(start_ns, _)| start_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_covers_a_time_is_nearer_than_what_ends_before_it() {
        let at = |at_ns, within_ns| TalkersAt {
            client: "web".into(),
            nic: "eth0".into(),
            kind: TalkersKind::Moment,
            at_ns: WallNs(at_ns),
            within_ns,
        };
        let intervals = [(100, 50), (150, 50), (300, 10)].map(|(at, ns)| (WallNs(at), ns));
        let nearest = |at: TalkersAt| at.nearest(intervals).map(WallNs::get);
        assert_eq!(nearest(at(149, 0)), Some(100));
        assert_eq!(nearest(at(150, 500)), Some(150));
        assert_eq!(nearest(at(200, 0)), None);
        assert_eq!(nearest(at(203, 4)), Some(150));
        assert_eq!(nearest(at(290, 10)), Some(300));
    }
}
