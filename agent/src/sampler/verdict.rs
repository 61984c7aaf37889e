//! The verdict on a NIC: how our count of packets compares with the kernel's.

use std::collections::VecDeque;
use std::fmt;
use std::ops::RangeInclusive;

use wire::frame::{KernelCounts, flags};
use wire::{BootNs, Packets};

use crate::account::bank::Tally;

/// Comparison of the agent's figures with the kernel's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Verdict {
    /// The kernel counts what we count.
    Equal,
    /// The rings dropped this many packets.
    RingLost(Packets),
    /// The kernel counts packets that no tap sees: XDP, hardware offload, bypassed queues, and
    /// packets that GRO merged after they were counted.
    Bypassed,
    /// The kernel counts super-packets, as the tap saw them, not packets on the wire.
    SuperPackets,
    /// The kernel counts fewer than passed the tap: the driver refused some, or the kernel has
    /// unwrapped packets (inbound IPsec) and handed them to the NIC again.
    KernelLess,
    /// The kernel's counters could not be read.
    #[default]
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equal => f.write_str("equal"),
            Self::RingLost(packets) => write!(f, "ring lost {packets}"),
            Self::Bypassed => f.write_str("bypassed"),
            Self::SuperPackets => f.write_str("super-packets"),
            Self::KernelLess => f.write_str("kernel counts less"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// One direction's packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// As the tap saw them.
    pub captured: Packets,
    /// On the wire.
    pub wire: Packets,
    /// By the kernel, least and most, because its counters are read shortly before and after
    /// capture begins and ends.
    pub kernel: RangeInclusive<Packets>,
}

impl Verdict {
    /// The sample's flag for this verdict.
    #[must_use]
    pub const fn flags(self) -> u32 {
        match self {
            Self::SuperPackets => flags::SUPER_PACKETS,
            Self::Bypassed => flags::BYPASSED,
            Self::KernelLess => flags::KERNEL_LESS,
            Self::Equal | Self::RingLost(_) | Self::Unknown => 0,
        }
    }

    /// The verdict of a sample's flags; `lost` packets were dropped by the rings so far.
    #[must_use]
    pub fn of_flags(set: u32, lost: Packets) -> Self {
        if lost > Packets(0) {
            return Self::RingLost(lost);
        }
        if set & flags::NO_KERNEL_COUNTS != 0 {
            return Self::Unknown;
        }
        let worst = WORST_FIRST.into_iter();
        worst.filter(|it| set & it.flags() != 0).chain([Self::Equal]).next().unwrap_or_default()
    }
}

/// Verdicts other than equal, the worst first.
const WORST_FIRST: [Verdict; 3] = [Verdict::Bypassed, Verdict::KernelLess, Verdict::SuperPackets];

/// The verdict on cumulative totals of rx and tx, and on the packets that the rings lost.
#[must_use]
pub fn verdict(directions: &[Compared; 2], lost: Packets) -> Verdict {
    if lost > Packets(0) {
        return Verdict::RingLost(lost);
    }
    let all = directions.iter().map(direction);
    let found = |it: &Verdict| all.clone().any(|verdict| verdict == *it);
    WORST_FIRST.into_iter().find(found).unwrap_or(Verdict::Equal)
}

fn direction(Compared { captured, wire, kernel }: &Compared) -> Verdict {
    if kernel.contains(wire) {
        Verdict::Equal
    } else if kernel.contains(captured) {
        Verdict::SuperPackets
    } else if kernel.end() < captured {
        Verdict::KernelLess
    } else {
        // Also beside super-packets: it counts some that no tap has seen.
        Verdict::Bypassed
    }
}

/// How long a counted packet may take to reach the tap, nanoseconds: softirqs, and interrupt
/// coalescing of NICs.
const IN_FLIGHT_NS: u64 = 20_000_000;

/// Reconciles our packets with the kernel's, since capture of a NIC began. Times are boot times
/// in nanoseconds.
#[derive(Debug, Default)]
pub struct Reconciliation {
    /// Captured and wire packets of rx and tx.
    counted: [(Packets, Packets); 2],
    /// The kernel's counts since before capture began, rx and tx.
    most: [Packets; 2],
    /// The same at the first reading after capture began.
    first: Option<[Packets; 2]>,
    /// Readings, each with the time at which it was made, that may include packets that reach the
    /// tap later.
    recent: VecDeque<(BootNs, [Packets; 2])>,
    /// The latest reading whose packets have all reached the tap.
    complete: Option<[Packets; 2]>,
}

