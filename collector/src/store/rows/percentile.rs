//! The 95th percentile as in transit billing.

use std::collections::BTreeMap;

use wire::{Bytes, WallNs};

use crate::store::rows::rollups::FIVE_MINUTES_NS;

/// The rate that 95 % of the measured 5-minute intervals don't exceed: their mean rates are sorted, the
/// highest 5 % (rounded down) are dropped, and the next one is the result.
///
/// Only intervals completely inside the range count. An interval's rate is its bytes divided by its
/// measured time. For a client it is the bytes of all its NICs divided by the longest measured time of
/// any of them. An unmeasured interval doesn't count as zero: it is missing, and the number of measured
/// intervals is reported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Percentile {
    /// Start of the first interval, nanoseconds since 1970 (UTC).
    pub from_ns: WallNs,
    /// End of the last interval, nanoseconds since 1970 (UTC).
    pub to_ns: WallNs,
    /// Intervals in the range.
    pub intervals: u64,
    /// Intervals with measurements.
    pub measured: u64,
    /// Received, bit/s. `None` if nothing was measured.
    pub rx_bits_per_second: Option<u64>,
    /// Transmitted, bit/s. `None` if nothing was measured.
    pub tx_bits_per_second: Option<u64>,
}

/// A NIC or a client, and a range of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PercentileRange {
    /// The client.
    pub client: String,
    /// The NIC; `None`: all NICs of the client's total together.
    pub nic: Option<String>,
    /// Intervals that start earlier are left out, nanoseconds since 1970 (UTC).
    pub from_ns: WallNs,
    /// Intervals that end later are left out.
    pub to_ns: WallNs,
}

/// One row of `bandwidth_5m`.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::store) struct FiveMinuteRow {
    pub start_ns: WallNs,
    pub rx_bytes: Bytes,
    pub tx_bytes: Bytes,
    pub covered_ns: u64,
}

impl Percentile {
    /// The larger of both directions, bit/s, for contracts that bill the larger one.
    #[must_use]
    pub fn max_bits_per_second(&self) -> Option<u64> {
        self.rx_bits_per_second.max(self.tx_bits_per_second)
    }

    /// No measurements yet; only intervals completely inside `range` count.
    pub(in crate::store) fn of_nothing(range: &PercentileRange) -> Self {
        Self::of_range(range.from_ns, range.to_ns)
    }

    /// No measurements yet; only intervals completely between both times count.
    pub(in crate::store) fn of_range(from_ns: WallNs, to_ns: WallNs) -> Self {
        let from = from_ns.get().div_ceil(FIVE_MINUTES_NS);
        let from_ns = WallNs(from.saturating_mul(FIVE_MINUTES_NS));
        let to_ns = to_ns.floor(FIVE_MINUTES_NS).max(from_ns);
        let intervals = (to_ns - from_ns) / FIVE_MINUTES_NS;
        Self { from_ns, to_ns, intervals, ..Self::default() }
    }

    /// Adds measurements of one or more NICs, in any order.
    pub(in crate::store) fn with(self, rows: &[FiveMinuteRow]) -> Self {
        let mut intervals: BTreeMap<WallNs, FiveMinuteRow> = BTreeMap::new();
        for row in rows {
            let sum = intervals.entry(row.start_ns).or_default();
            sum.rx_bytes = sum.rx_bytes.saturating_add(row.rx_bytes);
            sum.tx_bytes = sum.tx_bytes.saturating_add(row.tx_bytes);
            sum.covered_ns = sum.covered_ns.max(row.covered_ns);
        }
        let measured = intervals.values().filter(|interval| interval.covered_ns > 0);
        let rates = |bytes: fn(&FiveMinuteRow) -> Bytes| {
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

/// The highest rate once the highest 5 % (rounded down) are dropped. `None` without rates.
#[must_use]
pub fn percentile_95(mut rates: Vec<u64>) -> Option<u64> {
    let place = rates.len().checked_sub(1 + rates.len() / 20)?;
    let (_, value, _) = rates.select_nth_unstable(place);
    Some(*value)
}

/// Mean rate of bytes over a time, rounded to whole bits.
#[must_use]
pub fn bits_per_second(bytes: Bytes, covered_ns: u64) -> u64 {
    let covered_ns = u128::from(covered_ns.max(1));
    let bits = u128::from(bytes.get()) * 8_000_000_000;
    u64::try_from((bits + covered_ns / 2) / covered_ns).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTES: u64 = FIVE_MINUTES_NS / 5;

    fn range(from_ns: u64, to_ns: u64) -> PercentileRange {
        PercentileRange {
            client: "web".into(),
            nic: None,
            from_ns: WallNs(from_ns),
            to_ns: WallNs(to_ns),
        }
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
        assert_eq!((whole.from_ns, whole.to_ns), (WallNs(5 * MINUTES), WallNs(15 * MINUTES)));
        assert_eq!(whole.intervals, 2);
        let none = Percentile::of_nothing(&range(6 * MINUTES, 9 * MINUTES));
        assert_eq!(none.intervals, 0);
    }

    fn row(start_ns: u64, rx_bytes: u64, tx_bytes: u64, seconds: u64) -> FiveMinuteRow {
        FiveMinuteRow {
            start_ns: WallNs(start_ns),
            rx_bytes: Bytes(rx_bytes),
            tx_bytes: Bytes(tx_bytes),
            covered_ns: seconds * 1_000_000_000,
        }
    }

    #[test]
    fn what_nics_carried_in_an_interval_is_added_up_before_anything_is_sorted() {
        // Each is fast in a different interval, and the second one came up late in the last.
        let eth0 = [row(0, 9000, 0, 300), row(FIVE_MINUTES_NS, 300, 0, 300)];
        let eth1 = [row(0, 300, 600, 300), row(FIVE_MINUTES_NS, 6000, 600, 60)];
        let rows = [eth0, eth1].concat();
        let found = Percentile::of_nothing(&range(0, 10 * MINUTES)).with(&rows);
        assert_eq!((found.intervals, found.measured), (2, 2));
        assert_eq!((found.rx_bits_per_second, found.tx_bits_per_second), (Some(248), Some(16)));
    }

    #[test]
    fn a_rate_is_over_the_time_that_was_measured() {
        let half = row(0, 150, 75, 150);
        let nothing = row(FIVE_MINUTES_NS, 0, 0, 0);
        let found = Percentile::of_nothing(&range(0, 10 * MINUTES)).with(&[half, nothing]);
        assert_eq!((found.intervals, found.measured), (2, 1));
        assert_eq!((found.rx_bits_per_second, found.tx_bits_per_second), (Some(8), Some(4)));
        assert_eq!(found.max_bits_per_second(), Some(8));
    }
}
