//! The kernel's own counters of a NIC (`rtnl_link_stats64`, `include/uapi/linux/if_link.h`).

use netlink_packet_route::link::{LinkAttribute, LinkMessage, Stats64};
use wire::frame::KernelCounts;

/// Counters since the NIC was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkStats(KernelCounts);

impl LinkStats {
    /// Takes them as they were read.
    #[must_use]
    pub const fn new(counts: KernelCounts) -> Self {
        Self(counts)
    }

    /// The figures of interest.
    #[must_use]
    pub const fn of(stats: &Stats64) -> Self {
        Self::new(KernelCounts {
            rx_packets: stats.rx_packets,
            tx_packets: stats.tx_packets,
            rx_bytes: stats.rx_bytes,
            tx_bytes: stats.tx_bytes,
            dropped: stats
                .rx_dropped
                .saturating_add(stats.rx_missed_errors)
                .saturating_add(stats.tx_dropped),
            errors: stats.rx_errors.saturating_add(stats.tx_errors),
        })
    }

    /// What a message about a NIC says of them.
    #[must_use]
    pub fn of_message(message: &LinkMessage) -> Option<Self> {
        message.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Stats64(stats) => Some(Self::of(stats)),
            _ => None,
        })
    }

    /// What was added since `earlier`. A counter that fell was set to zero in between (some
    /// drivers do so when a NIC goes down): then what it has now was added.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> KernelCounts {
        const fn added(now: u64, before: u64) -> u64 {
            if now >= before { now - before } else { now }
        }
        let (now, before) = (self.0, earlier.0);
        KernelCounts {
            rx_packets: added(now.rx_packets, before.rx_packets),
            tx_packets: added(now.tx_packets, before.tx_packets),
            rx_bytes: added(now.rx_bytes, before.rx_bytes),
            tx_bytes: added(now.tx_bytes, before.tx_bytes),
            dropped: added(now.dropped, before.dropped),
            errors: added(now.errors, before.errors),
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
        let added = stats(7, 150).since(&stats(100, 100));
        assert_eq!((added.rx_packets, added.tx_bytes, added.errors), (7, 50, 0));
    }
}
