//! Tracks what a connection is waiting for, and since when.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::limits::WebLimits;

/// What a connection is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    /// The TLS handshake, or the rest of a request's head.
    Head,
    /// The body of a request.
    Body,
    /// The next request.
    Request,
    /// Nothing: it is the collector's turn to answer.
    Nothing,
}

/// State of a connection. Times are from a monotonic clock.
#[derive(Debug)]
pub(super) struct Activity(Mutex<State>);

#[derive(Debug, Clone, Copy)]
struct State {
    waits_for: For,
    since: Duration,
    /// When written data began to wait for sending.
    untaken: Option<Duration>,
}

impl Activity {
    /// A connection just accepted.
    pub const fn accepted(now: Duration) -> Self {
        Self(Mutex::new(State { waits_for: For::Head, since: now, untaken: None }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, waits_for: For, now: Duration) {
        let mut state = self.state();
        (state.waits_for, state.since) = (waits_for, now);
    }

    /// Data was read.
    pub fn on_read(&self, now: Duration) {
        let mut state = self.state();
        if state.waits_for == For::Request {
            (state.waits_for, state.since) = (For::Head, now);
        }
    }

    /// A request has arrived. If `body` is true, its body follows.
    pub fn on_request(&self, body: bool, now: Duration) {
        self.set(if body { For::Body } else { For::Nothing }, now);
    }

    /// The body has arrived, or the answer doesn't need it.
    pub fn on_body(&self, now: Duration) {
        let mut state = self.state();
        if state.waits_for == For::Body {
            (state.waits_for, state.since) = (For::Nothing, now);
        }
    }

    /// The answer is complete.
    pub fn on_answer(&self, now: Duration) {
        self.set(For::Request, now);
    }

    /// Written data was sent, or has to wait.
    pub fn on_write(&self, taken: bool, now: Duration) {
        let mut state = self.state();
        state.untaken = if taken { None } else { state.untaken.or(Some(now)) };
    }

    /// When it began to wait for its client, if it is waiting.
    pub fn waits_since(&self) -> Option<Duration> {
        let State { waits_for, since, untaken } = *self.state();
        let waits = (waits_for != For::Nothing).then_some(since);
        [waits, untaken].into_iter().flatten().min()
    }

    /// The exceeded time limit, if any.
    pub fn overdue(&self, limits: &WebLimits, now: Duration) -> Option<&'static str> {
        let State { waits_for, since, untaken } = *self.state();
        let (limit, name) = match waits_for {
            For::Head => (limits.header_time, "header_time"),
            For::Body => (limits.body_time, "body_time"),
            For::Request => (limits.idle_time, "idle_time"),
            For::Nothing => (Duration::MAX, ""),
        };
        let unsent = untaken.is_some_and(|since| now.saturating_sub(since) > limits.send_time);
        if unsent {
            return Some("send_time");
        }
        (now.saturating_sub(since) > limit).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn each_part_of_a_request_has_its_time_however_it_trickles() {
        let (limits, activity) = (WebLimits::default(), Activity::accepted(at(0)));
        let overdue = |seconds| activity.overdue(&limits, at(seconds));
        activity.on_read(at(9));
        assert_eq!((overdue(10), overdue(11)), (None, Some("header_time")));
        activity.on_request(true, at(10));
        assert_eq!((overdue(20), overdue(21)), (None, Some("body_time")));
        activity.on_body(at(20));
        assert_eq!((overdue(9999), activity.waits_since()), (None, None));
        activity.on_answer(at(30));
        assert_eq!((overdue(105), overdue(106)), (None, Some("idle_time")));
        activity.on_read(at(100));
        assert_eq!((overdue(110), overdue(111)), (None, Some("header_time")));
        activity.on_request(false, at(110));
        activity.on_body(at(111));
        assert_eq!(activity.waits_since(), None);
    }

    #[test]
    fn what_is_written_must_be_taken_whole_in_time() {
        let (limits, activity) = (WebLimits::default(), Activity::accepted(at(0)));
        activity.on_request(false, at(0));
        activity.on_write(false, at(5));
        activity.on_write(false, at(30));
        assert_eq!(activity.waits_since(), Some(at(5)));
        assert_eq!(activity.overdue(&limits, at(35)), None);
        assert_eq!(activity.overdue(&limits, at(36)), Some("send_time"));
        activity.on_write(true, at(36));
        assert_eq!((activity.overdue(&limits, at(99)), activity.waits_since()), (None, None));
    }
}
