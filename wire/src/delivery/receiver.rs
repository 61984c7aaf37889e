//! The collector's end of the window: order, duplicates, gaps.

use std::collections::BTreeMap;

use super::window::{MISSING_MAX, WINDOW};
use crate::id::SessionId;
use crate::message::{Ack, SeqRange};
use crate::seq::Seq;

/// The outcome of an arrived record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// Kept; [`Receiver::pop`] returns it in order.
    Kept,
    /// Already known.
    Duplicate,
    /// Too far ahead for the window: the sender will repeat it.
    Beyond,
    /// It covers both known and unknown numbers. An honest sender never sends such a record.
    Overlap,
}

/// Sorts the records of one session.
#[derive(Debug)]
pub struct Receiver<T> {
    session: SessionId,
    committed: Seq,
    /// Last number returned by [`Receiver::pop`].
    received: Seq,
    /// Waiting records by first number, with their last number.
    kept: BTreeMap<Seq, (Seq, T)>,
}

impl<T> Receiver<T> {
    /// A receiver for a session that the database has up to `committed`.
    #[must_use]
    pub const fn new(session: SessionId, committed: Seq) -> Self {
        Self { session, committed, received: committed, kept: BTreeMap::new() }
    }

    /// Takes an arrived record that covers `range`.
    pub fn accept(&mut self, range: SeqRange, record: T) -> Accepted {
        let accepted = self.judge(range);
        if accepted == Accepted::Kept {
            self.kept.insert(range.first, (range.last, record));
        }
        accepted
    }

    /// What [`Receiver::accept`] would return for a record that covers `range`.
    #[must_use]
    pub fn judge(&self, range: SeqRange) -> Accepted {
        let SeqRange { first, last } = range;
        if last <= self.received {
            return Accepted::Duplicate;
        }
        if first <= self.received {
            return Accepted::Overlap;
        }
        if first > self.received + WINDOW {
            return Accepted::Beyond;
        }
        let before = self.kept.range(..=last).next_back();
        match before {
            Some((&kept_first, &(kept_last, _))) if kept_last >= first => {
                if kept_first <= first && last <= kept_last {
                    Accepted::Duplicate
                } else {
                    Accepted::Overlap
                }
            }
            _ => Accepted::Kept,
        }
    }

    /// True if a record that starts with `first` is the next in order.
    #[must_use]
    pub fn is_next(&self, first: Seq) -> bool {
        first == self.received + 1
    }

    /// The next record in order, if it has arrived.
    pub fn pop(&mut self) -> Option<T> {
        let entry = self.kept.first_entry()?;
        if *entry.key() != self.received + 1 {
            return None;
        }
        let (last, record) = entry.remove();
        self.received = last;
        Some(record)
    }

    /// True if [`Receiver::pop`] has a record.
    #[must_use]
    pub fn has_next(&self) -> bool {
        self.kept.first_key_value().is_some_and(|(&first, _)| first == self.received + 1)
    }

    /// Number of records that wait for earlier ones: at most [`WINDOW`].
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.kept.len()
    }

    /// The database has everything up to `committed`.
    pub fn on_committed(&mut self, committed: Seq) {
        self.committed = self.committed.max(committed);
    }

    /// The database has everything up to here.
    #[must_use]
    pub const fn committed(&self) -> Seq {
        self.committed
    }

    /// True if a record was returned by [`Receiver::pop`] and isn't in the database yet.
    #[must_use]
    pub fn is_owed(&self) -> bool {
        self.committed < self.received
    }

    /// True if a record has arrived while an earlier one is missing.
    #[must_use]
    pub fn has_gap(&self) -> bool {
        !self.kept.is_empty() && !self.has_next()
    }

    /// The progress of the session, for the agent.
    #[must_use]
    pub fn ack(&self) -> Ack {
        let mut missing = Vec::new();
        let mut next = self.received + 1;
        for (&first, &(last, _)) in &self.kept {
            if first > next && missing.len() < MISSING_MAX {
                missing.push(SeqRange { first: next, last: first - 1 });
            }
            next = last + 1;
        }
        Ack { session: self.session, committed: self.committed, received: self.received, missing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn range(first: u64, last: u64) -> SeqRange {
        SeqRange { first: Seq(first), last: Seq(last) }
    }

    #[test]
    fn records_come_out_in_order_however_they_arrive() {
        let mut receiver = Receiver::new(SessionId::new(1), Seq(10));
        assert_eq!(receiver.accept(range(13, 13), "c"), Accepted::Kept);
        assert_eq!(receiver.accept(range(12, 12), "b"), Accepted::Kept);
        assert_eq!(receiver.pop(), None);
        assert_eq!(receiver.ack().missing, [range(11, 11)]);
        assert_eq!(receiver.accept(range(11, 11), "a"), Accepted::Kept);
        assert_eq!([receiver.pop(), receiver.pop()], [Some("a"), Some("b")]);
        assert_eq!(receiver.pop(), Some("c"));
        assert_eq!((receiver.ack().received, receiver.ack().committed), (Seq(13), Seq(10)));
    }

    #[test]
    fn what_is_known_is_a_duplicate_and_what_lies_across_is_refused() {
        let mut receiver = Receiver::new(SessionId::new(1), Seq(10));
        assert_eq!(receiver.accept(range(9, 10), ()), Accepted::Duplicate);
        assert_eq!(receiver.accept(range(10, 11), ()), Accepted::Overlap);
        assert_eq!(receiver.accept(range(13, 15), ()), Accepted::Kept);
        assert_eq!(receiver.accept(range(13, 15), ()), Accepted::Duplicate);
        assert_eq!(receiver.accept(range(14, 14), ()), Accepted::Duplicate);
        assert_eq!(receiver.accept(range(12, 13), ()), Accepted::Overlap);
        assert_eq!(receiver.accept(range(15, 16), ()), Accepted::Overlap);
        assert_eq!(receiver.accept(range(11, 20), ()), Accepted::Overlap);
    }

    #[test]
    fn there_is_room_for_a_window_and_no_more() {
        let mut receiver = Receiver::new(SessionId::new(1), Seq(0));
        assert_eq!(receiver.accept(range(WINDOW, WINDOW), ()), Accepted::Kept);
        assert_eq!(receiver.accept(range(WINDOW + 1, WINDOW + 1), ()), Accepted::Beyond);
    }

    #[test]
    fn an_acknowledgement_names_a_bounded_number_of_gaps() {
        let mut receiver = Receiver::new(SessionId::new(1), Seq(0));
        for n in 1..=WINDOW / 2 {
            receiver.accept(range(2 * n, 2 * n), ());
        }
        let missing = receiver.ack().missing;
        assert_eq!(missing.len(), MISSING_MAX);
        assert_eq!((missing[0], missing[1]), (range(1, 1), range(3, 3)));
    }
}
