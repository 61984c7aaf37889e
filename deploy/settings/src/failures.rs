//! Which failures are told: each kind once, then rarely as long as nothing succeeds. What was told
//! before a success is told again after it.

use std::time::{Duration, Instant};

/// Time after which a failure that goes on is told again: a log of a day still shows it, without
/// being full of it.
const AGAIN: Duration = Duration::from_secs(3600);

/// Kinds that are told apart. Past that the one told longest ago is forgotten, and so told again:
/// peers choose some of them.
const KINDS: usize = 64;

/// The failures of one thing that is tried again and again, by their kinds.
#[derive(Debug, Clone)]
pub struct Failures<K> {
    /// In the order in which they were told.
    told: Vec<Told<K>>,
}

#[derive(Debug, Clone)]
struct Told<K> {
    kind: K,
    at: Instant,
    untold: u64,
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
        Self { told: Vec::new() }
    }

    /// It works. True if it did not before: worth a word.
    pub fn succeeded(&mut self) -> bool {
        let failing = !self.told.is_empty();
        self.told.clear();
        failing
    }
}

impl<K: PartialEq> Failures<K> {
    /// Something failed. If that is to be told: how often it failed in the same way since it was
    /// told last.
    pub fn failed(&mut self, kind: K, now: Instant) -> Option<u64> {
        let known = self.told.iter().position(|told| told.kind == kind);
        if let Some(told) = known.map(|at| &mut self.told[at])
            && now.saturating_duration_since(told.at) < AGAIN
        {
            told.untold += 1;
            return None;
        }
        let untold = known.map_or(0, |at| self.told.remove(at).untold);
        if self.told.len() == KINDS {
            self.told.remove(0);
        }
        self.told.push(Told { kind, at: now, untold: 0 });
        Some(untold)
    }
}

/// The kind of a failure of which only a text is known: its words, without figures, times,
/// addresses and numbers of any sort.
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
        assert_eq!(failures.failed("refused", at(0)), Some(0));
        let told: Vec<_> = (1..7300)
            .filter_map(|second| Some((second, failures.failed("refused", at(second))?)))
            .collect();
        assert_eq!(told, [(3600, 3599), (7200, 3599)]);
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
        assert_eq!(failures.failed("refused", now), Some(0));
        assert!(failures.succeeded() && !failures.succeeded());
        assert_eq!(failures.failed("refused", now), Some(0));
    }

    #[test]
    fn kinds_without_end_take_no_memory_without_end() {
        let mut failures = Failures::new();
        let now = Instant::now();
        (0..1000).for_each(|kind| assert_eq!(failures.failed(kind, now), Some(0)));
        assert_eq!(failures.told.len(), KINDS);
        assert_eq!(failures.failed(999, now), None);
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
