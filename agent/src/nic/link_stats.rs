//! The kernel's own counters of a NIC (`rtnl_link_stats64`, `include/uapi/linux/if_link.h`).

use wire::frame::KernelCounts;
use wire::{Bytes, Packets};

use super::rtnetlink::LinkMessage;

/// `IFLA_STATS64`.
const STATS64: u16 = 23;

/// Counters since the NIC was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkStats(KernelCounts);

impl LinkStats {
    /// Takes them as they were read.
    #[must_use]
    pub const fn new(counts: KernelCounts) -> Self {
        Self(counts)
    }

    /// Reads the figures of interest. `None` if some are missing.
    #[must_use]
    pub fn of(stats: &[u8]) -> Option<Self> {
        let figure =
            |place: usize| stats.get(place * 8..)?.first_chunk().copied().map(u64::from_ne_bytes);
        Some(Self::new(KernelCounts {
            rx_packets: Packets(figure(0)?),
            tx_packets: Packets(figure(1)?),
            rx_bytes: Bytes(figure(2)?),
            tx_bytes: Bytes(figure(3)?),
            // rx_dropped, tx_dropped and rx_missed_errors.
            dropped: Packets(figure(6)?.saturating_add(figure(7)?).saturating_add(figure(15)?)),
            errors: Packets(figure(4)?.saturating_add(figure(5)?)),
        }))
    }

    /// The counters in a message about a NIC.
    #[must_use]
    pub fn of_message(message: &LinkMessage<'_>) -> Option<Self> {
        let stats = message.attributes().find(|(kind, _)| *kind == STATS64);
        stats.and_then(|(_, stats)| Self::of(stats))
    }

    /// The increase since `earlier`. A counter that fell was reset in between (some drivers do so
    /// when a NIC goes down); then its present value is the increase.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> KernelCounts {
        const fn packets(now: Packets, before: Packets) -> Packets {
            Packets(added(now.0, before.0))
        }
        const fn bytes(now: Bytes, before: Bytes) -> Bytes {
            Bytes(added(now.0, before.0))
        }
        const fn added(now: u64, before: u64) -> u64 {
            if now >= before { now - before } else { now }
        }
        let (now, before) = (self.0, earlier.0);
        KernelCounts {
            rx_packets: packets(now.rx_packets, before.rx_packets),
            tx_packets: packets(now.tx_packets, before.tx_packets),
            rx_bytes: bytes(now.rx_bytes, before.rx_bytes),
            tx_bytes: bytes(now.tx_bytes, before.tx_bytes),
            dropped: packets(now.dropped, before.dropped),
            errors: packets(now.errors, before.errors),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_fell_started_again_from_zero() {
        let stats = |rx_packets, tx_bytes| {
            LinkStats(KernelCounts { rx_packets, tx_bytes, ..KernelCounts::default() })
        };
        let added = stats(Packets(7), Bytes(150)).since(&stats(Packets(100), Bytes(100)));
        assert_eq!(
            (added.rx_packets, added.tx_bytes, added.errors),
            (Packets(7), Bytes(50), Packets(0))
        );
    }
}
