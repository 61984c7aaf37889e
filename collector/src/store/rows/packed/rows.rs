//! Rows of any kind, packed column by column.

use wire::WallNs;

use super::column::{self, ColumnNumbers, PackedColumn, number, put_number};

/// Most rows packed together: an hour at two samples a second. This bounds the memory that unpacking takes
/// (4 MiB), and the time until a single row is read.
pub const ROWS_MAX: usize = 8192;

/// A row that can be packed: a start and figures, which become columns.
pub trait Columnar: PartialEq + Sized {
    /// First byte of what is packed of such rows; another one is not read.
    const FORMAT: u8;

    /// The columns in their order, and the place of one before it that is often equal or near.
    const LIKE: &'static [Option<usize>];

    /// The figures of a row, in the order of the columns. The first one is its start, nanoseconds since 1970 (UTC).
    fn figures(&self) -> impl AsRef<[u64]>;

    /// The row of the figures at each place. `None` if no row has them.
    fn of_figures(figure: impl Fn(usize) -> u64) -> Option<Self>;
}

/// The columns of rows in their order, at most [`ROWS_MAX`]. They are unpacked and compared with the rows before they
/// are given, so that the rows may be deleted: `None` if they differ.
pub(super) fn packed<R: Columnar>(rows: &[R]) -> Option<Vec<u8>> {
    let columns = pack(rows);
    let proven = unpack::<R>(&columns)? == rows;
    proven.then_some(columns)
}

fn pack<R: Columnar>(rows: &[R]) -> Vec<u8> {
    let column = |_: &Option<usize>| Vec::with_capacity(rows.len());
    let mut columns: Vec<Vec<u64>> = R::LIKE.iter().map(column).collect();
    for row in rows {
        for (column, figure) in columns.iter_mut().zip(row.figures().as_ref()) {
            column.push(*figure);
        }
    }
    let mut packed = vec![R::FORMAT];
    put_number(&mut packed, rows.len() as u64);
    for (column, like) in columns.iter().zip(R::LIKE) {
        let written = column::write(column, like.map(|at| columns[at].as_slice()));
        put_number(&mut packed, written.len() as u64);
        packed.extend(checksum(column).to_le_bytes());
        packed.extend(written);
    }
    let sum = crc32fast::hash(&packed);
    packed.extend(sum.to_le_bytes());
    packed
}

/// The rows of packed columns. `None` if these are damaged.
#[must_use]
pub fn unpack<R: Columnar>(packed: &[u8]) -> Option<Vec<R>> {
    PackedColumns::of(packed, R::FORMAT)?.rows_where(|_| true)
}

/// The rows of packed columns of so many rows that start at a time to be kept. `None` if the columns are
/// damaged.
#[must_use]
pub fn unpack_where<R: Columnar>(
    packed: &[u8],
    rows: u64,
    keep: impl Fn(WallNs) -> bool,
) -> Option<Vec<R>> {
    let columns = PackedColumns::of(packed, R::FORMAT).filter(|it| it.rows as u64 == rows)?;
    columns.rows_where(keep)
}

/// Most bytes that come before the end of the starts of so many packed rows; each row adds as many.
#[must_use]
pub const fn bytes_of_starts(rows: u64) -> u64 {
    // A block has at most 12 bytes besides its numbers of 8, and 12 numbers or more unless it is the last one.
    const BLOCK: u64 = 12;
    const { assert!(column::BLOCK as u64 >= BLOCK) };
    32 + BLOCK + rows * 9
}

/// Packed columns in their order.
pub(super) struct PackedColumns<'packed> {
    packed: &'packed [u8],
    rows: usize,
    rest: &'packed [u8],
}

impl<'packed> PackedColumns<'packed> {
    pub fn of(packed: &'packed [u8], of_format: u8) -> Option<Self> {
        let (format, mut rest) = packed.split_first()?;
        let rows = usize::try_from(number(&mut rest)?).ok()?;
        (*format == of_format && rows <= ROWS_MAX).then_some(Self { packed, rows, rest })
    }

    /// The next one, and the CRC-32 of its numbers.
    fn next(&mut self) -> Option<(PackedColumn<'packed>, u32)> {
        let len = usize::try_from(number(&mut self.rest)?).ok()?;
        let (sum, numbers) = self.rest.split_first_chunk()?;
        let (written, rest) = numbers.split_at_checked(len)?;
        self.rest = rest;
        Some((PackedColumn::of(written, self.rows)?, u32::from_le_bytes(*sum)))
    }

    /// The numbers of the first one.
    pub fn first(mut self) -> Option<ColumnNumbers> {
        let (column, sum) = self.next()?;
        column.read(0..self.rows, None).filter(|numbers| checksum(numbers.all()) == sum)
    }

    /// True if behind the columns there is the CRC-32 of all bytes before it, false if there is nothing. `None` if
    /// there is anything else.
    fn have_sum(&self) -> Option<bool> {
        if self.rest.is_empty() {
            return Some(false);
        }
        let (before, sum) = self.packed.split_last_chunk()?;
        let is_right =
            self.rest.len() == sum.len() && crc32fast::hash(before).to_le_bytes() == *sum;
        is_right.then_some(true)
    }

    /// The rows that start at a time to be kept. Only what these need is read: to read all would take most of the
    /// time. Without the CRC-32 of all bytes, all is read, because only the columns' own ones tell of damage.
    fn rows_where<R: Columnar>(mut self, keep: impl Fn(WallNs) -> bool) -> Option<Vec<R>> {
        let columns = R::LIKE.iter().map(|_| self.next()).collect::<Option<Vec<_>>>()?;
        let have_sum = self.have_sum()?;
        let starts = columns.first()?.0.read(0..self.rows, None)?;
        let keeps = |start: &u64| keep(WallNs(*start));
        let first = starts.all().iter().position(keeps).unwrap_or_default();
        let end = starts.all().iter().rposition(keeps).map_or(0, |last| last + 1);
        let needed = if have_sum { first..end } else { 0..self.rows };
        // A column begins no later than one that is written like it, which comes after it.
        let mut begins = vec![needed.start; columns.len()];
        for (at, (column, _)) in columns.iter().enumerate().rev() {
            begins[at] = column.begin(begins[at]);
            if let Some(like) = R::LIKE[at] {
                begins[like] = begins[like].min(begins[at]);
            }
        }
        let mut numbers = Vec::with_capacity(columns.len());
        for ((column, sum), (begin, like)) in columns.iter().zip(begins.into_iter().zip(R::LIKE)) {
            let like = like.and_then(|at| numbers.get(at));
            let read: ColumnNumbers = column.read(begin..needed.end, like)?;
            if !have_sum && checksum(read.all()) != *sum {
                return None;
            }
            numbers.push(read);
        }
        let kept = (first..end).filter(|row| starts.get(*row).is_some_and(|it| keeps(&it)));
        let figure =
            |row, at: usize| numbers.get(at).and_then(|it| it.get(row)).unwrap_or_default();
        kept.map(|row| R::of_figures(|at| figure(row, at))).collect()
    }
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
