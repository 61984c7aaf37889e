//! A talker of a table: its flow and its sums.

use wire::{Bytes, Packets};

use super::super::key::KeyedFlow;

/// A talker of a table: one line of the cache.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub struct TalkerEntry {
    /// The flow that was seen first, with the key.
    pub(super) flow: KeyedFlow,
    bytes: u64,
    /// How much more it may have had.
    pub(super) error: u64,
    /// Packets, shifted left by one; the last bit says that other flows were seen.
    packets_several: u64,
}

impl TalkerEntry {
    /// The flow that was seen first, with the key.
    #[must_use]
    pub const fn flow(&self) -> &KeyedFlow {
        &self.flow
    }

    /// At least this many bytes.
    #[must_use]
    pub const fn bytes(&self) -> Bytes {
        Bytes(self.bytes)
    }

    /// At most this many bytes more.
    #[must_use]
    pub const fn error(&self) -> Bytes {
        Bytes(self.error)
    }

    /// At least this many packets.
    #[must_use]
    pub const fn packets(&self) -> Packets {
        Packets(self.packets_several >> 1)
    }

    /// Other flows of its key were seen.
    #[must_use]
    pub const fn is_several(&self) -> bool {
        self.packets_several & 1 != 0
    }

    /// At most this many bytes.
    #[must_use]
    pub const fn upper(&self) -> Bytes {
        Bytes(self.bytes + self.error)
    }

    /// An entry of a talker that had at most `offset` bytes before.
    #[inline]
    pub(super) const fn new(flow: &KeyedFlow, offset: u64) -> Self {
        Self { flow: *flow, bytes: 0, error: offset, packets_several: 0 }
    }

    /// Counts bytes and packets of a flow of its key.
    #[inline]
    pub(super) fn count(&mut self, flow: &KeyedFlow, bytes: Bytes, packets: Packets) {
        self.bytes += bytes.get();
        self.packets_several += packets.get() << 1;
        self.packets_several |= u64::from(!self.flow.is_same_flow(flow));
    }

    /// Counts bytes and packets of flows that were counted before.
    #[inline]
    pub(in super::super) const fn count_known(&mut self, bytes: Bytes, packets: Packets) {
        self.bytes += bytes.get();
        self.packets_several += packets.get() << 1;
    }

    /// Counts what another table has of its key.
    pub(super) fn merge(&mut self, other: &Self) {
        self.count(&other.flow, other.bytes(), other.packets());
        self.packets_several |= other.packets_several & 1;
    }
}
