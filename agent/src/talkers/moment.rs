//! When a sample's talkers are listed by themselves: it breaks a threshold.

use wire::Bytes;
use wire::frame::{Counts, Sample};

/// Moments in a row that are listed, 4 s of samples of 500 ms: an alert names who made a burst, also if
/// the burst is longer than the alert waits.
const IN_A_ROW: u64 = 8;

/// Then one a minute, nanoseconds: the lists of the minutes tell the rest. So a day of overload has at
/// most 1,448 moments.
const EACH_NS: u64 = 60_000_000_000;

/// What a sample has to reach, in either direction. `None`: nothing does.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Thresholds {
    /// Bytes, in percent of what the link can carry in the time.
    pub utilisation: Option<f64>,
    /// Most bytes in any 10 ms, in percent of what the link can carry in 10 ms.
    pub peak: Option<f64>,
    /// Bytes, as a rate in bit/s.
    pub rate: Option<f64>,
    /// True: every sample is listed, however many, for people who look at them.
    pub every: bool,
}

impl Thresholds {
    /// Every sample is listed.
    pub const EVERY: Self = Self { utilisation: None, peak: None, rate: None, every: true };

    /// True if a sample reaches one. `speed_bits` is the speed of the link in bit/s, 0 where unknown:
    /// then only the rate counts.
    #[must_use]
    pub fn are_reached(&self, sample: &Sample, speed_bits: u64) -> bool {
        [&sample.rx, &sample.tx].into_iter().any(|counts| {
            let rate = bits_per_second(counts.bytes, sample.interval_ns);
            let reaches = |rate: f64, least: Option<f64>| least.is_some_and(|it| rate >= it);
            reaches(rate, self.rate)
                || speed_bits > 0
                    && (reaches(percent(rate, speed_bits), self.utilisation)
                        || reaches(percent(peak(counts), speed_bits), self.peak))
        })
    }
}

fn peak(counts: &Counts) -> f64 {
    bits_per_second(Bytes(counts.peak_10ms_bytes.into()), 10_000_000)
}

#[allow(clippy::cast_precision_loss, reason = "a rate, to be compared with a threshold")]
fn bits_per_second(bytes: Bytes, interval_ns: u64) -> f64 {
    bytes.get() as f64 * 8e9 / interval_ns.max(1) as f64
}

#[allow(clippy::cast_precision_loss, reason = "a rate, to be compared with a threshold")]
fn percent(rate: f64, speed_bits: u64) -> f64 {
    100.0 * rate / speed_bits as f64
}

/// Decides which samples that reach a threshold are listed.
#[derive(Debug)]
pub struct Moments {
    thresholds: Thresholds,
    /// Time for which moments may be made, nanoseconds.
    left_ns: u64,
}

impl Moments {
    /// All may be listed at first.
    #[must_use]
    pub const fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, left_ns: IN_A_ROW * EACH_NS }
    }

    /// True if the talkers of a sample are to be listed. To be asked once for each sample.
    pub fn lists(&mut self, sample: &Sample, speed_bits: u64) -> bool {
        if self.thresholds.every {
            return true;
        }
        self.left_ns = self.left_ns.saturating_add(sample.interval_ns).min(IN_A_ROW * EACH_NS);
        let lists = self.left_ns >= EACH_NS && self.thresholds.are_reached(sample, speed_bits);
        self.left_ns -= if lists { EACH_NS } else { 0 };
        lists
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: u64 = 500_000_000;
    const GIGABIT: u64 = 1_000_000_000;

    fn sample(bytes: u64, peak: u32) -> Sample {
        let counts = Counts { bytes: Bytes(bytes), peak_10ms_bytes: peak, ..Counts::default() };
        Sample { interval_ns: HALF, tx: counts, ..Sample::default() }
    }

    #[test]
    fn a_sample_reaches_a_threshold_in_either_direction() {
        let at = |utilisation, peak, rate| Thresholds { utilisation, peak, rate, every: false };
        let half_full = sample(31_250_000, 1_250_000);
        let turned = Sample { rx: half_full.tx, tx: Counts::default(), ..half_full };
        for sample in [half_full, turned] {
            let reached = |thresholds: Thresholds, speed| thresholds.are_reached(&sample, speed);
            assert!(reached(at(Some(50.0), None, None), GIGABIT));
            assert!(!reached(at(Some(50.1), None, None), GIGABIT));
            assert!(reached(at(None, Some(100.0), None), GIGABIT));
            assert!(!reached(at(None, Some(100.1), None), GIGABIT));
            assert!(reached(at(None, None, Some(5e8)), GIGABIT));
            assert!(!reached(at(None, None, Some(5.1e8)), GIGABIT));
            assert!(!reached(at(None, None, None), GIGABIT));
            assert!(!reached(at(Some(1.0), Some(1.0), None), 0), "of an unknown speed");
            assert!(reached(at(Some(1.0), Some(1.0), Some(1.0)), 0));
        }
    }

    #[test]
    fn every_sample_is_listed_for_those_who_look_at_them() {
        let mut moments = Moments::new(Thresholds::EVERY);
        assert!((0..100).all(|_| moments.lists(&sample(0, 0), 0)));
    }

    #[test]
    fn the_first_in_a_row_are_listed_and_then_one_a_minute() {
        let thresholds = Thresholds { rate: Some(1.0), ..Thresholds::default() };
        let mut moments = Moments::new(thresholds);
        let full = sample(1_000_000, 0);
        let listed = |moments: &mut Moments, samples| {
            (0..samples).filter(|_| moments.lists(&full, GIGABIT)).count()
        };
        assert_eq!(listed(&mut moments, 8), 8);
        assert_eq!(listed(&mut moments, 100), 0);
        assert_eq!(listed(&mut moments, 1200), 10, "ten minutes");
        let quiet = sample(0, 0);
        assert!((0..1000).all(|_| !moments.lists(&quiet, GIGABIT)));
        assert_eq!(listed(&mut moments, 20), 8, "after a quiet while");
    }
}
