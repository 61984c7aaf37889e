//! Coarsening: merges two records of one NIC into one with less detail. Sums are conserved and peaks
//! kept as maxima, so totals stay exact however small the space.

use crate::frame::{Counts, INTERVAL_MAX_NS, KernelCounts, Mix, MixCounts, Sample, flags};
use crate::talker_sums::{TalkerSums, number_of};
use crate::talkers::{TALKERS_MAX, TalkerList, Talkers};
use crate::time::WallNs;

impl Sample {
    /// Adds the next sample of the same NIC. The interval grows to cover both and the time between
    /// them. After a clock step it has the length of both together.
    pub fn merge(&mut self, next: &Self) {
        debug_assert_eq!(self.nic, next.nic, "samples of one NIC");
        let stepped = (self.flags | next.flags) & flags::CLOCK_STEP != 0;
        let (one, other) = ((self.start_ns, self.interval_ns), (next.start_ns, next.interval_ns));
        (self.start_ns, self.interval_ns) =
            if stepped { follow(one, other) } else { cover(one, other) };
        self.rx.merge(&next.rx);
        self.tx.merge(&next.tx);
        self.drops = self.drops.saturating_add(next.drops);
        self.freezes = self.freezes.saturating_add(next.freezes);
        self.late = self.late.saturating_add(next.late);
        self.inexact = self.inexact.saturating_add(next.inexact);
        self.flags |= next.flags;
        self.kernel.merge(&next.kernel);
    }
}

impl Mix {
    /// Adds the next mix of the same NIC.
    pub fn merge(&mut self, next: &Self) {
        debug_assert_eq!(self.nic, next.nic, "mixes of one NIC");
        (self.start_ns, self.interval_ns) =
            cover((self.start_ns, self.interval_ns), (next.start_ns, next.interval_ns));
        self.rx.merge(&next.rx);
        self.tx.merge(&next.tx);
        self.kernel.merge(&next.kernel);
    }
}

/// The shortest interval, as start and length, that covers two. A later interval that begins before the
/// earlier one, or too far after it for one record, means that the clock was stepped between them.
fn cover(a: (WallNs, u64), b: (WallNs, u64)) -> (WallNs, u64) {
    let (end, end_b) = (a.0.saturating_add(a.1), b.0.saturating_add(b.1));
    if b.0 < a.0 || b.0.saturating_since(end) > INTERVAL_MAX_NS {
        return follow(a, b);
    }
    (a.0, end.max(end_b) - a.0)
}

/// An interval with the start of the first and the length of both.
const fn follow(a: (WallNs, u64), b: (WallNs, u64)) -> (WallNs, u64) {
    (a.0, a.1.saturating_add(b.1))
}

impl Talkers {
    /// Adds the next record of the same NIC and kind. Totals and errors add up. Talkers to which the two
    /// give different owners have none.
    pub fn merge(&mut self, next: &Self) {
        debug_assert_eq!((self.nic, self.kind), (next.nic, next.kind), "records of one NIC");
        let (start_ns, interval_ns) =
            cover((self.start_ns, self.interval_ns), (next.start_ns, next.interval_ns));
        let mut owners = Vec::new();
        let mut sum = |one: &TalkerList, other: &TalkerList| {
            let mut sums = TalkerSums::default();
            sums.add(one, &self.owners);
            sums.add(other, &next.owners);
            sums.list(TALKERS_MAX, &mut owners)
        };
        let (rx, tx) = (sum(&self.rx, &next.rx), sum(&self.tx, &next.tx));
        *self = Self { nic: self.nic, start_ns, interval_ns, kind: self.kind, rx, tx, owners };
    }

    /// Shortens both lists to their largest `most` talkers. The others become part of the rest.
    pub fn shorten(&mut self, most: usize) {
        if self.rx.talkers.len().max(self.tx.talkers.len()) <= most {
            return;
        }
        let mut owners = Vec::new();
        let mut shorten = |list: &mut TalkerList| {
            if let Some(largest) = list.talkers.get(most) {
                let left_out = largest.bytes.saturating_add(list.error_bytes);
                list.unlisted_bytes = list.unlisted_bytes.max(left_out);
                list.talkers.truncate(most);
            }
            for talker in &mut list.talkers {
                let owner = usize::from(talker.owner).checked_sub(1);
                let owner = owner.and_then(|place| self.owners.get(place));
                talker.owner = owner.map_or(0, |owner| number_of(owner.clone(), &mut owners));
            }
        };
        shorten(&mut self.rx);
        shorten(&mut self.tx);
        self.owners = owners;
    }
}

