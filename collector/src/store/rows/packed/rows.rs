//! Rows of any kind, packed column by column.

use wire::WallNs;

use super::column::{self, number, put_number};

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
    let mut columns = vec![Vec::with_capacity(rows.len()); R::LIKE.len()];
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
    packed
}

/// The rows of packed columns. `None` if these are damaged.
#[must_use]
pub fn unpack<R: Columnar>(packed: &[u8]) -> Option<Vec<R>> {
    rows_where(&mut PackedColumns::of(packed, R::FORMAT)?, |_| true)
}

/// The rows of packed columns of so many rows that start at a time to be kept. `None` if the columns are
/// damaged.
#[must_use]
pub fn unpack_where<R: Columnar>(
    packed: &[u8],
    rows: u64,
    keep: impl Fn(WallNs) -> bool,
) -> Option<Vec<R>> {
    let mut columns = PackedColumns::of(packed, R::FORMAT).filter(|it| it.rows as u64 == rows)?;
    rows_where(&mut columns, keep)
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
pub(super) struct PackedColumns<'packed> {
    rows: usize,
    rest: &'packed [u8],
}

impl<'packed> PackedColumns<'packed> {
    pub fn of(packed: &'packed [u8], of_format: u8) -> Option<Self> {
        let (format, mut rest) = packed.split_first()?;
        let rows = usize::try_from(number(&mut rest)?).ok()?;
        (*format == of_format && rows <= ROWS_MAX).then_some(Self { rows, rest })
    }

    /// The next one. `like` is the column that it may be written like.
    pub fn next(&mut self, like: Option<&[u64]>) -> Option<Vec<u64>> {
        let len = usize::try_from(number(&mut self.rest)?).ok()?;
        let (sum, numbers) = self.rest.split_first_chunk()?;
        let (written, rest) = numbers.split_at_checked(len)?;
        self.rest = rest;
        let column = column::read(written, self.rows, like)?;
        (checksum(&column) == u32::from_le_bytes(*sum)).then_some(column)
    }
}

/// The rows of packed columns that start at a time to be kept: to make the others would take most of the time.
fn rows_where<R: Columnar>(
    packed: &mut PackedColumns<'_>,
    keep: impl Fn(WallNs) -> bool,
) -> Option<Vec<R>> {
    let mut columns: Vec<Vec<u64>> = Vec::with_capacity(R::LIKE.len());
    for like in R::LIKE {
        let column = packed.next(like.map(|at| columns[at].as_slice()))?;
        columns.push(column);
    }
    let kept = (0..packed.rows).filter(|row| keep(WallNs(columns[0][*row])));
    let rows = kept.map(|row| R::of_figures(|at| columns[at][row]));
    let rows = rows.collect::<Option<Vec<_>>>()?;
    packed.rest.is_empty().then_some(rows)
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
