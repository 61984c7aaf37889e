//! When to try the next connection.

use std::time::Duration;

/// First wait after a failure.
const FIRST: Duration = Duration::from_millis(250);

/// Exponential back-off with jitter: `max_retry` quick tries, then one every `retry_interval`,
/// for ever.
#[derive(Debug, Clone)]
pub struct Backoff {
    max_retry: u32,
    retry_interval: Duration,
    failures: u32,
}

impl Backoff {
    /// Starts without a failure.
    #[must_use]
    pub const fn new(max_retry: u32, retry_interval: Duration) -> Self {
        Self { max_retry, retry_interval, failures: 0 }
    }

    /// A connection was accepted: start again with the shortest wait.
    pub const fn on_success(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after one more failure. `random` spreads agents that failed at once:
    /// between half of the wait and all of it.
    pub fn on_failure(&mut self, random: u64) -> Duration {
        let quick = self.failures < self.max_retry;
        let wait = if quick {
            FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(self.retry_interval)
        } else {
            self.retry_interval
        };
        self.failures = self.failures.saturating_add(1);
        let half = wait / 2;
        let half_ns = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        half + Duration::from_nanos(random % half_ns.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_tries_double_and_then_the_interval_stays() {
        let mut backoff = Backoff::new(3, Duration::from_secs(5));
        let waits: Vec<u128> = (0..6).map(|_| backoff.on_failure(0).as_millis()).collect();
        assert_eq!(waits, [125, 250, 500, 2500, 2500, 2500]);
        backoff.on_success();
        assert_eq!(backoff.on_failure(0).as_millis(), 125);
    }

    #[test]
    fn jitter_stays_between_half_and_all_of_the_wait() {
        for random in [0, 1, u64::MAX / 3, u64::MAX] {
            let wait = Backoff::new(0, Duration::from_secs(4)).on_failure(random);
            assert!((2000..4000).contains(&wait.as_millis()), "{wait:?}");
        }
    }

    #[test]
    fn any_number_of_failures_is_survived() {
        let mut backoff = Backoff::new(u32::MAX, Duration::from_secs(5));
        backoff.failures = 1000;
        assert!(backoff.on_failure(7) <= Duration::from_secs(5));
    }
}
