//! The 95th percentile as transit billing takes it.

use super::facts::FIVE_MINUTES_NS;
use super::query::NicRange;

/// The rate of which 95 % of the measured 5-minute intervals stay at or below: their mean rates
/// are sorted, the highest 5 % dropped (rounded down), and the next one is the value.
///
/// Only intervals that lie in the range whole are taken. An interval's rate is its bytes over the
/// time that was measured of it. An interval of which nothing was measured counts neither as zero
/// nor as anything else: it is missing, and the number of those is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Percentile {
    /// Start of the first interval, nanoseconds since 1970 (UTC).
    pub from_ns: u64,
    /// End of the last interval, nanoseconds since 1970 (UTC).
    pub to_ns: u64,
    /// Intervals in the range.
    pub intervals: u64,
    /// Of these, intervals of which something was measured.
    pub measured: u64,
    /// Received, bit/s. `None` if nothing was measured.
    pub rx_bits_per_second: Option<u64>,
    /// Transmitted, bit/s. `None` if nothing was measured.
    pub tx_bits_per_second: Option<u64>,
}

/// One row of `bandwidth_5m`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interval {
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub covered_ns: u64,
}

impl Percentile {
    /// The larger of both directions, bit/s: what is billed where the larger one counts.
    #[must_use]
    pub fn max_bits_per_second(&self) -> Option<u64> {
        self.rx_bits_per_second.max(self.tx_bits_per_second)
    }

    /// Nothing measured yet of the intervals that lie in `range` whole.
    pub(super) fn of_nothing(range: &NicRange) -> Self {
        let from_ns = range.from_ns.div_ceil(FIVE_MINUTES_NS).saturating_mul(FIVE_MINUTES_NS);
        let to_ns = (range.to_ns / FIVE_MINUTES_NS * FIVE_MINUTES_NS).max(from_ns);
        let intervals = (to_ns - from_ns) / FIVE_MINUTES_NS;
        Self { from_ns, to_ns, intervals, ..Self::default() }
    }

    /// With what was measured, in any order.
    pub(super) fn with(self, intervals: &[Interval]) -> Self {
        let measured = intervals.iter().filter(|interval| interval.covered_ns > 0);
        let rates = |bytes: fn(&Interval) -> u64| {
            measured.clone().map(|it| bits_per_second(bytes(it), it.covered_ns)).collect()
        };
        Self {
            measured: measured.clone().count() as u64,
            rx_bits_per_second: percentile_95(rates(|it| it.rx_bytes)),
            tx_bits_per_second: percentile_95(rates(|it| it.tx_bytes)),
            ..self
        }
    }
}

fn percentile_95(mut rates: Vec<u64>) -> Option<u64> {
    let place = rates.len().checked_sub(1 + rates.len() / 20)?;
    let (_, value, _) = rates.select_nth_unstable(place);
    Some(*value)
}

/// Mean rate, rounded to whole bits.
fn bits_per_second(bytes: u64, covered_ns: u64) -> u64 {
    let covered_ns = u128::from(covered_ns.max(1));
    let bits = u128::from(bytes) * 8_000_000_000;
    u64::try_from((bits + covered_ns / 2) / covered_ns).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTES: u64 = FIVE_MINUTES_NS / 5;

    fn range(from_ns: u64, to_ns: u64) -> NicRange {
        NicRange { client: "web".into(), nic: "eth0".into(), from_ns, to_ns }
    }

    #[test]
    fn the_highest_twentieth_is_dropped_and_the_next_is_the_value() {
        for (intervals, value) in [(1, 1), (19, 19), (20, 19), (39, 38), (40, 38), (100, 95)] {
            assert_eq!(percentile_95((1..=intervals).rev().collect()), Some(value), "{intervals}");
        }
        // A month of 30 days: 432 of 8640.
        assert_eq!(percentile_95((1..=8640).collect()), Some(8208));
        assert_eq!(percentile_95(vec![]), None);
    }

    #[test]
    fn only_whole_intervals_lie_in_a_range() {
        let whole = Percentile::of_nothing(&range(MINUTES, 16 * MINUTES));
        assert_eq!((whole.from_ns, whole.to_ns), (5 * MINUTES, 15 * MINUTES));
        assert_eq!(whole.intervals, 2);
        let none = Percentile::of_nothing(&range(6 * MINUTES, 9 * MINUTES));
        assert_eq!(none.intervals, 0);
    }

    #[test]
    fn a_rate_is_over_the_time_that_was_measured() {
        let half = Interval { rx_bytes: 150, tx_bytes: 75, covered_ns: 150_000_000_000 };
        let nothing = Interval { rx_bytes: 0, tx_bytes: 0, covered_ns: 0 };
        let found = Percentile::of_nothing(&range(0, 10 * MINUTES)).with(&[half, nothing]);
        assert_eq!((found.intervals, found.measured), (2, 1));
        assert_eq!((found.rx_bits_per_second, found.tx_bits_per_second), (Some(8), Some(4)));
        assert_eq!(found.max_bits_per_second(), Some(8));
    }
}
