//! Talkers that wait for their owners, in order. No report of samples waits for them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use wire::talkers::TalkerOwner;

use super::fill;
use crate::talkers::TalkersReport;

/// How long talkers wait for their owners: sockets are looked for within 150 ms and settle in 500.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Talkers that wait.
#[derive(Debug, Default)]
pub struct WaitingTalkers {
    /// In the order of their numbers.
    waiting: VecDeque<Waiting>,
    /// Of the next ones.
    next: u64,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    until: Instant,
    reports: Vec<TalkersReport>,
}

impl WaitingTalkers {
    /// Lets talkers wait for the answer with this number.
    pub fn put(&mut self, reports: Vec<TalkersReport>, now: Instant) -> u64 {
        let number = self.next;
        self.next += 1;
        self.waiting.push_back(Waiting { number, until: now + PATIENCE, reports });
        number
    }

    /// Fills in owners and lets the talkers go. An answer that comes too late changes nothing.
    pub fn answered(&mut self, number: u64, owners: Vec<Option<TalkerOwner>>, now: Instant) {
        if let Some(waiting) = self.waiting.iter_mut().find(|it| it.number == number) {
            fill::fill(&mut waiting.reports, owners);
            waiting.until = now;
        }
    }

    /// The talkers that need not wait any longer, and for which no earlier ones wait.
    pub fn ready(&mut self, now: Instant) -> Vec<TalkersReport> {
        let mut ready = Vec::new();
        while self.waiting.front().is_some_and(|it| it.until <= now) {
            ready.extend(self.waiting.pop_front().into_iter().flat_map(|it| it.reports));
        }
        ready
    }

    /// When the next ones are ready at the latest.
    #[must_use]
    pub fn until(&self) -> Option<Instant> {
        self.waiting.front().map(|it| it.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talkers(start_ns: u64) -> Vec<TalkersReport> {
        let mut report = TalkersReport::default();
        report.record.start_ns = wire::WallNs(start_ns);
        vec![report]
    }

    fn starts(reports: &[TalkersReport]) -> Vec<u64> {
        reports.iter().map(|it| it.record.start_ns.get()).collect()
    }

    #[test]
    fn talkers_go_in_order_once_they_are_answered_or_their_time_is_over() {
        let now = Instant::now();
        let mut queue = WaitingTalkers::default();
        let [first, second, _third] = [1, 2, 3].map(|n| queue.put(talkers(n), now));
        assert_eq!(queue.until(), Some(now + PATIENCE));
        queue.answered(second, Vec::new(), now);
        assert!(queue.ready(now).is_empty(), "the first still waits");
        queue.answered(first, Vec::new(), now);
        assert_eq!(starts(&queue.ready(now)), [1, 2]);
        queue.answered(first, Vec::new(), now);
        assert!(queue.ready(now).is_empty());
        assert_eq!(starts(&queue.ready(now + PATIENCE)), [3], "nobody answered");
        assert_eq!(queue.until(), None);
    }
}
