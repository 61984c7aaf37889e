//! How full a link is. Takes samples and times.

use wire::Bytes;
use wire::WallNs;
use wire::frame::Counts;

/// Bytes that each packet takes on an Ethernet beside those that are counted: FCS 4, preamble and start
/// delimiter 8, inter-packet gap 12 (IEEE 802.3).
const OVERHEAD: Bytes = Bytes(24);

/// Samples are put together up to this length, nanoseconds: single short ones say little.
const SPAN_NS: u64 = 1_000_000_000;

/// A link is full from this share of its speed on, until it is below the second.
const FULL: f64 = 0.9;
const RELAXED: f64 = 0.8;

/// It has to last this long, nanoseconds: a short transfer at full speed is no trouble.
const LASTS_NS: u64 = 5_000_000_000;

/// Samples further apart than this, nanoseconds, or than three of them, are no run: what the link
/// carried in between is not known.
const APART_NS: u64 = 5_000_000_000;

/// Share of a link's speed that one direction takes, with the overhead on the wire: 1 is full.
#[allow(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
pub(super) fn share(counts: &Counts, interval_ns: u64, speed_bits: u64) -> f64 {
    let bytes = counts.bytes.saturating_add(counts.packets.of_each(OVERHEAD));
    bytes.as_f64() * 8e9 / interval_ns.max(1) as f64 / speed_bits.max(1) as f64
}

/// Since when a link is full.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Load {
    /// The sum of shares times lengths, each direction, and the lengths, of what is put together.
    sums: [f64; 2],
    covered_ns: u64,
    /// Since when it is at [`FULL`], and was not below [`RELAXED`].
    above_ns: Option<WallNs>,
    /// Whether that lasts.
    full: bool,
    /// End of the last sample by the client's clock.
    until_ns: WallNs,
}

impl Load {
    /// Takes the shares of both directions of a sample that has just ended: when it started by the
    /// client's clock, and its length.
    #[allow(clippy::cast_precision_loss, reason = "a length needs no more than 53 bits")]
    pub fn add(
        &mut self,
        shares: [f64; 2],
        (start_ns, interval_ns): (WallNs, u64),
        now_ns: WallNs,
    ) {
        let apart_ns = APART_NS.max(interval_ns.saturating_mul(3));
        if start_ns > self.until_ns.saturating_add(apart_ns) {
            *self = Self::default();
        }
        self.until_ns = start_ns.saturating_add(interval_ns);
        for (sum, share) in self.sums.iter_mut().zip(shares) {
            *sum += share * interval_ns as f64;
        }
        self.covered_ns = self.covered_ns.saturating_add(interval_ns);
        if self.covered_ns < SPAN_NS {
            return;
        }
        let [rx, tx] = self.sums.map(|sum| sum / self.covered_ns as f64);
        let share = rx.max(tx);
        if share >= FULL {
            let began_ns = now_ns.saturating_sub(self.covered_ns);
            self.above_ns.get_or_insert(began_ns);
        } else if share < RELAXED {
            self.above_ns = None;
        }
        self.full = self.above_ns.is_some_and(|above| now_ns.saturating_since(above) >= LASTS_NS);
        (self.sums, self.covered_ns) = ([0.0; 2], 0);
    }

    /// Since when the link is full, if it is: nanoseconds since 1970 by the collector's clock.
    pub const fn full_since_ns(&self) -> Option<WallNs> {
        if self.full { self.above_ns } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Bytes, Packets};

    const SECOND: u64 = 1_000_000_000;

    /// Whether it is full, and since when, after shares of so many intervals from second 100 on.
    fn after(interval_ns: u64, shares: impl IntoIterator<Item = f64>) -> Option<u64> {
        let mut load = Load::default();
        let mut now = WallNs(100 * SECOND);
        for share in shares {
            load.add([share / 3.0, share], (now, interval_ns), now + interval_ns);
            now += interval_ns;
        }
        load.full_since_ns().map(WallNs::get)
    }

    #[test]
    fn small_packets_fill_a_link_with_fewer_bytes() {
        // 14.88 million packets of 60 bytes (64 with FCS) per second are all that 10 Gbit/s carry.
        let counts = Counts {
            bytes: Bytes(14_880_952 * 60),
            packets: Packets(14_880_952),
            ..Counts::default()
        };
        assert!((share(&counts, SECOND, 10_000_000_000) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_link_is_full_once_it_lasts_and_since_it_began() {
        let half = SECOND / 2;
        assert_eq!(after(half, [0.95; 9]), None);
        assert_eq!(after(half, [0.95; 10]), Some(100 * SECOND));
        let shares = [[0.2; 4].as_slice(), &[0.95; 10]].concat();
        assert_eq!(after(half, shares), Some(102 * SECOND));
        assert_eq!(after(60 * SECOND, [0.95]), Some(100 * SECOND));
    }

    #[test]
    fn it_stays_full_until_it_is_clearly_not() {
        let shares = |last: f64| [[0.95; 10].as_slice(), &[last; 2]].concat();
        assert_eq!(after(SECOND, shares(0.85)), Some(100 * SECOND));
        assert_eq!(after(SECOND, shares(0.79)), None);
        assert_eq!(after(SECOND, [0.85; 60]), None, "never was full");
    }

    #[test]
    fn of_an_absence_nothing_is_known_so_it_begins_anew() {
        let mut load = Load::default();
        let mut full_since = |starts: std::ops::Range<u64>| {
            for start in starts {
                load.add(
                    [0.0, 0.95],
                    (WallNs(start * SECOND), SECOND),
                    WallNs((start + 1) * SECOND),
                );
            }
            load.full_since_ns().map(|since| since / SECOND)
        };
        assert_eq!(full_since(100..110), Some(100));
        assert_eq!(full_since(115..116), Some(100), "a few seconds are no absence");
        assert_eq!(full_since(122..123), None);
        assert_eq!(full_since(123..130), Some(122));
    }

    #[test]
    fn single_short_intervals_say_little() {
        // 10 ms each: every tenth is empty, so the mean is 0.9.
        let shares = (0..1000).map(|n| if n % 10 == 0 { 0.0 } else { 1.0 });
        assert_eq!(after(SECOND / 100, shares), Some(100 * SECOND));
    }
}
