//! What packed rows add up to. It stands beside them, so that much can be told without unpacking.

use wire::WallNs;

use crate::store::rows::series::Point;

/// Number, span, sums and largest values of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PackedSums {
    /// Number of rows.
    pub rows: u64,
    /// The earliest start.
    pub first_ns: WallNs,
    /// The latest start.
    pub last_ns: WallNs,
    /// Sum of the lengths, nanoseconds. These and the next ones may exceed 64 bits.
    pub interval_ns: u128,
    /// Bytes, packets and captured packets that were received, and the same for those transmitted.
    pub counts: [u128; 6],
    /// Packets dropped because the ring was full.
    pub drops: u128,
    /// The highest peaks: received in 1 ms and 10 ms, transmitted in 1 ms and 10 ms.
    pub peaks: [u32; 4],
    /// Union of the flags.
    pub flags: u32,
}

impl PackedSums {
    /// Adds up rows.
    #[must_use]
    pub fn of(rows: &[Point]) -> Self {
        let starts = || rows.iter().map(|row| row.start_ns);
        let mut sums = Self {
            rows: rows.len() as u64,
            first_ns: starts().min().unwrap_or_default(),
            last_ns: starts().max().unwrap_or_default(),
            ..Self::default()
        };
        for Point { interval_ns, rx, tx, drops, flags, .. } in rows {
            let packets = [rx.packets, rx.captured, tx.packets, tx.captured].map(|it| it.get());
            let [a, b, c, d] = packets;
            let counts = [rx.bytes.get(), a, b, tx.bytes.get(), c, d];
            let peaks =
                [rx.peak_1ms_bytes, rx.peak_10ms_bytes, tx.peak_1ms_bytes, tx.peak_10ms_bytes];
            sums.interval_ns += u128::from(*interval_ns);
            sums.drops += u128::from(drops.get());
            for (sum, count) in sums.counts.iter_mut().zip(counts) {
                *sum += u128::from(count);
            }
            for (most, peak) in sums.peaks.iter_mut().zip(peaks) {
                *most = peak.max(*most);
            }
            sums.flags |= flags;
        }
        sums
    }
}
