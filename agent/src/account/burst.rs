//! Microbursts: the most bytes that passed within any window of a fixed length.
//!
//! A window slides in steps of a sixteenth of its shortest length, so that a burst is seen whole
//! wherever it falls. The figure never exceeds the truth, for its bytes did pass within one
//! window; it falls short by what lies in the one step that a window placed freely could add.

/// Length of a step, nanoseconds: a sixteenth of 1 ms.
pub const STEP_NS: u64 = 62_500;

/// Tracks the peak of a window of `STEPS` steps, at a bounded cost per packet.
#[derive(Debug, Clone)]
pub struct Burst<const STEPS: usize> {
    /// Bytes per step, indexed by step number modulo `STEPS`.
    steps: [u64; STEPS],
    /// Number of the newest step, counted from the epoch of the times given.
    newest: u64,
    /// Bytes of all steps of the window.
    window: u64,
    peak: u64,
}

/// The window of 1 ms.
pub type Burst1ms = Burst<16>;
/// The window of 10 ms.
pub type Burst10ms = Burst<160>;

impl<const STEPS: usize> Default for Burst<STEPS> {
    fn default() -> Self {
        Self { steps: [0; STEPS], newest: 0, window: 0, peak: 0 }
    }
}

impl<const STEPS: usize> Burst<STEPS> {
    /// Counts `bytes` that passed at `time_ns`.
    ///
    /// A packet older than the window is counted at the window's oldest step, and one that came
    /// out of order within it at its own.
    pub fn add(&mut self, time_ns: u64, bytes: u64) {
        let step = time_ns / STEP_NS;
        if step > self.newest {
            self.slide_to(step);
        }
        let oldest = self.newest.saturating_sub(STEPS as u64 - 1);
        self.steps[Self::index(step.max(oldest))] += bytes;
        self.window += bytes;
        self.peak = self.peak.max(self.window);
    }

    /// The peak so far in bytes, since the start or the last [`Burst::take`].
    #[must_use]
    pub const fn peak(&self) -> u64 {
        self.peak
    }

    /// The peak in bytes since the last call; the next one starts from an empty window, so that
    /// a peak lies inside its interval.
    pub fn take(&mut self) -> u64 {
        let peak = self.peak;
        *self = Self { newest: self.newest, ..Self::default() };
        peak
    }

    /// Makes `step` the newest, dropping the steps that leave the window.
    fn slide_to(&mut self, step: u64) {
        if step - self.newest >= STEPS as u64 {
            self.steps = [0; STEPS];
            self.window = 0;
        } else {
            for leaving in self.newest + 1..=step {
                self.window -= std::mem::take(&mut self.steps[Self::index(leaving)]);
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

    #[test]
    fn a_burst_of_one_ms_is_seen_whole_wherever_it_falls() {
        for offset in (0..MS).step_by(7_001) {
            let mut burst = Burst1ms::default();
            // 1,000 packets of 1,250 bytes within 1 ms: 10 Gbit/s.
            for n in 0..1000 {
                burst.add(START + offset + n * 1000, 1250);
            }
            let peak = burst.take();
            assert!(peak <= 1_250_000, "never more than passed: {peak}");
            assert!(peak >= 1_250_000 * 9 / 10, "under 10 % short: {peak} at offset {offset}");
        }
    }

    #[test]
    fn a_steady_rate_peaks_at_its_own_rate() {
        let (mut short, mut long) = (Burst1ms::default(), Burst10ms::default());
        for n in 0..100_000 {
            short.add(START + n * 10_000, 100);
            long.add(START + n * 10_000, 100);
        }
        // A window of 1 ms holds 100 of these packets, 101 where one falls on each end.
        assert!((10_000..=10_100).contains(&short.take()));
        assert!((100_000..=100_100).contains(&long.take()));
    }

    #[test]
    fn packets_further_apart_than_the_window_are_not_added_up() {
        let mut burst = Burst1ms::default();
        for n in 0..10 {
            burst.add(START + n * 2 * MS, 500);
        }
        assert_eq!(burst.take(), 500);
    }

    #[test]
    fn a_peak_is_told_once_and_the_next_interval_starts_empty() {
        let mut burst = Burst1ms::default();
        burst.add(START, 500);
        assert_eq!(burst.take(), 500);
        assert_eq!(burst.take(), 0);
        burst.add(START + 1000, 70);
        assert_eq!(burst.take(), 70);
    }

    #[test]
    fn a_packet_out_of_order_stays_in_its_step_and_leaves_with_it() {
        let mut burst = Burst1ms::default();
        burst.add(START + MS, 100);
        burst.add(START + MS / 2, 100);
        assert_eq!(burst.take(), 200);
        burst.add(START + MS, 100);
        burst.add(START, 100);
        burst.add(START + 3 * MS, 10);
        assert_eq!(burst.take(), 200);
    }
}
