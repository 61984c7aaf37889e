//! Records that a connection was given: they keep their bounds, because the database may get them.

use std::collections::HashMap;

use wire::Seq;
use wire::id::SessionId;
use wire::message::SeqRange;

/// Ranges of sequence numbers per session, in order and apart.
#[derive(Debug, Default)]
pub(super) struct Sent(HashMap<SessionId, Vec<SeqRange>>);

impl Sent {
    /// Adds a range.
    pub fn add(&mut self, session: SessionId, range: SeqRange) {
        let ranges = self.0.entry(session).or_default();
        let SeqRange { mut first, mut last } = range;
        ranges.retain(|known| {
            let touches = known.first <= last.saturating_add(1) && first <= known.last + 1;
            if touches {
                (first, last) = (first.min(known.first), last.max(known.last));
            }
            !touches
        });
        let at = ranges.partition_point(|known| known.first < first);
        ranges.insert(at, SeqRange { first, last });
    }

    /// True if any number of a range was sent.
    pub fn overlaps(&self, session: SessionId, range: SeqRange) -> bool {
        let ranges = self.0.get(&session).into_iter().flatten();
        ranges.into_iter().any(|known| known.first <= range.last && range.first <= known.last)
    }

    /// How far everything after `from` was sent.
    pub fn reach(&self, session: SessionId, from: Seq) -> Seq {
        let mut ranges = self.0.get(&session).into_iter().flatten();
        let next = ranges.find(|known| known.first <= from + 1 && from < known.last);
        next.map_or(from, |known| known.last)
    }

    /// The collector has said how far a session is: earlier sends don't matter any more.
    pub fn forget(&mut self, session: SessionId) {
        self.0.remove(&session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn range(first: u64, last: u64) -> SeqRange {
        SeqRange { first: Seq(first), last: Seq(last) }
    }

    #[test]
    fn ranges_that_touch_become_one() {
        let mut sent = Sent::default();
        let [one, two] = [1, 2].map(SessionId::new);
        for (first, last) in [(1, 3), (8, 9), (20, 20), (4, 7), (2, 2)] {
            sent.add(one, range(first, last));
        }
        assert_eq!(sent.0[&one], [range(1, 9), range(20, 20)]);
        assert_eq!(
            (sent.reach(one, Seq(0)), sent.reach(one, Seq(9)), sent.reach(one, Seq(19))),
            (Seq(9), Seq(9), Seq(20))
        );
        assert_eq!((sent.reach(one, Seq(10)), sent.reach(two, Seq(0))), (Seq(10), Seq(0)));
        assert!(sent.overlaps(one, range(9, 12)) && !sent.overlaps(one, range(10, 19)));
    }
}
