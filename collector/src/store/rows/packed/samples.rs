//! Samples, packed.

use wire::{Bytes, Packets, WallNs};

use super::rows::{Columnar, PackedColumns, ROWS_MAX, packed, unpack};
use super::sums::PackedSums;
use crate::store::rows::series::{Point, PointCounts};

/// Number of columns.
const COLUMNS: usize = 14;

/// Places of each direction's bytes, packets, captured packets, and peaks of 1 ms and 10 ms.
const RX: usize = 2;
const TX: usize = 7;

/// Samples of one NIC, packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The columns.
    pub columns: Vec<u8>,
    /// What they add up to.
    pub sums: PackedSums,
}

impl Packed {
    /// Packs samples in their order, at most [`ROWS_MAX`]; those beyond are left out. What is packed is compared
    /// with the samples before it is given, so that they may be deleted: `None` if it differs.
    #[must_use]
    pub fn of(rows: &[Point]) -> Option<Self> {
        let rows = rows.get(..ROWS_MAX).unwrap_or(rows);
        Some(Self { columns: packed(rows)?, sums: PackedSums::of(rows) })
    }

    /// The samples. `None` if the columns are damaged or add up to something else.
    #[must_use]
    pub fn rows(&self) -> Option<Vec<Point>> {
        unpack(&self.columns).filter(|rows: &Vec<Point>| PackedSums::of(rows) == self.sums)
    }
}

/// The starts of packed samples, of whose columns only the first [`super::bytes_of_starts`] are needed. `None` if
/// these are damaged.
#[must_use]
pub fn starts(packed: &[u8]) -> Option<Vec<WallNs>> {
    let starts = PackedColumns::of(packed, Point::FORMAT)?.first()?;
    Some(starts.all().iter().copied().map(WallNs).collect())
}

impl Columnar for Point {
    const FORMAT: u8 = 1;

    const LIKE: &'static [Option<usize>] = &{
        let mut like = [None; COLUMNS];
        (like[RX + 2], like[RX + 4]) = (Some(RX + 1), Some(RX + 3));
        (like[TX + 2], like[TX + 4]) = (Some(TX + 1), Some(TX + 3));
        like
    };

    fn figures(&self) -> impl AsRef<[u64]> {
        let Self { start_ns, interval_ns, rx, tx, drops, flags } = self;
        let counts = |it: &PointCounts| {
            let peaks = [it.peak_1ms_bytes, it.peak_10ms_bytes].map(u64::from);
            [it.bytes.get(), it.packets.get(), it.captured.get(), peaks[0], peaks[1]]
        };
        let ([a, b, c, d, e], [f, g, h, i, j]) = (counts(rx), counts(tx));
        let flags = u64::from(*flags);
        [start_ns.get(), *interval_ns, a, b, c, d, e, f, g, h, i, j, drops.get(), flags]
    }

    fn of_figures(figure: impl Fn(usize) -> u64) -> Option<Self> {
        let counts = |first| {
            Some(PointCounts {
                bytes: Bytes(figure(first)),
                packets: Packets(figure(first + 1)),
                captured: Packets(figure(first + 2)),
                peak_1ms_bytes: figure(first + 3).try_into().ok()?,
                peak_10ms_bytes: figure(first + 4).try_into().ok()?,
            })
        };
        Some(Self {
            start_ns: WallNs(figure(0)),
            interval_ns: figure(1),
            rx: counts(RX)?,
            tx: counts(TX)?,
            drops: Packets(figure(12)),
            flags: figure(13).try_into().ok()?,
        })
    }
}
