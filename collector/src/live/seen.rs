//! Which sequence numbers were seen, so that figures without running totals count once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire::Seq;
use wire::id::SessionId;

/// Number of sessions kept. Beyond that, the one silent longest is forgotten.
const SESSIONS_MAX: usize = 64;

/// Number of ranges kept per session. Beyond that, the oldest hole counts as seen.
const RANGES_MAX: usize = 1024;

/// The sequence numbers seen of a client's sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Ranges of each session, by first number with the last one; the most recently updated session is
    /// at the end.
    sessions: Vec<(SessionId, BTreeMap<Seq, Seq>)>,
}

impl Seen {
    /// Notes the numbers `first..=last` of a session. True if none was seen before.
    pub fn insert(&mut self, session: SessionId, first: Seq, last: Seq) -> bool {
        let known = self.sessions.iter().rposition(|(known, _)| *known == session);
        let mut ranges = known.map_or_else(BTreeMap::new, |index| self.sessions.remove(index).1);
        let fresh = insert(&mut ranges, first, last);
        if self.sessions.len() == SESSIONS_MAX {
            self.sessions.remove(0);
        }
        self.sessions.push((session, ranges));
        fresh
    }
}

fn insert(ranges: &mut BTreeMap<Seq, Seq>, mut first: Seq, mut last: Seq) -> bool {
    let before = ranges.range(..=last).next_back();
    let fresh = before.is_none_or(|(_, &seen_last)| seen_last < first);
    while let Some((&touching, &touching_last)) =
        ranges.range(..=last.saturating_add(1)).next_back()
        && touching_last.saturating_add(1) >= first
    {
        ranges.remove(&touching);
        (first, last) = (first.min(touching), last.max(touching_last));
    }
    ranges.insert(first, last);
    if ranges.len() > RANGES_MAX
        && let (Some((oldest, _)), Some((_, end))) = (ranges.pop_first(), ranges.pop_first())
    {
        ranges.insert(oldest, end);
    }
    fresh
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_fresh_once() {
        let mut seen = Seen::default();
        assert!(seen.insert(SessionId::new(1), Seq(5), Seq(5)));
        assert!(!seen.insert(SessionId::new(1), Seq(5), Seq(5)));
        assert!(seen.insert(SessionId::new(1), Seq(1), Seq(4)));
        assert!(!seen.insert(SessionId::new(1), Seq(2), Seq(3)));
        assert!(!seen.insert(SessionId::new(1), Seq(5), Seq(9)), "partly seen");
        assert!(!seen.insert(SessionId::new(1), Seq(6), Seq(6)));
        assert!(seen.insert(SessionId::new(1), Seq(10), Seq(10)));
        assert!(seen.insert(SessionId::new(2), Seq(5), Seq(5)), "another session");
        assert_eq!(seen.sessions[0], (SessionId::new(1), BTreeMap::from([(Seq(1), Seq(10))])));
    }

    #[test]
    fn memory_is_bounded() {
        let mut seen = Seen::default();
        for session in 0..2 * SESSIONS_MAX as u64 {
            seen.insert(SessionId::new(session), Seq(1), Seq(1));
        }
        assert_eq!(seen.sessions.len(), SESSIONS_MAX);
        for number in 0..2 * RANGES_MAX as u64 {
            assert!(seen.insert(SessionId::new(9), Seq(2 * number + 1), Seq(2 * number + 1)));
        }
        assert_eq!(seen.sessions[SESSIONS_MAX - 1].1.len(), RANGES_MAX);
    }
}
