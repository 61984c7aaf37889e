//! Decides which failures to log: each kind once, then rarely while nothing succeeds. After a success
//! the next failure is logged again.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time after which a continuing failure is logged again: often enough to find it in a day's log,
/// without flooding it.
const AGAIN: Duration = Duration::from_secs(3600);

/// Number of kinds kept apart. Peers choose some of them. Further ones are not logged, which bounds the
/// log per [`AGAIN`].
const KINDS: usize = 256;

/// Failures, by kind, of one operation retried repeatedly, or of many such operations.
#[derive(Debug, Clone)]
pub struct Failures<K>(Vec<Known<K>>);

#[derive(Debug, Clone)]
struct Known<K> {
    kind: K,
    told: Instant,
    untold: u64,
}

/// A failure to log. Its text, appended to a message, gives the number of failures not logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tell {
    /// Number of failures since the last logged one.
    pub untold: u64,
}

impl fmt::Display for Tell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.untold {
            0 => Ok(()),
            untold => write!(f, "; {untold} more times since the last message"),
        }
    }
}

impl<K> Default for Failures<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> Failures<K> {
    /// Nothing has failed yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// It works. True if it had failed before, which is worth logging.
    pub fn succeeded(&mut self) -> bool {
        self.succeeded_for(|_| true)
    }

    /// Kinds selected by `which` work again.
    pub fn succeeded_for(&mut self, which: impl Fn(&K) -> bool) -> bool {
        let before = self.0.len();
        self.0.retain(|known| !which(&known.kind));
        self.0.len() < before
    }
}

impl<K: PartialEq> Failures<K> {
    /// Records a failure; returns a value if it should be logged.
    pub fn failed(&mut self, kind: K, now: Instant) -> Option<Tell> {
        let due = |known: &Known<K>| now.saturating_duration_since(known.told) >= AGAIN;
        match self.0.iter_mut().find(|known| known.kind == kind) {
            Some(known) if due(known) => {
                known.told = now;
                return Some(Tell { untold: std::mem::take(&mut known.untold) });
            }
            Some(known) => {
                known.untold += 1;
                return None;
            }
            None => {}
        }
        if self.0.len() == KINDS {
            let old = self.0.iter().position(due)?;
            self.0.swap_remove(old);
        }
        self.0.push(Known { kind, told: now, untold: 0 });
        Some(Tell { untold: 0 })
    }
}

/// [`Failures`] that all threads of a program share, for a `static`.
#[derive(Debug)]
pub struct SharedFailures<K>(Mutex<Failures<K>>);

impl<K: PartialEq> SharedFailures<K> {
    /// Nothing has failed yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a static is made by a constant function")]
    pub const fn new() -> Self {
        Self(Mutex::new(Failures::new()))
    }

    /// As [`Failures::failed`].
    pub fn failed(&self, kind: K, now: Instant) -> Option<Tell> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).failed(kind, now)
    }

    /// As [`Failures::succeeded_for`].
    pub fn succeeded_for(&self, which: impl Fn(&K) -> bool) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).succeeded_for(which)
    }
}

/// The kind of a failure known only as text: its words, without numbers, times and addresses.
#[must_use]
pub fn words(text: &str) -> String {
    let name =
        |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '+' | '[' | ']');
    let mut words = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = rest.find(|c| !name(c)).unwrap_or(rest.len()).max(first.len_utf8());
        let (word, after) = rest.split_at(len);
        words += if word.contains(|c: char| c.is_ascii_digit()) { "#" } else { word };
        rest = after;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_once_then_hourly_with_the_times_it_was_not() {
        let mut failures = Failures::new();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(failures.failed("refused", at(0)), Some(Tell { untold: 0 }));
        let told: Vec<_> = (1..7300)
            .filter_map(|second| Some((second, failures.failed("refused", at(second))?.untold)))
            .collect();
        assert_eq!(told, [(3600, 3599), (7200, 3599)]);
        assert_eq!(Tell { untold: 0 }.to_string(), "");
        assert_eq!(Tell { untold: 9 }.to_string(), "; 9 more times since the last message");
    }

    #[test]
    fn of_kinds_that_alternate_each_is_told_once() {
        let mut failures = Failures::new();
        let now = Instant::now();
        let kinds = ["no answer", "refused"].repeat(50);
        assert_eq!(kinds.iter().filter_map(|kind| failures.failed(*kind, now)).count(), 2);
    }

    #[test]
    fn the_first_failure_after_a_success_is_told_again() {
        let mut failures = Failures::new();
        let now = Instant::now();
        assert!(!failures.succeeded());
        assert_eq!(failures.failed("refused", now), Some(Tell { untold: 0 }));
        assert!(failures.succeeded() && !failures.succeeded());
        assert_eq!(failures.failed("refused", now), Some(Tell { untold: 0 }));
    }

    #[test]
    fn kinds_without_end_take_neither_memory_nor_log_without_end() {
        let mut failures = Failures::new();
        let start = Instant::now();
        let told = |failures: &mut Failures<usize>, from: usize, now| {
            (from..from + 1000).filter_map(|kind| failures.failed(kind, now)).count()
        };
        assert_eq!(told(&mut failures, 0, start), KINDS);
        assert_eq!(told(&mut failures, 1000, start), 0);
        assert_eq!(told(&mut failures, 2000, start + AGAIN), KINDS);
        assert_eq!(failures.0.len(), KINDS);
    }

    #[test]
    fn a_success_of_one_leaves_what_was_told_of_others() {
        let mut failures = Failures::new();
        let now = Instant::now();
        for client in ["web-1", "web-2"] {
            assert!(failures.failed((client, "revoked"), now).is_some());
        }
        assert!(failures.succeeded_for(|(client, _)| *client == "web-1"));
        assert!(failures.failed(("web-1", "revoked"), now).is_some());
        assert!(failures.failed(("web-2", "revoked"), now).is_none());
    }

    #[test]
    fn texts_that_differ_in_figures_are_of_one_kind() {
        let same = [
            "web-1 (10.0.0.1:8082): not valid after 1764107133 (2 s ago), session 00ff3a",
            "web-2 ([fe80::1]:8082): not valid after 1764107140 (9 s ago), session ffff3b",
        ];
        assert_eq!(words(same[0]), words(same[1]));
        assert_ne!(words("the collector doesn't answer"), words("the collector was restarted"));
        assert_eq!(words("nombre – 网卡"), "nombre – 网卡");
    }
}
