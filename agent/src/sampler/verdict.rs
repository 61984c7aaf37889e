//! The verdict on a NIC: our packets beside the kernel's own count of them.

use std::fmt;
use std::ops::RangeInclusive;

/// How our figures compare with the kernel's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Verdict {
    /// The kernel counts what we count.
    Equal,
    /// The rings had no room for so many packets.
    RingLost(u64),
    /// The kernel counts packets that no tap sees: XDP, hardware offload, bypassed queues.
    Bypassed,
    /// The kernel counts super-packets: its figures are not those of the wire.
    SuperPackets,
    /// The kernel counts fewer than passed the tap: the driver refused some.
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
    pub captured: u64,
    /// On the wire.
    pub wire: u64,
    /// By the kernel, least and most: its counters are read shortly before and after capture
    /// begins and ends.
    pub kernel: RangeInclusive<u64>,
}

/// The verdict on cumulative totals of rx and tx, and on what the rings lost of both.
#[must_use]
pub fn verdict(directions: &[Compared; 2], lost: u64) -> Verdict {
    if lost > 0 {
        return Verdict::RingLost(lost);
    }
    let all = directions.iter().map(direction);
    let worst = [Verdict::Bypassed, Verdict::KernelLess, Verdict::SuperPackets];
    worst.into_iter().find(|it| all.clone().any(|verdict| verdict == *it)).unwrap_or(Verdict::Equal)
}

fn direction(Compared { captured, wire, kernel }: &Compared) -> Verdict {
    if kernel.contains(wire) {
        Verdict::Equal
    } else if kernel.start() > wire {
        Verdict::Bypassed
    } else if kernel.end() < captured {
        Verdict::KernelLess
    } else {
        Verdict::SuperPackets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(captured: u64, wire: u64, kernel: RangeInclusive<u64>) -> Verdict {
        let idle = Compared { captured: 0, wire: 0, kernel: 0..=0 };
        verdict(&[Compared { captured, wire, kernel }, idle], 0)
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
    fn what_passed_while_capture_began_or_ended_is_nobodys_loss() {
        assert_eq!(of(100, 100, 95..=120), Verdict::Equal);
    }

    #[test]
    fn what_the_ring_lost_comes_first() {
        let idle = Compared { captured: 0, wire: 0, kernel: 5..=5 };
        let lost = verdict(&[idle.clone(), idle], 7);
        assert_eq!((lost, lost.to_string()), (Verdict::RingLost(7), "ring lost 7".into()));
    }
}
