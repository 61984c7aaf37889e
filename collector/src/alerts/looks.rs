//! When a collector looks at what others wrote about alerts, and since when that works.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use settings::{Failures, words};

use crate::time::boot;

/// Interval between looks at what other collectors and operators wrote; and while there are no rules.
pub(super) const SYNC: Duration = Duration::from_secs(2);
pub(super) const IDLE: Duration = Duration::from_secs(60);

/// What happens between calls of the store.
pub(super) struct Looks {
    pub begin: Duration,
    pub looked: Duration,
    pub confirmed: Duration,
    /// Since when the store has taken each confirmation; `None` since one failed.
    pub confirming_since: Option<Duration>,
    pub failures: Failures<String>,
    /// Rules that have a gauge.
    pub shown: BTreeSet<String>,
}

impl Looks {
    pub fn new(begin: Duration) -> Self {
        Self {
            begin,
            looked: Duration::ZERO,
            confirmed: Duration::ZERO,
            confirming_since: None,
            failures: Failures::new(),
            shown: BTreeSet::new(),
        }
    }

    /// Until it is time for the next, or to see whether there are rules now.
    pub fn wait(&self) -> Duration {
        let waited = boot().saturating_sub(self.looked);
        SYNC.checked_sub(waited).unwrap_or(SYNC)
    }

    pub fn on_failed(&mut self, error: &str) {
        self.confirming_since = None;
        if let Some(tell) = self.failures.failed(words(error), Instant::now()) {
            tracing::warn!(error, "silences and alerts of other collectors are not known{tell}");
        }
    }
}
