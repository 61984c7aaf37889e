//! Limits on records in flight, on missing records, and on the time that an acknowledgement takes.

use std::time::Duration;

/// Most sequence numbers that a receiver keeps beyond the last in order, and so the most that a sender
/// may have in flight.
pub const WINDOW: u64 = 1024;

/// Most missing ranges in one acknowledgement.
pub const MISSING_MAX: usize = 64;

/// Longest time that an acknowledgement of live records waits for others ([`AckPace::Joined`]). Each
/// costs both ends a packet; records are kept for minutes anyway.
pub const ACK_JOINED_MAX: Duration = Duration::from_secs(4);

/// Shortest time before an unacknowledged live record is repeated, beside what its acknowledgement may
/// wait.
const TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// How live records are acknowledged on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckPace {
    /// Each as soon as it is committed.
    Prompt,
    /// Several at once, within [`ACK_JOINED_MAX`].
    Joined,
}

impl AckPace {
    /// How long a live record may be unacknowledged before it is repeated.
    pub(super) fn timeout(self, rtt: Duration) -> Duration {
        let waits = match self {
            Self::Prompt => Duration::ZERO,
            Self::Joined => ACK_JOINED_MAX,
        };
        waits + (3 * rtt).max(TIMEOUT_MIN)
    }
}
