//! The sampler's output.

use wire::Packets;
use wire::frame::{Mix, Sample};
use wire::id::NicName;

use super::verdict::Verdict;
use crate::talkers::{SeenSockets, TalkersReport};

/// Results of one interval.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IntervalReport {
    /// One sample per NIC.
    pub samples: Vec<Sample>,
    /// The mixes that ended with the interval.
    pub mixes: Vec<Mix>,
    /// The talkers whose interval ended with it.
    pub talkers: Vec<TalkersReport>,
    /// The sockets of the interval's largest talkers, by the kind of their keys: whose they are is
    /// found out while they are open.
    pub largest: Vec<(u8, SeenSockets)>,
    /// NICs whose capture ended with it.
    pub ended: Vec<CaptureEnd>,
}

/// The end of a NIC's capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaptureEnd {
    /// The NIC.
    pub nic: NicName,
    /// Its balance, which is final.
    pub balance: Balance,
    /// Comparison with the kernel's own counters.
    pub verdict: Verdict,
}

/// Packets offered to a NIC's rings, and their fate, as the tap saw them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Balance {
    /// Packets that came to the rings.
    pub offered: Packets,
    /// Packets for which they had no room.
    pub dropped: Packets,
    /// Packets counted.
    pub seen: Packets,
}

impl Balance {
    /// True if every packet was counted or is known to be missing. While capture runs, packets
    /// may be in a ring still.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.seen + self.dropped == self.offered
    }
}
