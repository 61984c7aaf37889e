//! Bounds on waiting for a collector. After each of them the next collector of the list is tried,
//! so that a broken one, or another program in its place, can't block delivery to the others.
//!
//! | wait | bound |
//! |---|---|
//! | a name's addresses | [`RESOLVE`](crate::connection::RESOLVE), and the first few of them |
//! | the handshake | [`HANDSHAKE`](crate::connection::HANDSHAKE) for each address |
//! | a message that it doesn't take | [`SAID`](crate::connection::control::SAID) |
//! | the answer to Hello | [`ANSWER`] |
//! | commits of what it was sent, by whatever they are held up | [`COMMIT`] |
//! | a certificate's renewal, an enrolment | 10 s (`identity`) |
//! | messages that nobody asked for | 16 wait, of [`MESSAGE_MAX`](crate::connection::control::MESSAGE_MAX) each |

use std::time::Duration;

use tokio::time::Instant;

/// How long the answer to Hello may take. One whose database is away doesn't answer; a minute is
/// longer than a database takes to fail over, and than a collector's own start.
pub const ANSWER: Duration = Duration::from_secs(60);

/// How long commits may stop while there is something to commit. They normally come every second or
/// so; after this time the agent reconnects, or tries another collector.
pub const COMMIT: Duration = Duration::from_secs(300);

/// [`ANSWER`] and [`COMMIT`], or others.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How long the answer to Hello may take.
    pub answer: Duration,
    /// How long nothing may be committed while there is something to commit.
    pub commit: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { answer: ANSWER, commit: COMMIT }
    }
}

/// Watches whether commits arrive.
#[derive(Debug)]
pub struct Patience {
    since: Instant,
    commit: Duration,
}

impl Patience {
    /// Begins at `now`, with a bound such as [`COMMIT`].
    #[must_use]
    pub const fn new(now: Instant, commit: Duration) -> Self {
        Self { since: now, commit }
    }

    /// Something was committed, or there was nothing to commit.
    pub const fn on_progress(&mut self, now: Instant) {
        self.since = now;
    }

    /// When it ends if nothing happens.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.since + self.commit
    }
}
