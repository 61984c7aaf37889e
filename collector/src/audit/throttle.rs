//! Limits how many refusals are logged, per minute and kind.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::record::AuditEvent;
use crate::bucket::Bucket;

/// Lines of one kind per [`SPAN`]: enough to see who tries what, and at most some 20 MB of log a day.
const LINES: u64 = 60;

/// The period of the limit.
const SPAN: Duration = Duration::from_secs(60);

/// Lines logged of each kind of event.
#[derive(Debug)]
pub(super) struct AuditThrottle(Mutex<Vec<Logged>>);

/// Lines logged of one kind.
#[derive(Debug)]
struct Logged {
    event: AuditEvent,
    lines: Bucket,
    untold: u64,
}

impl Logged {
    /// Whether to log another event, with the number left out before.
    fn pass(&mut self, now: Duration) -> Option<u64> {
        if !self.lines.wait_for(1, now).is_zero() {
            self.untold += 1;
            return None;
        }
        self.lines.take(1, now);
        Some(std::mem::take(&mut self.untold))
    }
}

impl AuditThrottle {
    /// Nothing was logged yet.
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Whether to log an event, with the number of its kind left out before. The time is from a
    /// monotonic clock.
    pub(super) fn pass(&self, event: AuditEvent, now: Duration) -> Option<u64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(logged) = all.iter_mut().find(|logged| logged.event == event) {
            return logged.pass(now);
        }
        let mut logged = Logged { event, lines: Bucket::new(LINES, SPAN), untold: 0 };
        let passed = logged.pass(now);
        all.push(logged);
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_kind_is_cut_and_counted_and_leaves_the_others_their_lines() {
        let (throttle, start) = (AuditThrottle::new(), Duration::from_secs(1000));
        let flood = |from: Duration| {
            (0..10_000)
                .filter_map(|_| throttle.pass(AuditEvent::SignInFailed, start + from))
                .count()
        };
        assert_eq!(flood(Duration::ZERO), 60);
        assert_eq!(throttle.pass(AuditEvent::EnrolmentRefused, start), Some(0));
        assert_eq!(throttle.pass(AuditEvent::SignInFailed, start + SPAN), Some(9_940));
        assert_eq!(flood(SPAN), 59);
    }
}
