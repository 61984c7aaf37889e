//! When a batch is due, and how many rows it has.

use std::time::Duration;

/// When a batch is committed, and its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Number of rows that makes a batch due at once. A batch exceeds it only by its last frame.
    pub max_rows: usize,
    /// The same per open session, if that is more for all of them.
    pub session_rows: usize,
    /// How long a frame waits for others. One whose commit nobody waits for may wait longer.
    pub max_delay: Duration,
}

/// How many times as long a frame waits whose commit nobody waits for, and how long at most. Its
/// acknowledgement comes seconds later anyway; larger batches write a page once for more rows.
const UNHEEDED: (u32, Duration) = (10, Duration::from_secs(2));

impl BatchLimits {
    /// The default. Two NICs measure 8 rows in 2 s, the longest that a frame waits: with fewer, batches of thousands of
    /// agents would cost a quarter more (`bench swarm`).
    pub const DEFAULT: Self =
        Self { max_rows: 20_000, session_rows: 8, max_delay: Duration::from_millis(200) };

    /// The default for rows spread over several servers: there a commit costs some 3 ms per shard in
    /// addition to its rows. The bytes of a batch hold this many rows.
    const SPREAD: Self =
        Self { max_rows: 80_000, max_delay: Duration::from_millis(800), ..Self::DEFAULT };

    /// Adapts the default to a store whose rows are spread over several servers, or not.
    #[must_use]
    pub fn suited(self, is_spread: bool) -> Self {
        if is_spread && self == Self::DEFAULT { Self::SPREAD } else { self }
    }

    /// How long a frame waits whose commit nobody waits for.
    pub(super) fn unheeded_delay(self) -> Duration {
        (self.max_delay * UNHEEDED.0).min(UNHEEDED.1).max(self.max_delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_longest_wait_follows_the_configured_one() {
        let delay =
            |ms: u32| BatchLimits { max_delay: ms * MS, ..BatchLimits::DEFAULT }.unheeded_delay();
        assert_eq!([1, 200, 800, 5000].map(delay), [10, 2000, 2000, 5000].map(|ms: u32| ms * MS));
    }
}