impl Reconciliation {
    /// Adds our tally up to `end_ns` and the kernel's count since the last call. Gives the verdict
    /// so far; `lost` packets were dropped by the rings.
    pub fn add(
        &mut self,
        tally: &Tally,
        added: Option<KernelCounts>,
        end_ns: BootNs,
        now_ns: BootNs,
        lost: Packets,
    ) -> Verdict {
        for ((captured, wire), traffic) in self.counted.iter_mut().zip([&tally.rx, &tally.tx]) {
            *captured += traffic.captured;
            *wire += traffic.packets;
        }
        let Some(added) = added else {
            return if lost > Packets(0) { Verdict::RingLost(lost) } else { Verdict::Unknown };
        };
        for (most, added) in self.most.iter_mut().zip([added.rx_packets, added.tx_packets]) {
            *most += added;
        }
        let first = *self.first.get_or_insert(self.most);
        while let Some((by_ns, reading)) = self.recent.front()
            && *by_ns + IN_FLIGHT_NS <= end_ns
        {
            self.complete = Some(*reading);
            self.recent.pop_front();
        }
        self.recent.push_back((now_ns, self.most));
        let complete = self.complete.unwrap_or(first);
        let compared = |way: usize| {
            let (captured, wire) = self.counted[way];
            Compared { captured, wire, kernel: complete[way] - first[way]..=self.most[way] }
        };
        verdict(&[compared(0), compared(1)], lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(captured: u64, wire: u64, kernel: RangeInclusive<u64>) -> Verdict {
        let kernel = Packets(*kernel.start())..=Packets(*kernel.end());
        let idle =
            Compared { captured: Packets(0), wire: Packets(0), kernel: Packets(0)..=Packets(0) };
        verdict(
            &[Compared { captured: Packets(captured), wire: Packets(wire), kernel }, idle],
            Packets(0),
        )
    }

    #[test]
    fn the_kernel_counts_what_we_count_or_it_is_said_what_it_counts() {
        assert_eq!(of(100, 100, 100..=100), Verdict::Equal);
        assert_eq!(of(30, 900, 900..=900), Verdict::Equal, "a driver that counts the wire");
        assert_eq!(of(30, 900, 30..=30), Verdict::SuperPackets);
        assert_eq!(of(100, 100, 101..=150), Verdict::Bypassed);
        assert_eq!(of(100, 100, 90..=99), Verdict::KernelLess);
    }

    #[test]
    fn a_bypass_does_not_hide_behind_super_packets() {
        assert_eq!(of(265, 10_425, 1265..=1265), Verdict::Bypassed);
        assert_eq!(of(265, 10_425, 266..=300), Verdict::Bypassed);
        assert_eq!(of(265, 10_425, 240..=300), Verdict::SuperPackets, "as far as is known");
    }

    #[test]
    fn what_passed_while_capture_began_or_ended_is_nobodys_loss() {
        assert_eq!(of(100, 100, 95..=120), Verdict::Equal);
    }

    #[test]
    fn what_the_ring_lost_comes_first() {
        let idle =
            Compared { captured: Packets(0), wire: Packets(0), kernel: Packets(5)..=Packets(5) };
        let lost = verdict(&[idle.clone(), idle], Packets(7));
        assert_eq!((lost, lost.to_string()), (Verdict::RingLost(Packets(7)), "ring lost 7".into()));
    }

    /// A tally with this many received packets, and the kernel's count of them.
    fn rx(captured: u64, wire: u64, kernel: u64) -> (Tally, Option<KernelCounts>) {
        let mut tally = Tally::default();
        (tally.rx.captured, tally.rx.packets) = (Packets(captured), Packets(wire));
        (tally, Some(KernelCounts { rx_packets: Packets(kernel), ..KernelCounts::default() }))
    }

    const SECOND: u64 = 1_000_000_000;

    /// Feeds intervals of a second; the kernel is asked 20 ms after each.
    fn verdicts(intervals: &[(u64, u64, u64)]) -> Vec<Verdict> {
        let mut reconciliation = Reconciliation::default();
        let mut end = 0;
        let add = |&(captured, wire, kernel): &(u64, u64, u64)| {
            end += SECOND;
            let (tally, kernel) = rx(captured, wire, kernel);
            reconciliation.add(&tally, kernel, BootNs(end), BootNs(end + 20_000_000), Packets(0))
        };
        intervals.iter().map(add).collect()
    }

    #[test]
    fn packets_on_their_way_between_two_counts_are_no_difference() {
        // The kernel is asked later, and has counted some that belong to the next interval.
        let traffic = [(0, 0, 3), (100, 100, 100), (100, 100, 102), (100, 100, 95)];
        assert_eq!(verdicts(&traffic), [Verdict::Equal; 4]);
    }

    #[test]
    fn a_difference_shows_once_it_can_be_nothing_else() {
        let bypassed = verdicts(&[(0, 0, 0), (100, 100, 250), (100, 100, 100)]);
        assert_eq!(bypassed, [Verdict::Equal, Verdict::Equal, Verdict::Bypassed]);
        assert_eq!(verdicts(&[(5, 50, 5)]), [Verdict::SuperPackets]);
        assert_eq!(verdicts(&[(5, 5, 4)]), [Verdict::KernelLess]);
    }

    #[test]
    fn where_the_kernel_says_nothing_nothing_is_said() {
        let mut reconciliation = Reconciliation::default();
        let (tally, _) = rx(5, 5, 0);
        assert_eq!(
            reconciliation.add(&tally, None, BootNs(SECOND), BootNs(SECOND), Packets(0)),
            Verdict::Unknown
        );
        assert_eq!(
            reconciliation.add(&tally, None, BootNs(SECOND), BootNs(SECOND), Packets(2)),
            Verdict::RingLost(Packets(2))
        );
    }

    #[test]
    fn a_samples_marks_tell_its_verdict() {
        for verdict in [Verdict::Equal, Verdict::Bypassed, Verdict::KernelLess] {
            assert_eq!(Verdict::of_flags(verdict.flags() | flags::STACKED, Packets(0)), verdict);
        }
        let both = flags::SUPER_PACKETS | flags::BYPASSED;
        assert_eq!(Verdict::of_flags(both, Packets(0)), Verdict::Bypassed);
        assert_eq!(Verdict::of_flags(both, Packets(3)), Verdict::RingLost(Packets(3)));
        assert_eq!(Verdict::of_flags(flags::NO_KERNEL_COUNTS, Packets(0)), Verdict::Unknown);
    }
}
