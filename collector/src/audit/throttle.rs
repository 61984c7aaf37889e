//! Which of the events that anybody can cause are logged: some a minute of each kind.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Event;

/// Lines of one kind in the time of [`SPAN`]: enough to see who tries what, and in a day no more
/// than some 20 MB of log.
const LINES: u32 = 60;

/// For this long.
const SPAN: Duration = Duration::from_secs(60);

/// What was logged of each kind of event.
#[derive(Debug)]
pub(super) struct Throttle(Mutex<Vec<(Event, Budget)>>);

/// What may be logged of one kind.
#[derive(Debug, Clone, Copy)]
struct Budget {
    since: Instant,
    lines: u32,
    untold: u64,
}

impl Budget {
    const fn new(now: Instant) -> Self {
        Self { since: now, lines: 0, untold: 0 }
    }

    /// Whether one more is logged, and how many before it were not.
    fn pass(&mut self, now: Instant) -> Option<u64> {
        if now.saturating_duration_since(self.since) >= SPAN {
            (self.since, self.lines) = (now, 0);
        }
        if self.lines == LINES {
            self.untold += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.untold))
    }
}

impl Throttle {
    /// Nothing was logged yet.
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Whether an event is logged, and how many of its kind before it were not.
    pub(super) fn pass(&self, event: Event, now: Instant) -> Option<u64> {
        let mut budgets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match budgets.iter_mut().find(|(known, _)| *known == event) {
            Some((_, budget)) => budget.pass(now),
            None => {
                let mut budget = Budget::new(now);
                let passed = budget.pass(now);
                budgets.push((event, budget));
                passed
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_kind_is_cut_and_counted_and_leaves_the_others_their_lines() {
        let (throttle, start) = (Throttle::new(), Instant::now());
        let flood = |from: Duration| {
            (0..10_000).filter_map(|_| throttle.pass(Event::SignInFailed, start + from)).count()
        };
        assert_eq!(flood(Duration::ZERO), 60);
        assert_eq!(throttle.pass(Event::EnrolmentRefused, start), Some(0));
        assert_eq!(throttle.pass(Event::SignInFailed, start + SPAN), Some(9_940));
        assert_eq!(flood(SPAN), 59);
    }
}
