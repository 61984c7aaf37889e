//! Microbursts: the most bytes that passed within any window of a fixed length.
//!
//! A window slides in steps of a sixteenth of its shortest length, counted from the start of the
//! slot. With B(t) the most bytes of the slot within any time of length t,
//!
//! ```text
//! B(window - step)  <=  peak  <=  B(window)
//! ```
//!
//! in whatever order packets come, as long as none is older than its forerunners by more than 6 ms
//! (`HISTORY`). The left side holds because every time of length window - step lies within one
//! position of the window; the right side because a position is as long as the window. In a slot
//! that is no longer than the window, the peak is all its bytes.

use std::ops::Range;

use wire::{BootNs, Bytes};

/// Length of a step, nanoseconds: a sixteenth of 1 ms.
pub const STEP_NS: u64 = 62_500;

/// Steps of the windows of 1 ms and of 10 ms.
const OF_1MS: u64 = 16;
const OF_10MS: u64 = 160;

/// Steps that are kept: enough for the longest window that ends within the last 6 ms.
const HISTORY: usize = 256;

/// How far a packet may be behind the newest step and still be taken into the windows.
const BEHIND: u64 = HISTORY as u64 - OF_10MS;

/// Where the steps of a slot begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepStarts {
    /// The slot's start, modulo the length of a step.
    phase_ns: u64,
}

impl StepStarts {
    /// Steps of a slot that starts at a time.
    #[must_use]
    pub fn of_slot(start_ns: BootNs) -> Self {
        Self { phase_ns: start_ns % STEP_NS }
    }

    /// The times of the step that holds a time, nanoseconds.
    #[must_use]
    pub fn around(self, time_ns: BootNs) -> Range<BootNs> {
        let start_ns = BootNs(self.number(time_ns) * STEP_NS + self.phase_ns);
        // The first step of all begins at the epoch.
        start_ns.saturating_sub(STEP_NS)..start_ns
    }

    /// Number of the step that holds a time, from 1 on.
    fn number(self, time_ns: BootNs) -> u64 {
        (time_ns + STEP_NS - self.phase_ns) / STEP_NS
    }
}

/// Peaks of one direction of a slot, within any 1 ms and any 10 ms.
///
/// Bytes of one step are summed first and added to the windows when the step is over.
#[derive(Debug, Clone)]
pub struct Bursts {
    grid: StepStarts,
    /// Start of the step of the last packet, nanoseconds, and its bytes that are in no window yet.
    step_ns: BootNs,
    step_bytes: u64,
    /// Bytes per step, indexed by step number modulo [`HISTORY`].
    steps: [u64; HISTORY],
    /// Number of the newest step.
    newest: u64,
    of_1ms: Window<OF_1MS>,
    of_10ms: Window<OF_10MS>,
}

/// Most bytes within any 1 ms and any 10 ms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Peaks {
    /// Within 1 ms.
    pub of_1ms: Bytes,
    /// Within 10 ms.
    pub of_10ms: Bytes,
}

impl Bursts {
    /// No bytes yet, in steps as given.
    #[must_use]
    pub const fn new(grid: StepStarts) -> Self {
        Self {
            grid,
            step_ns: BootNs(0),
            step_bytes: 0,
            steps: [0; HISTORY],
            newest: 0,
            of_1ms: Window::EMPTY,
            of_10ms: Window::EMPTY,
        }
    }

    /// Counts `bytes` that passed at `time_ns`.
    #[inline]
    pub fn add(&mut self, time_ns: BootNs, bytes: u64) {
        if time_ns.wrapping_since(self.step_ns) >= STEP_NS {
            self.close_step();
            self.step_ns = self.grid.around(time_ns).start;
        }
        self.step_bytes += bytes;
    }

    /// The peaks so far.
    #[must_use]
    pub fn peaks(&mut self) -> Peaks {
        self.close_step();
        Peaks { of_1ms: Bytes(self.of_1ms.peak), of_10ms: Bytes(self.of_10ms.peak) }
    }

    /// Adds the current step's bytes to the windows.
    #[cold]
    fn close_step(&mut self) {
        let (step, bytes) = (self.grid.number(self.step_ns), std::mem::take(&mut self.step_bytes));
        if bytes == 0 {
            return;
        }
        if step > self.newest {
            self.slide_to(step);
        }
        let behind = self.newest - step;
        if behind > BEHIND {
            // Too old for any window, but these bytes passed within one step.
            self.of_1ms.peak = self.of_1ms.peak.max(bytes);
            self.of_10ms.peak = self.of_10ms.peak.max(bytes);
            return;
        }
        self.of_1ms.add(&self.steps, self.newest, behind, bytes);
        self.of_10ms.add(&self.steps, self.newest, behind, bytes);
        self.steps[index(step)] += bytes;
    }

    /// Makes `step` the newest; subtracts the steps that leave a window.
    fn slide_to(&mut self, step: u64) {
        if step - self.newest >= HISTORY as u64 {
            self.steps = [0; HISTORY];
            (self.of_1ms.bytes, self.of_10ms.bytes) = (0, 0);
        } else {
            for newest in self.newest + 1..=step {
                self.steps[index(newest)] = 0;
                self.of_1ms.bytes -= self.steps[index(newest.wrapping_sub(OF_1MS))];
                self.of_10ms.bytes -= self.steps[index(newest.wrapping_sub(OF_10MS))];
            }
        }
        self.newest = step;
    }
}

