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
    rows_where(&mut Columns::of(packed)?, |_| true)
}

/// The starts of the rows of packed columns, of which only the first [`bytes_of_starts`] are needed. `None` if
/// these are damaged.
#[must_use]
pub fn starts(packed: &[u8]) -> Option<Vec<WallNs>> {
    let starts = Columns::of(packed)?.next(None)?;
    Some(starts.into_iter().map(WallNs).collect())
}

/// Most bytes that come before the end of the starts of so many packed rows; each row adds as many.
#[must_use]
pub const fn bytes_of_starts(rows: u64) -> u64 {
    // A block has at most 12 bytes besides its numbers of 8, and 12 numbers or more unless it is the last one.
    const BLOCK: u64 = 12;
    const { assert!(column::BLOCK as u64 >= BLOCK) };
    32 + BLOCK + rows * 9
}

/// Reads packed columns in their order.
struct Columns<'packed> {
    rows: usize,
    rest: &'packed [u8],
}

impl<'packed> Columns<'packed> {
    fn of(packed: &'packed [u8]) -> Option<Self> {
        let (format, mut rest) = packed.split_first()?;
        let rows = usize::try_from(number(&mut rest)?).ok()?;
        (*format == FORMAT && rows <= ROWS_MAX).then_some(Self { rows, rest })
    }

    /// The next one. `like` is the column that it may be written like.
    fn next(&mut self, like: Option<&[u64]>) -> Option<Vec<u64>> {
        let len = usize::try_from(number(&mut self.rest)?).ok()?;
        let (sum, numbers) = self.rest.split_first_chunk()?;
        let (written, rest) = numbers.split_at_checked(len)?;
        self.rest = rest;
        let column = column::read(written, self.rows, like)?;
        (checksum(&column) == u32::from_le_bytes(*sum)).then_some(column)
    }
}

/// The rows of packed columns that start at a time to be kept: to make the others would take most of the time.
fn rows_where(packed: &mut Columns<'_>, keep: impl Fn(WallNs) -> bool) -> Option<Vec<Point>> {
    let mut columns: [Vec<u64>; COLUMNS] = Default::default();
    for (at, like) in LIKE.into_iter().enumerate() {
        columns[at] = packed.next(like.map(|at| columns[at].as_slice()))?;
    }
    let kept = (0..packed.rows).filter(|row| keep(WallNs(columns[0][*row])));
    let rows = kept.map(|row| point(std::array::from_fn(|at| columns[at][row])));
    let rows = rows.collect::<Option<Vec<_>>>()?;
    packed.rest.is_empty().then_some(rows)
}

/// The rows of packed columns of so many rows that start at a time to be kept. `None` if the columns are
/// damaged.
#[must_use]
pub fn unpack_where(packed: &[u8], rows: u64, keep: impl Fn(WallNs) -> bool) -> Option<Vec<Point>> {
    let mut columns = Columns::of(packed).filter(|it| it.rows as u64 == rows)?;
    rows_where(&mut columns, keep)
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
