//! Whether a connected agent may stay: until its client is revoked or its certificate expires.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::UnixTime;
use tokio::sync::watch;
use tokio::time::{Sleep, sleep};
use wire::certificate::{Validity, utc};

use super::own::Identity;
use super::peer::{Agent, PeerError};
use crate::time::boot;

/// Longest time between checks of the clocks.
const LOOK: Duration = Duration::from_secs(10);

/// How long the wall clock must show a certificate as expired if the boot clock says that this is too
/// early, as after a step.
const PERSISTED: Duration = Duration::from_secs(600);

/// The conditions that allow an agent's connection.
#[derive(Debug)]
pub struct Standing {
    identity: Arc<Identity>,
    agent: Agent,
    end: Ending,
    news: watch::Receiver<()>,
    /// Until the next check.
    look: Pin<Box<Sleep>>,
}

impl Standing {
    /// The standing of an agent just admitted.
    #[must_use]
    pub fn new(identity: Arc<Identity>, agent: Agent) -> Self {
        let end = Ending::new(agent.validity, UnixTime::now(), boot());
        let news = identity.revocation_news();
        Self { identity, agent, end, news, look: Box::pin(sleep(Duration::ZERO)) }
    }

    /// The agent got its next certificate over this connection, which uses it from now on.
    pub fn renew(&mut self, agent: Agent) {
        self.end = Ending::new(agent.validity, UnixTime::now(), boot());
        self.agent = agent;
        self.look.as_mut().reset(tokio::time::Instant::now());
    }

    /// The agent according to its newest certificate.
    #[must_use]
    pub const fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Waits until the agent must leave; returns the reason to send. Dropping and repeating the future
    /// misses nothing.
    pub async fn lost(&mut self) -> PeerError {
        loop {
            tokio::select! {
                // Never closes, because the identity owned here holds the sender.
                _ = self.news.changed() => {}
                () = self.look.as_mut() => {}
            }
            let (now, boot) = (UnixTime::now(), boot());
            if self.identity.is_revoked(&self.agent, Instant::now()) {
                return PeerError::Revoked(self.agent.client.clone());
            }
            if self.end.has_come(now, boot) {
                let (ended, now) = (utc(self.agent.validity.not_after), utc(now));
                return PeerError::Ended { ended, now };
            }
            let next = tokio::time::Instant::now() + self.end.look_in(boot);
            self.look.as_mut().reset(next);
        }
    }
}

/// Decides when a certificate has expired, although the wall clock may be stepped. The wall clock must
/// say so, and either the remaining time has really passed or the wall clock has said so for ten
/// minutes.
#[derive(Debug)]
struct Ending {
    validity: Validity,
    /// Boot time at which the remaining time will have passed.
    expected: Duration,
    /// Boot time at which the wall clock began to show it as expired.
    said: Option<Duration>,
}

impl Ending {
    fn new(validity: Validity, now: UnixTime, boot: Duration) -> Self {
        // Includes its last second.
        let left = (validity.not_after.as_secs() + 1).saturating_sub(now.as_secs());
        Self { validity, expected: boot.saturating_add(Duration::from_secs(left)), said: None }
    }

    fn has_come(&mut self, now: UnixTime, boot: Duration) -> bool {
        if !self.validity.is_over(now) {
            self.said = None;
            return false;
        }
        let said = *self.said.get_or_insert(boot);
        boot >= self.expected || boot.saturating_sub(said) >= PERSISTED
    }

    /// How long until the next check.
    fn look_in(&self, boot: Duration) -> Duration {
        // Within this time every wall clock advances past the second.
        const SHORTLY: Duration = Duration::from_millis(200);
        self.expected.saturating_sub(boot).clamp(SHORTLY, LOOK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A certificate that expires with second 10,000; admitted at 9,000, one second after boot.
    fn ending() -> Ending {
        Ending::new(Validity { not_before: at(0), not_after: at(10_000) }, at(9_000), secs(1))
    }

    #[test]
    fn it_comes_with_the_last_second_and_is_looked_for_then() {
        let mut end = ending();
        assert!(!end.has_come(at(10_000), secs(1_001)));
        assert!(end.has_come(at(10_001), secs(1_002)));
        assert_eq!(end.look_in(secs(1)), LOOK);
        assert_eq!(end.look_in(secs(1_000)), secs(2));
        assert!(end.look_in(secs(5_000)) > Duration::ZERO);
    }

    #[test]
    fn a_wall_clock_that_is_ahead_for_a_while_ends_nothing() {
        let mut end = ending();
        assert!(!end.has_come(at(5_000_000), secs(100)));
        assert!(!end.has_come(at(5_000_300), secs(400)));
        assert!(!end.has_come(at(9_450), secs(450)), "it is right again");
        assert!(!end.has_come(at(5_000_900), secs(900)));
    }

    #[test]
    fn a_wall_clock_that_was_set_right_is_followed_in_ten_minutes() {
        let mut end = ending();
        assert!(!end.has_come(at(20_000), secs(50)));
        assert!(!end.has_come(at(20_599), secs(649)));
        assert!(end.has_come(at(20_600), secs(650)));
    }

    #[test]
    fn a_wall_clock_that_was_set_back_keeps_it_until_it_says_so_itself() {
        let mut end = ending();
        assert!(!end.has_come(at(3_000), secs(2_000)));
        assert!(end.has_come(at(10_001), secs(9_000)));
    }
}
