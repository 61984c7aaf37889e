//! Which commits of a session its connection is told of at once, and waits for. It reads the others when
//! it sends an acknowledgement, which saves waking it for each; and they may come later.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wire::Seq;

/// The last number whose commit is told at once, shared by a session's connection and the writer.
#[derive(Debug, Clone)]
pub struct Heed(Arc<AtomicU64>);

impl Heed {
    /// Every commit.
    #[must_use]
    pub fn all() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }

    /// No commit, until [`Heed::up_to`].
    #[must_use]
    pub fn none() -> Self {
        Self(Arc::default())
    }

    /// Commits up to `seq` too. Read the progress afterwards: its commit may be older than this.
    pub fn up_to(&self, seq: Seq) {
        self.0.fetch_max(seq.get(), Ordering::Relaxed);
    }

    /// True if somebody waits for the commit of a record whose first number is `first`.
    pub(super) fn includes(&self, first: Seq) -> bool {
        first.get() <= self.0.load(Ordering::Relaxed)
    }

    /// True if the commits after `committed` begin with one to be told. The lock of the progress orders
    /// this with [`Heed::up_to`].
    pub(super) fn covers(&self, committed: Seq) -> bool {
        committed.get() < self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_told_as_long_as_a_heeded_one_is_to_come() {
        let heed = Heed::none();
        assert!(!heed.covers(Seq(0)));
        heed.up_to(Seq(5));
        heed.up_to(Seq(3));
        assert!(heed.covers(Seq(4)), "the next may be 5");
        assert!(!heed.covers(Seq(5)));
        assert_eq!([5, 6].map(|first| heed.includes(Seq(first))), [true, false]);
        assert!(Heed::all().covers(Seq(u64::MAX - 1)));
    }
}
