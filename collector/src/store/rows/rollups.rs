//! The samples' additions to the rollups. Pure: every store writes the same.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use wire::WallNs;
use wire::frame::Sample;

use crate::store::rows::facts::NicIndex;

/// Length of the intervals of `bandwidth_1m`, nanoseconds.
pub const MINUTE_NS: u64 = 60_000_000_000;

/// Length of the intervals of `bandwidth_5m`, nanoseconds.
pub const FIVE_MINUTES_NS: u64 = 5 * MINUTE_NS;

/// Additions to the rollups, each row once, by NIC and time.
#[derive(Debug)]
pub struct Rollups {
    /// To `bandwidth_1m`.
    pub minutes: Vec<Rollup>,
    /// To `bandwidth_5m`.
    pub five_minutes: Vec<Rollup>,
}

/// The sum of the samples that start in one interval of a rollup.
#[derive(Debug, Clone, Copy)]
pub struct Rollup {
    /// The NIC.
    pub nic: NicIndex,
    /// Start of the interval, nanoseconds since 1970 (UTC).
    pub time_ns: WallNs,
    /// Number of samples.
    pub samples: u64,
    /// Sum of their lengths, nanoseconds.
    pub covered_ns: u64,
    /// Sums of their figures, maxima of their peaks, union of their flags.
    pub sum: Sample,
}

impl Rollups {
    /// The additions of samples in any order. Consecutive samples of a NIC's minute are added up
    /// together.
    #[must_use]
    pub fn of(samples: &[(NicIndex, &Sample)]) -> Self {
        let minute = |sample: &Sample| sample.start_ns.floor(MINUTE_NS);
        let mut minutes = BTreeMap::new();
        let same = |a: &(NicIndex, &Sample), b: &(NicIndex, &Sample)| {
            a.0 == b.0 && minute(a.1) == minute(b.1)
        };
        for run in samples.chunk_by(same) {
            let Some(((nic, first), others)) = run.split_first() else { continue };
            let (samples, covered_ns, sum) = (1, first.interval_ns, **first);
            let time_ns = minute(first);
            let mut rollup = Rollup { nic: *nic, time_ns, samples, covered_ns, sum };
            for (_, sample) in others {
                rollup.samples += 1;
                rollup.covered_ns = rollup.covered_ns.saturating_add(sample.interval_ns);
                rollup.sum.merge(sample);
            }
            add(&mut minutes, rollup);
        }
        let mut five_minutes = BTreeMap::new();
        for minute in minutes.values() {
            let time_ns = minute.time_ns.floor(FIVE_MINUTES_NS);
            add(&mut five_minutes, Rollup { time_ns, ..*minute });
        }
        Self {
            minutes: minutes.into_values().collect(),
            five_minutes: five_minutes.into_values().collect(),
        }
    }
}

/// Adds to an interval of a rollup.
fn add(rollups: &mut BTreeMap<(NicIndex, WallNs), Rollup>, more: Rollup) {
    match rollups.entry((more.nic, more.time_ns)) {
        Entry::Vacant(none) => {
            none.insert(more);
        }
        Entry::Occupied(mut rollup) => {
            let rollup = rollup.get_mut();
            rollup.samples += more.samples;
            rollup.covered_ns = rollup.covered_ns.saturating_add(more.covered_ns);
            rollup.sum.merge(&more.sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::frame::Counts;

    use super::*;
    use wire::{Bytes, Packets};

    fn sample(start_ns: u64, bytes: u64) -> Sample {
        let rx = Counts { bytes: Bytes(bytes), packets: Packets(1), ..Counts::default() };
        Sample { start_ns: WallNs(start_ns), interval_ns: 1000, rx, ..Sample::default() }
    }

    #[test]
    fn a_sample_counts_in_the_minute_in_which_it_starts_whatever_the_order() {
        let [last, first, late] =
            [sample(MINUTE_NS - 1, 1), sample(MINUTE_NS, 2), sample(MINUTE_NS - 9, 4)];
        let rollups = Rollups::of(&[(0, &last), (0, &first), (1, &first), (0, &late)]);
        let row = |it: &Rollup| {
            (it.nic, it.time_ns.get(), it.sum.rx.bytes.get(), it.samples, it.covered_ns)
        };
        let minutes: Vec<_> = rollups.minutes.iter().map(row).collect();
        assert_eq!(
            minutes,
            [(0, 0, 5, 2, 2000), (0, MINUTE_NS, 2, 1, 1000), (1, MINUTE_NS, 2, 1, 1000)]
        );
        let five: Vec<_> = rollups.five_minutes.iter().map(row).collect();
        assert_eq!(five, [(0, 0, 7, 3, 3000), (1, 0, 2, 1, 1000)]);
    }
}
