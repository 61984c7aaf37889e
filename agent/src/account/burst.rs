//! Microbursts: the most bytes that passed within any window of a fixed length.
//!
//! A window slides in steps of a sixteenth of its shortest length, so that a burst is seen whole
//! wherever it falls. The figure never exceeds the truth, for its bytes did pass within one
//! window; it falls short by what lies in the one step that a window placed freely could add.

use std::ops::Range;

/// Length of a step, nanoseconds: a sixteenth of 1 ms.
pub const STEP_NS: u64 = 62_500;

/// The times of the step that holds a time, nanoseconds.
#[must_use]
pub const fn step_of(time_ns: u64) -> Range<u64> {
    let start_ns = time_ns - time_ns % STEP_NS;
    start_ns..start_ns + STEP_NS
}

/// Peaks of one direction, within any 1 ms and any 10 ms.
///
/// What passes in one step is added up first, and taken into the windows when the step is over: no
/// peak lies within a step.
#[derive(Debug, Clone, Default)]
pub struct Bursts {
    /// Start of the step of the last packet, nanoseconds, and its bytes that are in no window yet.
    step_ns: u64,
    step_bytes: u64,
    of_1ms: Window<16>,
    of_10ms: Window<160>,
}

/// Most bytes within any 1 ms and any 10 ms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Peaks {
    /// Within 1 ms.
    pub of_1ms: u64,
    /// Within 10 ms.
    pub of_10ms: u64,
}

impl Bursts {
    /// Counts `bytes` that passed at `time_ns`.
    ///
    /// A packet older than a window is counted at the window's oldest step, and one that came
    /// out of order within it at its own.
    #[inline]
    pub fn add(&mut self, time_ns: u64, bytes: u64) {
        if time_ns.wrapping_sub(self.step_ns) >= STEP_NS {
            self.settle();
            self.step_ns = step_of(time_ns).start;
        }
        self.step_bytes += bytes;
    }

    /// The peaks so far in bytes, since the start or the last [`Bursts::restart`].
    #[must_use]
    pub fn peaks(&mut self) -> Peaks {
        self.settle();
        Peaks { of_1ms: self.of_1ms.peak, of_10ms: self.of_10ms.peak }
    }

    /// Starts again with empty windows, so that a peak lies inside its interval.
    pub fn restart(&mut self) {
        self.step_bytes = 0;
        self.of_1ms.restart();
        self.of_10ms.restart();
    }

    /// Takes what passed in the step into the windows.
    #[cold]
    fn settle(&mut self) {
        let (step, bytes) = (self.step_ns / STEP_NS, std::mem::take(&mut self.step_bytes));
        if bytes > 0 {
            self.of_1ms.add(step, bytes);
            self.of_10ms.add(step, bytes);
        }
    }
}

/// Tracks the peak of a window of `STEPS` steps, at a bounded cost per step.
#[derive(Debug, Clone)]
struct Window<const STEPS: usize> {
    /// Bytes per step, indexed by step number modulo `STEPS`.
    steps: [u64; STEPS],
    /// Number of the newest step, counted from the epoch of the times given.
    newest: u64,
    /// Bytes of all steps of the window.
    bytes: u64,
    peak: u64,
}

impl<const STEPS: usize> Default for Window<STEPS> {
    fn default() -> Self {
        Self { steps: [0; STEPS], newest: 0, bytes: 0, peak: 0 }
    }
}

impl<const STEPS: usize> Window<STEPS> {
    fn add(&mut self, step: u64, bytes: u64) {
        if step > self.newest {
            self.slide_to(step);
        }
        let oldest = self.newest.saturating_sub(STEPS as u64 - 1);
        self.steps[Self::index(step.max(oldest))] += bytes;
        self.bytes += bytes;
        self.peak = self.peak.max(self.bytes);
    }

    fn restart(&mut self) {
        *self = Self { newest: self.newest, ..Self::default() };
    }

    /// Makes `step` the newest, dropping the steps that leave the window.
    fn slide_to(&mut self, step: u64) {
        if step - self.newest >= STEPS as u64 {
            self.steps = [0; STEPS];
            self.bytes = 0;
        } else {
            for leaving in self.newest + 1..=step {
                self.bytes -= std::mem::take(&mut self.steps[Self::index(leaving)]);
            }
        }
        self.newest = step;
    }

    #[allow(clippy::cast_possible_truncation, reason = "a remainder of a usize fits one")]
    const fn index(step: u64) -> usize {
        (step % STEPS as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    /// A time with no special alignment to any step.
    const START: u64 = 1_700_000_000 * 1000 * MS + 12_345;

    fn take(bursts: &mut Bursts) -> u64 {
        let peak = bursts.peaks().of_1ms;
        bursts.restart();
        peak
    }

    #[test]
    fn a_burst_of_one_ms_is_seen_whole_wherever_it_falls() {
        for offset in (0..MS).step_by(7_001) {
            let mut burst = Bursts::default();
            // 1,000 packets of 1,250 bytes within 1 ms: 10 Gbit/s.
            for n in 0..1000 {
                burst.add(START + offset + n * 1000, 1250);
            }
            let peak = burst.peaks().of_1ms;
            assert!(peak <= 1_250_000, "never more than passed: {peak}");
            assert!(peak >= 1_250_000 * 9 / 10, "under 10 % short: {peak} at offset {offset}");
        }
    }

    #[test]
    fn a_steady_rate_peaks_at_its_own_rate() {
        let mut bursts = Bursts::default();
        for n in 0..100_000 {
            bursts.add(START + n * 10_000, 100);
        }
        let peaks = bursts.peaks();
        // A window of 1 ms holds 100 of these packets, 101 where one falls on each end.
        assert!((10_000..=10_100).contains(&peaks.of_1ms));
        assert!((100_000..=100_100).contains(&peaks.of_10ms));
    }

    #[test]
    fn packets_further_apart_than_the_window_are_not_added_up() {
        let mut burst = Bursts::default();
        for n in 0..10 {
            burst.add(START + n * 2 * MS, 500);
        }
        assert_eq!(burst.peaks().of_1ms, 500);
    }

    #[test]
    fn a_peak_is_told_once_and_the_next_interval_starts_empty() {
        let mut burst = Bursts::default();
        burst.add(START, 500);
        assert_eq!(take(&mut burst), 500);
        assert_eq!(take(&mut burst), 0);
        burst.add(START + 1000, 70);
        assert_eq!(take(&mut burst), 70);
    }

    #[test]
    fn a_packet_out_of_order_stays_in_its_step_and_leaves_with_it() {
        let mut burst = Bursts::default();
        burst.add(START + MS, 100);
        burst.add(START + MS / 2, 100);
        assert_eq!(take(&mut burst), 200);
        burst.add(START + MS, 100);
        burst.add(START, 100);
        burst.add(START + 3 * MS, 10);
        assert_eq!(take(&mut burst), 200);
    }
}
