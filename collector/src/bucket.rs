//! A rate limit: a token bucket that takes time as an argument.

use std::time::Duration;

/// A token bucket: an amount per period, which may be used at once after a pause. A caller may take
/// more than is there and must then wait.
///
/// Times are durations since any fixed moment.
#[derive(Debug, Clone)]
pub struct Bucket {
    limit: u64,
    period: Duration,
    /// When the bucket is full again.
    full: Duration,
}

impl Bucket {
    /// A full bucket: `limit` in each `period`.
    #[must_use]
    pub const fn new(limit: u64, period: Duration) -> Self {
        Self { limit, period, full: Duration::ZERO }
    }

    /// Takes an amount, even more than is there.
    pub fn take(&mut self, count: u64, now: Duration) {
        let ns = self.period.as_nanos().saturating_mul(u128::from(count));
        let ns = ns.div_ceil(u128::from(self.limit.max(1)));
        let took = Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX));
        self.full = self.full.max(now).saturating_add(took);
    }

    /// How long to wait until the excess is paid back.
    #[must_use]
    pub fn wait(&self, now: Duration) -> Duration {
        self.full.saturating_sub(now).saturating_sub(self.period)
    }

    /// How long to wait for an amount.
    #[must_use]
    pub fn wait_for(&self, count: u64, now: Duration) -> Duration {
        let mut after = self.clone();
        after.take(count, now);
        after.wait(now)
    }

    /// True if it is full.
    #[must_use]
    pub fn is_full(&self, now: Duration) -> bool {
        self.full <= now
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PERIOD: Duration = Duration::from_secs(1);

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn what_was_not_used_may_be_taken_at_once_and_more_is_waited_for() {
        let mut bucket = Bucket::new(100, PERIOD);
        bucket.take(100, at(5000));
        assert_eq!((bucket.wait(at(5000)), bucket.is_full(at(5999))), (Duration::ZERO, false));
        bucket.take(50, at(5000));
        assert_eq!((bucket.wait(at(5000)), bucket.wait(at(5400))), (at(500), at(100)));
        assert!(bucket.is_full(at(6500)));
        assert_eq!(bucket.wait_for(60, at(6000)), at(100));
        assert_eq!((bucket.wait_for(50, at(6000)), bucket.wait_for(100, at(9000))), (at(0), at(0)));
    }

    proptest! {
        #[test]
        fn who_waits_takes_no_more_than_the_limit_in_any_time(
            limit in 1_u64..1000,
            steps in prop::collection::vec((0_u64..50, 0_u64..300), 1..200),
        ) {
            let mut bucket = Bucket::new(limit, PERIOD);
            let (mut now, mut taken, mut largest) = (Duration::ZERO, 0, 0);
            for (count, pause) in steps {
                now += at(pause);
                now += bucket.wait(now);
                bucket.take(count, now);
                taken += count;
                largest = largest.max(count);
                let allowed = u128::from(limit) * (PERIOD + now).as_nanos() / PERIOD.as_nanos();
                prop_assert!(u128::from(taken) <= allowed + u128::from(largest));
            }
        }

        #[test]
        fn who_stays_below_the_limit_never_waits(
            limit in 10_u64..1000,
            starts in 0_u64..1_000_000,
        ) {
            let mut bucket = Bucket::new(limit, PERIOD);
            for n in 0..100 {
                let now = at(starts + n * 100);
                prop_assert_eq!(bucket.wait(now), Duration::ZERO);
                bucket.take(limit / 10, now);
            }
        }
    }
}
