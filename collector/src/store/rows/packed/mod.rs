//! Packed rows: the samples of one NIC over a stretch of time, column by column. Nothing is lost; one takes 9
//! bytes of a silent NIC to 23 of a busy one (`bench packed`). Pure: every store packs the same.
//!
//! What is packed has a format byte, the number of rows, and for each of the 14 columns its length, the CRC-32
//! of its numbers, and its numbers in blocks that are as few bits wide as they can be, the highest bit first.

mod column;
pub mod stretches;
mod sums;

use wire::{Bytes, Packets, WallNs};

use self::column::{number, put_number};
pub use self::sums::PackedSums;
use crate::store::rows::series::{Point, PointCounts};

/// First byte of everything packed; another one is not read.
const FORMAT: u8 = 1;

/// Most rows packed together: an hour at two samples a second. This bounds the memory that unpacking takes
/// (1 MiB), and the time until a single row is read.
pub const ROWS_MAX: usize = 8192;

/// Number of columns.
const COLUMNS: usize = 14;

/// The columns in their order, and the place of one before it that is often equal or near.
const LIKE: [Option<usize>; COLUMNS] = {
    let mut like = [None; COLUMNS];
    (like[RX + 2], like[RX + 4]) = (Some(RX + 1), Some(RX + 3));
    (like[TX + 2], like[TX + 4]) = (Some(TX + 1), Some(TX + 3));
    like
};

/// Places of each direction's bytes, packets, captured packets, and peaks of 1 ms and 10 ms.
const RX: usize = 2;
const TX: usize = 7;

/// Rows of one NIC, packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The columns.
    pub columns: Vec<u8>,
    /// What they add up to.
    pub sums: PackedSums,
}

impl Packed {
    /// Packs rows in their order, at most [`ROWS_MAX`]; those beyond are left out. What is packed is compared
    /// with the rows before it is given, so that they may be deleted: `None` if it differs.
    #[must_use]
    pub fn of(rows: &[Point]) -> Option<Self> {
        let rows = rows.get(..ROWS_MAX).unwrap_or(rows);
        let columns = pack(rows);
        let proven = unpack(&columns)? == rows;
        proven.then(|| Self { columns, sums: PackedSums::of(rows) })
    }

    /// The rows. `None` if the columns are damaged or add up to something else.
    #[must_use]
    pub fn rows(&self) -> Option<Vec<Point>> {
        unpack(&self.columns).filter(|rows| PackedSums::of(rows) == self.sums)
    }
}

fn pack(rows: &[Point]) -> Vec<u8> {
    let mut columns: [Vec<u64>; COLUMNS] = Default::default();
    for row in rows {
        for (column, figure) in columns.iter_mut().zip(figures(row)) {
            column.push(figure);
        }
    }
    let mut packed = vec![FORMAT];
    put_number(&mut packed, rows.len() as u64);
    for (column, like) in columns.iter().zip(LIKE) {
        let written = column::write(column, like.map(|at| columns[at].as_slice()));
        put_number(&mut packed, written.len() as u64);
        packed.extend(checksum(column).to_le_bytes());
        packed.extend(written);
    }
    packed
}

/// The rows of packed columns. `None` if these are damaged.
#[must_use]
pub fn unpack(packed: &[u8]) -> Option<Vec<Point>> {
    let (format, mut rest) = packed.split_first()?;
    let count = usize::try_from(number(&mut rest)?).ok()?;
    if *format != FORMAT || count > ROWS_MAX {
        return None;
    }
    let mut columns: [Vec<u64>; COLUMNS] = Default::default();
    for (at, like) in LIKE.into_iter().enumerate() {
        let len = usize::try_from(number(&mut rest)?).ok()?;
        let (sum, numbers) = rest.split_first_chunk()?;
        let (written, after) = numbers.split_at_checked(len)?;
        let column = column::read(written, count, like.map(|at| columns[at].as_slice()))?;
        if checksum(&column) != u32::from_le_bytes(*sum) {
            return None;
        }
        (columns[at], rest) = (column, after);
    }
    let rows = (0..count).map(|row| point(std::array::from_fn(|at| columns[at][row])));
    let rows = rows.collect::<Option<Vec<_>>>()?;
    rest.is_empty().then_some(rows)
}

/// CRC-32 of a column's numbers, 8 bytes each, the lowest first.
fn checksum(column: &[u64]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    let mut bytes = [0; 8 * 64];
    for some in column.chunks(64) {
        for (bytes, number) in bytes.chunks_exact_mut(8).zip(some) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        sum.update(bytes.get(..8 * some.len()).unwrap_or_default());
    }
    sum.finalize()
}

/// The figures of a row, in the order of the columns.
fn figures(row: &Point) -> [u64; COLUMNS] {
    let Point { start_ns, interval_ns, rx, tx, drops, flags } = row;
    let counts = |it: &PointCounts| {
        let peaks = [it.peak_1ms_bytes, it.peak_10ms_bytes].map(u64::from);
        [it.bytes.get(), it.packets.get(), it.captured.get(), peaks[0], peaks[1]]
    };
    let ([a, b, c, d, e], [f, g, h, i, j]) = (counts(rx), counts(tx));
    let flags = u64::from(*flags);
    [start_ns.get(), *interval_ns, a, b, c, d, e, f, g, h, i, j, drops.get(), flags]
}

fn point(figures: [u64; COLUMNS]) -> Option<Point> {
    let [start_ns, interval_ns, a, b, c, d, e, f, g, h, i, j, drops, flags] = figures;
    let counts = |[bytes, packets, captured, peak_1ms, peak_10ms]: [u64; 5]| {
        Some(PointCounts {
            bytes: Bytes(bytes),
            packets: Packets(packets),
            captured: Packets(captured),
            peak_1ms_bytes: peak_1ms.try_into().ok()?,
            peak_10ms_bytes: peak_10ms.try_into().ok()?,
        })
    };
    Some(Point {
        start_ns: WallNs(start_ns),
        interval_ns,
        rx: counts([a, b, c, d, e])?,
        tx: counts([f, g, h, i, j])?,
        drops: Packets(drops),
        flags: flags.try_into().ok()?,
    })
}

#[cfg(test)]
mod tests;