/// A sliding window of `STEPS` steps, and its highest sum so far.
#[derive(Debug, Clone)]
struct Window<const STEPS: u64> {
    /// Bytes of the window that ends with the newest step.
    bytes: u64,
    peak: u64,
}

impl<const STEPS: u64> Window<STEPS> {
    const EMPTY: Self = Self { bytes: 0, peak: 0 };

    /// Adds bytes to the step that is `behind` steps older than the newest; `steps` doesn't contain
    /// them yet. Every window that contains that step grows.
    fn add(&mut self, steps: &[u64], newest: u64, behind: u64, bytes: u64) {
        let (mut window, mut most) = (self.bytes, 0);
        for back in 0..=behind {
            if behind - back < STEPS {
                most = most.max(window);
            }
            let end = newest - back;
            window = window + steps[index(end.wrapping_sub(STEPS))] - steps[index(end)];
        }
        self.peak = self.peak.max(most + bytes);
        if behind < STEPS {
            self.bytes += bytes;
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "a remainder of a small number")]
const fn index(step: u64) -> usize {
    (step % HISTORY as u64) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;
    /// A time with no special alignment to any step.
    const START: BootNs = BootNs(1_700_000_000 * 1000 * MS + 12_345);

    fn bursts() -> Bursts {
        Bursts::new(StepStarts::of_slot(START))
    }

    /// Most bytes within any time of a length, by trying one from each packet on.
    fn most(packets: &[(BootNs, u64)], length: u64) -> u64 {
        let within = |from: BootNs| {
            let inside = packets.iter().filter(|(time, _)| (from..from + length).contains(time));
            inside.map(|(_, bytes)| bytes).sum()
        };
        packets.iter().map(|&(time, _)| within(time)).max().unwrap_or(0)
    }

    #[test]
    fn steps_tile_time_from_the_start_of_the_slot() {
        let steps = StepStarts::of_slot(START);
        assert_eq!(steps.around(START), START..START + STEP_NS);
        assert_eq!(steps.around(START + STEP_NS - 1).start, START);
        assert_eq!(steps.around(START + STEP_NS).start, START + STEP_NS);
        assert_eq!(steps.around(START - 1).end, START);
    }

    #[test]
    fn a_burst_of_one_ms_is_seen_whole_wherever_it_falls() {
        for offset in (0..MS).step_by(7_001) {
            let mut burst = bursts();
            // 1,000 packets of 1,250 bytes within 1 ms: 10 Gbit/s.
            for n in 0..1000 {
                burst.add(START + offset + n * 1000, 1250);
            }
            let peak = burst.peaks().of_1ms;
            assert!(peak <= Bytes(1_250_000), "never more than passed: {peak}");
            assert!(peak >= Bytes(1_250_000 * 15 / 16), "a step short: {peak} at offset {offset}");
        }
    }

    #[test]
    fn a_steady_rate_peaks_at_its_own_rate() {
        let mut bursts = bursts();
        for n in 0..100_000 {
            bursts.add(START + n * 10_000, 100);
        }
        let peaks = bursts.peaks();
        // A window of 1 ms holds 100 of these packets, 101 where one falls on each end.
        assert!((10_000..=10_100).contains(&peaks.of_1ms.get()));
        assert!((100_000..=100_100).contains(&peaks.of_10ms.get()));
    }

    #[test]
    fn packets_further_apart_than_the_window_are_not_added_up() {
        let mut burst = bursts();
        for n in 0..10 {
            burst.add(START + n * 2 * MS, 500);
        }
        assert_eq!(burst.peaks().of_1ms, Bytes(500));
    }

    #[test]
    fn a_packet_far_out_of_order_is_in_no_window_but_its_own_step() {
        let mut burst = bursts();
        burst.add(START + 20 * MS, 100);
        burst.add(START, 300);
        assert_eq!(burst.peaks(), Peaks { of_1ms: Bytes(300), of_10ms: Bytes(300) });
    }

    proptest! {
        #[test]
        fn peaks_lie_between_a_window_and_one_a_step_shorter_in_whatever_order_packets_come(
            gaps in proptest::collection::vec(
                (prop_oneof![4 => 0..30_000u64, 2 => 0..MS, 1 => 0..30 * MS], 1..2000u64, 0..5 * MS),
                1..120,
            ),
            ordered: bool,
            told_now: Vec<bool>,
        ) {
            let mut time = START;
            let mut packets: Vec<(BootNs, BootNs, u64)> = gaps.iter().map(|&(gap, bytes, delay)| {
                time += gap;
                (if ordered { time } else { time + delay }, time, bytes)
            }).collect();
            packets.sort_unstable();
            let mut bursts = bursts();
            for (n, &(_, time, bytes)) in packets.iter().enumerate() {
                bursts.add(time, bytes);
                if told_now.get(n) == Some(&true) {
                    let _told_at_the_end_of_a_batch = bursts.peaks();
                }
            }
            let packets: Vec<_> = packets.iter().map(|&(_, time, bytes)| (time, bytes)).collect();
            let Peaks { of_1ms, of_10ms } = bursts.peaks();
            prop_assert!(most(&packets, MS - STEP_NS) <= of_1ms.get() && of_1ms <= Bytes(most(&packets, MS)));
            prop_assert!(most(&packets, 10 * MS - STEP_NS) <= of_10ms.get());
            prop_assert!(of_10ms <= Bytes(most(&packets, 10 * MS)));
        }
    }
}
