//! The mix of one NIC: what its samples of a mix interval consist of.

use std::ops::Range;

use wire::WallNs;
use wire::frame::{KernelCounts, Mix, MixCounts};
use wire::id::NicName;

use super::wall_span::WallSpan;
use crate::account::bank::Tally;

/// Sums up a mix interval.
#[derive(Debug)]
pub(super) struct MixCollector {
    span: WallSpan,
    rx: MixCounts,
    tx: MixCounts,
    kernel: KernelCounts,
}

impl MixCollector {
    /// Begins with the first sample; mixes have this length.
    pub fn new(interval_ns: u64) -> Self {
        let (span, counts) = (WallSpan::new(interval_ns), MixCounts::default());
        Self { span, rx: counts, tx: counts, kernel: KernelCounts::default() }
    }

    /// Adds a sample's; `wall` is the wall time that it covers. Returns a complete mix, if any.
    pub fn add(
        &mut self,
        tally: &Tally,
        kernel: KernelCounts,
        wall: &Range<WallNs>,
        last: bool,
        nic: NicName,
    ) -> Option<Mix> {
        self.rx.merge(&tally.rx.mix);
        self.tx.merge(&tally.tx.mix);
        self.kernel.merge(&kernel);
        let (start_ns, interval_ns) = self.span.add(wall, last)?;
        let Self { rx, tx, kernel, .. } = self;
        let (rx, tx, kernel) = (std::mem::take(rx), std::mem::take(tx), std::mem::take(kernel));
        Some(Mix { nic, start_ns, interval_ns, rx, tx, kernel })
    }
}

#[cfg(test)]
mod tests {
    use wire::{Bytes, Packets};

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_mix_ends_at_multiples_of_its_interval_and_holds_every_sample() {
        let mut mix = MixCollector::new(10 * SECOND);
        let nic = NicName::new("eth0").unwrap();
        let mut tally = Tally::default();
        tally.rx.mix.arp_bytes = Bytes(60);
        let mut add = |start: u64, last| {
            let wall = WallNs(start * SECOND)..WallNs((start + 1) * SECOND);
            mix.add(
                &tally,
                KernelCounts { errors: Packets(1), ..KernelCounts::default() },
                &wall,
                last,
                nic,
            )
        };
        assert!((17..19).all(|second| add(second, false).is_none()));
        let first = add(19, false).unwrap();
        assert_eq!((first.start_ns, first.interval_ns), (WallNs(17 * SECOND), 3 * SECOND));
        assert_eq!((first.rx.arp_bytes, first.kernel.errors), (Bytes(180), Packets(3)));
        assert!((20..29).all(|second| add(second, false).is_none()));
        assert_eq!(add(29, false).unwrap().rx.arp_bytes, Bytes(600));
        assert_eq!(add(30, true).unwrap().interval_ns, SECOND, "the last one is cut short");
        assert!(add(40, false).is_none());
        let stepped_back = add(3, false).unwrap();
        assert_eq!((stepped_back.rx.arp_bytes, stepped_back.interval_ns), (Bytes(120), 2 * SECOND));
        assert!(add(5, false).is_none());
        let stepped_on = add(2 * 86_400, false).unwrap();
        assert_eq!((stepped_on.start_ns, stepped_on.interval_ns), (WallNs(5 * SECOND), 2 * SECOND));
    }
}
