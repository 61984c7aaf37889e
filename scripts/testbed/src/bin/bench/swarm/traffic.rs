//! The traffic of simulated NICs: figures of a busy host, and their sums.

use wire::WallNs;
use wire::frame::{Counts, KernelCounts, Mix, MixCounts, Sample};
use wire::id::NicName;
use wire::{Bytes, Packets};

/// A simulated NIC.
#[derive(Debug)]
pub struct Nic {
    name: NicName,
    random: u64,
    rx: Counts,
    tx: Counts,
}

impl Nic {
    /// The NIC `eth{number}`; `seed` varies its figures.
    ///
    /// # Panics
    /// Never: the name is short.
    #[must_use]
    pub fn new(number: u32, seed: u64) -> Self {
        let name = NicName::new(&format!("eth{number}")).expect("a short name");
        Self { name, random: seed | 1, rx: Counts::default(), tx: Counts::default() }
    }

    /// The next sample.
    pub fn sample(&mut self, start_ns: WallNs, interval_ns: u64) -> Sample {
        let (rx, tx) = (self.direction(), self.direction());
        for (sum, counts) in [(&mut self.rx, rx), (&mut self.tx, tx)] {
            sum.merge(&counts);
            sum.total_bytes += counts.bytes;
            sum.total_packets += counts.packets;
        }
        let totals = |counts: Counts, sum: &Counts| Counts {
            total_bytes: sum.total_bytes,
            total_packets: sum.total_packets,
            ..counts
        };
        Sample {
            nic: self.name,
            start_ns,
            interval_ns,
            rx: totals(rx, &self.rx),
            tx: totals(tx, &self.tx),
            kernel: KernelCounts {
                rx_packets: rx.captured,
                tx_packets: tx.captured,
                rx_bytes: rx.bytes,
                tx_bytes: tx.bytes,
                ..KernelCounts::default()
            },
            ..Sample::default()
        }
    }

    /// A mix that matches the bytes of a typical sample.
    #[must_use]
    pub fn mix(&self, start_ns: WallNs, interval_ns: u64) -> Mix {
        let counts = |counts: &Counts| MixCounts {
            ipv4_bytes: counts.bytes,
            tcp_bytes: counts.bytes,
            tcp_packets: counts.packets,
            ..MixCounts::default()
        };
        let (rx, tx) = (counts(&self.rx), counts(&self.tx));
        Mix { nic: self.name, start_ns, interval_ns, rx, tx, kernel: KernelCounts::default() }
    }

    /// Up to 60 MB in packets of 700 bytes; the tap sees a third of the packets.
    fn direction(&mut self) -> Counts {
        // Knuth's linear congruential generator (MMIX).
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let bytes = (self.random >> 33) % 60_000_000;
        let peak = u32::try_from(bytes / 100).unwrap_or(0);
        Counts {
            bytes: Bytes(bytes),
            packets: Packets(bytes / 700),
            captured: Packets(bytes / 2100),
            peak_1ms_bytes: peak,
            peak_10ms_bytes: peak * 7,
            ..Counts::default()
        }
    }
}
