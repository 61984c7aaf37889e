//! When a collector looks at what others wrote about alerts, and since when that works. Takes times.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use settings::{Failures, words};

/// Interval between looks at what other collectors and operators wrote; and while there is nothing to see.
pub(super) const SYNC: Duration = Duration::from_secs(2);
const IDLE: Duration = Duration::from_secs(60);

/// How many confirmations in a row must have been possible before an incident ends that nobody confirmed: after
/// a start or an outage of the store, other collectors must be able to confirm theirs first.
const SETTLED: u32 = 5;

/// What happens between calls of the store. Times are of the boot clock.
pub(super) struct Looks {
    /// Interval in which a collector says which incidents it stands behind.
    confirm: Duration,
    looked: Option<Duration>,
    confirmed: Option<Duration>,
    /// Since when the store has taken each confirmation; `None` since one failed.
    confirming_since: Option<Duration>,
    /// Something fires, or a message waits.
    busy: bool,
    failures: Failures<String>,
    /// Rules that have a gauge.
    pub shown: BTreeSet<String>,
}

/// A look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// With a confirmation.
    pub confirms: bool,
}

impl Looks {
    pub fn new(confirm: Duration) -> Self {
        Self {
            confirm,
            looked: None,
            confirmed: None,
            confirming_since: None,
            busy: true,
            failures: Failures::new(),
            shown: BTreeSet::new(),
        }
    }

    /// Until it is time for the next, or to see whether there are rules now.
    pub fn wait(&self, now: Duration) -> Duration {
        let waited = self.looked.map_or(SYNC, |looked| now.saturating_sub(looked));
        SYNC.checked_sub(waited).unwrap_or(SYNC)
    }

    /// Begins a look, if it is time for one. `rules`: there are some.
    pub fn begin(&mut self, now: Duration, rules: bool) -> Option<Look> {
        let every = if rules || self.busy { SYNC } else { IDLE };
        let over = |last: Option<Duration>, every| {
            last.is_none_or(|last| now.saturating_sub(last) >= every)
        };
        if !over(self.looked, every) {
            return None;
        }
        self.looked = Some(now);
        let confirms = over(self.confirmed, self.confirm);
        if confirms {
            self.confirmed = Some(now);
        }
        Some(Look { confirms })
    }

    /// Takes that a look worked.
    pub fn on_seen(&mut self, busy: bool) {
        self.busy = busy;
        if self.failures.succeeded() {
            tracing::info!("the store tells of alerts again");
        }
    }

    /// Takes that a confirmation worked. True if what nobody has confirmed is told by now.
    pub fn on_confirmed(&mut self, now: Duration) -> bool {
        let since = *self.confirming_since.get_or_insert(now);
        now.saturating_sub(since) >= self.confirm * SETTLED
    }

    pub fn on_failed(&mut self, error: &str, now: Instant) {
        self.confirming_since = None;
        if let Some(tell) = self.failures.failed(words(error), now) {
            tracing::warn!(error, "silences and alerts of other collectors are not known{tell}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIRM: Duration = Duration::from_secs(30);

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn without_rules_it_looks_seldom_unless_something_fires_or_waits() {
        let mut looks = Looks::new(CONFIRM);
        assert_eq!(looks.begin(s(100), false), Some(Look { confirms: true }));
        assert_eq!((looks.begin(s(101), false), looks.wait(s(101))), (None, s(1)));
        looks.on_seen(true);
        assert_eq!(looks.begin(s(102), false), Some(Look { confirms: false }));
        looks.on_seen(false);
        assert_eq!(looks.begin(s(161), false), None);
        assert_eq!(looks.wait(s(161)), SYNC, "to see whether there are rules now");
        assert_eq!(looks.begin(s(161), true), Some(Look { confirms: true }));
        assert_eq!(looks.begin(s(221), false), Some(Look { confirms: true }));
    }

    #[test]
    fn after_a_start_and_an_outage_others_can_confirm_first() {
        let mut looks = Looks::new(CONFIRM);
        assert!(!looks.on_confirmed(s(0)) && !looks.on_confirmed(s(149)));
        assert!(looks.on_confirmed(s(150)));
        looks.on_failed("away", Instant::now());
        assert!(!looks.on_confirmed(s(200)) && looks.on_confirmed(s(350)));
    }
}
