//! What accounts are metered from: the 5-minute sums of NICs, gaps with counts, and link changes.

use wire::{Bytes, Packets, WallNs};

/// Packets and their bytes, from the MAC header to the end of the payload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Volume {
    /// Bytes.
    pub bytes: Bytes,
    /// Packets.
    pub packets: Packets,
}

impl Volume {
    /// The sum.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            packets: self.packets.saturating_add(other.packets),
        }
    }
}

/// A NIC that a client ever had, forgotten clients included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownNic {
    /// The client.
    pub client: String,
    /// Its name.
    pub nic: String,
    /// What it is: `physical`, `bond`, ...
    pub kind: String,
    /// Link speed as its driver tells it, bit/s; 0 if unknown.
    pub speed_bits: u64,
}

/// A time during which a client had a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagStay {
    /// The client.
    pub client: String,
    /// Its start, nanoseconds since 1970 (UTC); a multiple of 5 minutes.
    pub from_ns: WallNs,
    /// Its end, not included, nanoseconds since 1970 (UTC); a multiple of 5 minutes.
    pub to_ns: WallNs,
}

/// What was of a NIC before a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NicBefore {
    /// It was measured.
    pub measured: bool,
    /// Its link was down.
    pub down: bool,
}

/// What is stored of a NIC for a range of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NicHistory {
    /// Rows of `bandwidth_5m`, oldest first, from the interval before the range on.
    pub rows: Vec<MeterRow>,
    /// Gaps with exact counts that overlap the range, oldest first.
    pub gaps: Vec<CountedGap>,
    /// Changes of its link in the range, oldest first.
    pub links: Vec<LinkTurn>,
}

/// One row of `bandwidth_5m`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MeterRow {
    /// Start of its interval, nanoseconds since 1970 (UTC).
    pub start_ns: WallNs,
    /// Measured time of the samples that start in it, nanoseconds.
    pub covered_ns: u64,
    /// Received.
    pub rx: Volume,
    /// Transmitted.
    pub tx: Volume,
    /// Packets that the ring dropped: they are not in the volumes.
    pub drops: Packets,
    /// Not part of the host's total then.
    pub stacked: bool,
}

/// A time without samples of which the counts are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CountedGap {
    /// Its start, nanoseconds since 1970 (UTC).
    pub start_ns: WallNs,
    /// Its length, nanoseconds.
    pub interval_ns: u64,
    /// Received.
    pub rx: Volume,
    /// Transmitted.
    pub tx: Volume,
}

/// A link that went up or down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkTurn {
    /// When, nanoseconds since 1970 (UTC).
    pub time_ns: WallNs,
    /// It is up since.
    pub up: bool,
}