impl Counts {
    /// Adds a later interval's counts.
    pub fn merge(&mut self, next: &Self) {
        self.bytes = self.bytes.saturating_add(next.bytes);
        self.packets = self.packets.saturating_add(next.packets);
        self.captured = self.captured.saturating_add(next.captured);
        self.peak_1ms_bytes = self.peak_1ms_bytes.max(next.peak_1ms_bytes);
        self.peak_10ms_bytes = self.peak_10ms_bytes.max(next.peak_10ms_bytes);
        self.total_bytes = self.total_bytes.max(next.total_bytes);
        self.total_packets = self.total_packets.max(next.total_packets);
    }
}

impl KernelCounts {
    /// Adds a later interval's counts.
    pub fn merge(&mut self, next: &Self) {
        add(self.figures_mut(), next.figures());
    }
}

impl MixCounts {
    /// Adds a later interval's counts.
    pub fn merge(&mut self, next: &Self) {
        add(self.figures_mut(), next.figures());
    }
}

fn add<'a>(sums: impl IntoIterator<Item = &'a mut u64>, more: impl IntoIterator<Item = u64>) {
    for (sum, more) in sums.into_iter().zip(more) {
        *sum = sum.saturating_add(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::{Bytes, Packets};
    use crate::id::NicName;

    fn sample(n: u64) -> Sample {
        let counts = Counts {
            bytes: Bytes(n),
            packets: Packets(1),
            captured: Packets(1),
            peak_1ms_bytes: u32::try_from(n).unwrap(),
            peak_10ms_bytes: 9,
            total_bytes: Bytes(100 + n),
            total_packets: Packets(100 + n),
        };
        Sample {
            nic: NicName::new("eth0").unwrap(),
            start_ns: WallNs(n * 1000),
            interval_ns: 1000,
            rx: counts,
            tx: counts,
            drops: Packets(n),
            flags: 8 << n,
            kernel: KernelCounts { errors: Packets(n), ..KernelCounts::default() },
            ..Sample::default()
        }
    }

    #[test]
    fn sums_are_conserved_and_peaks_are_maxima() {
        let mut merged = sample(1);
        merged.merge(&sample(2));
        merged.merge(&sample(5));
        assert_eq!(
            (merged.start_ns, merged.interval_ns),
            (WallNs(1000), 5000),
            "from the first to the last"
        );
        assert_eq!(
            (merged.rx.bytes, merged.tx.packets, merged.drops),
            (Bytes(8), Packets(3), Packets(8))
        );
        assert_eq!((merged.rx.peak_1ms_bytes, merged.rx.peak_10ms_bytes), (5, 9));
        assert_eq!((merged.rx.total_bytes, merged.kernel.errors), (Bytes(105), Packets(8)));
        assert_eq!(merged.flags, 8 * 0b10_0110);
    }

    #[test]
    fn a_step_of_the_clock_is_no_time_that_passed() {
        let day = INTERVAL_MAX_NS;
        for (start_ns, flags, interval_ns) in [
            (2000, 0, 2000),
            (9000, 0, 9000),
            (9000, flags::CLOCK_STEP, 2000),
            (500, 0, 2000),
            (3 * day, 0, 2000),
        ] {
            let mut merged = Sample { flags: 0, ..sample(1) };
            merged.merge(&Sample { start_ns: WallNs(start_ns), flags, ..sample(2) });
            assert_eq!(
                (merged.start_ns, merged.interval_ns),
                (WallNs(1000), interval_ns),
                "{start_ns}"
            );
        }
    }

    #[test]
    fn every_figure_of_a_mix_is_added() {
        let mut one = MixCounts::default();
        for (n, figure) in (1..).zip(one.figures_mut()) {
            *figure = n;
        }
        let mut sum = one;
        sum.merge(&one);
        assert!(sum.figures().zip(one.figures()).all(|(sum, one)| one > 0 && sum == 2 * one));
        assert_eq!(size_of::<MixCounts>() / size_of::<u64>(), one.figures().count());
    }
}
