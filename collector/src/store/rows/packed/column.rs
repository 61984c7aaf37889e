//! One column of packed rows: numbers in blocks, each as few bits wide as its numbers need.
//!
//! A column whose numbers are all equal is that number. Another one is cut into blocks of [`BLOCK`] numbers.
//! Of a block, each number is written plain, or as its difference from the one before, or from the number of
//! the same row in another column, whichever takes least; always as the excess over the least of the block.

use std::ops::Range;

/// Numbers of a block. Shorter ones follow the traffic more closely, longer ones have fewer heads; between
/// 64 and 256 it makes little difference.
pub(super) const BLOCK: usize = 128;

/// First byte of a column.
const EQUAL: u8 = 0;
const BLOCKS: u8 = 1;

/// How a block's numbers are written; the second byte of the block is the width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    /// As differences from the number before.
    Steps,
    /// As differences from the other column.
    Like,
}

/// Numbers of a block as they are written: differences are taken modulo 2^64, so that all numbers have one.
fn differences(way: Way, numbers: &[u64], before: u64, like: &[u64]) -> [u64; BLOCK] {
    let mut written = [0; BLOCK];
    let each = written.iter_mut().zip(numbers);
    match way {
        Way::Plain => each.for_each(|(to, number)| *to = *number),
        Way::Steps => {
            let lasts = [before].into_iter().chain(numbers.iter().copied());
            each.zip(lasts).for_each(|((to, number), last)| *to = number.wrapping_sub(last));
        }
        Way::Like => {
            each.zip(like).for_each(|((to, number), like)| *to = number.wrapping_sub(*like));
        }
    }
    written
}

/// The least of some numbers and the bits that the excess of the others over it needs, both as signed
/// numbers, because differences may be negative.
fn range(written: &[u64]) -> (u64, u32) {
    let first = written.first().map_or(0, |it| it.cast_signed());
    let (least, most) = written.iter().fold((first, first), |(least, most), it| {
        (least.min(it.cast_signed()), most.max(it.cast_signed()))
    });
    let excess = most.wrapping_sub(least).cast_unsigned();
    (least.cast_unsigned(), u64::BITS - excess.leading_zeros())
}

/// Writes a column. `like` is the other one, as long.
pub(super) fn write(column: &[u64], like: Option<&[u64]>) -> Vec<u8> {
    let first = column.first().copied().unwrap_or_default();
    if column.iter().all(|number| *number == first) {
        let mut bytes = vec![EQUAL];
        put_number(&mut bytes, zigzag(first));
        return bytes;
    }
    let mut bytes = vec![BLOCKS];
    let mut before = 0;
    for (at, numbers) in column.chunks(BLOCK).enumerate() {
        let like = like.and_then(|like| like.get(at * BLOCK..));
        let ways = [Some(Way::Plain), Some(Way::Steps), like.map(|_| Way::Like)];
        let written_by = |way| differences(way, numbers, before, like.unwrap_or_default());
        let ranges = ways.into_iter().flatten().map(|way| {
            let (least, width) = range(&written_by(way)[..numbers.len()]);
            (way, least, width)
        });
        let least_bits = ranges.min_by_key(|(_, least, width)| {
            numbers.len() * *width as usize + 8 * number_len(zigzag(*least))
        });
        if let Some((way, least, width)) = least_bits {
            bytes.push(way as u8);
            bytes.push(u8::try_from(width).unwrap_or(64));
            put_number(&mut bytes, zigzag(least));
            put_bits(&mut bytes, &written_by(way)[..numbers.len()], least, width);
        }
        before = numbers.last().copied().unwrap_or_default();
    }
    bytes
}

/// A column of which the blocks are found, but no number is read yet.
pub(super) struct PackedColumn<'bytes> {
    blocks: Vec<PackedBlock<'bytes>>,
}

/// A block of a column; a column of equal numbers is one, too.
struct PackedBlock<'bytes> {
    rows: Range<usize>,
    way: Way,
    width: usize,
    least: u64,
    bits: &'bytes [u8],
}

/// Numbers of a column from a row on.
pub(super) struct ColumnNumbers {
    first: usize,
    numbers: Vec<u64>,
}

impl ColumnNumbers {
    /// That of a row.
    pub fn get(&self, row: usize) -> Option<u64> {
        self.numbers.get(row.checked_sub(self.first)?).copied()
    }

    /// Those that were read.
    pub fn all(&self) -> &[u64] {
        &self.numbers
    }
}

impl<'bytes> PackedColumn<'bytes> {
    /// Finds the blocks of a column of `count` numbers. `None` if the bytes are not exactly that.
    pub fn of(mut bytes: &'bytes [u8], count: usize) -> Option<Self> {
        let mut blocks = Vec::with_capacity(count.div_ceil(BLOCK));
        match take(&mut bytes)? {
            EQUAL => {
                let least = unzigzag(number(&mut bytes)?);
                blocks.push(PackedBlock {
                    rows: 0..count,
                    way: Way::Plain,
                    width: 0,
                    least,
                    bits: &[],
                });
            }
            BLOCKS => {
                for first in (0..count).step_by(BLOCK) {
                    let rows = first..count.min(first + BLOCK);
                    blocks.push(PackedBlock::take(&mut bytes, rows)?);
                }
            }
            _ => return None,
        }
        bytes.is_empty().then_some(Self { blocks })
    }

    /// The row to begin at to have the number of a row. A step needs the number before it, so a row of a block of
    /// steps needs the last one of the latest block before it that has none.
    pub fn begin(&self, row: usize) -> usize {
        let until = self.blocks.partition_point(|block| block.rows.start <= row);
        let known = self.blocks[..until].iter().rfind(|block| block.way != Way::Steps);
        known.map_or(0, |block| row.min(block.rows.end.saturating_sub(1)))
    }

    /// Reads the numbers of some rows, and those from [`Self::begin`] on. `like` has the other column's numbers of
    /// the same rows.
    pub fn read(&self, rows: Range<usize>, like: Option<&ColumnNumbers>) -> Option<ColumnNumbers> {
        let first = self.begin(rows.start);
        let mut numbers = Vec::with_capacity(rows.end.saturating_sub(first));
        for block in &self.blocks {
            let rows = first.max(block.rows.start)..rows.end.min(block.rows.end);
            if !rows.is_empty() {
                block.read(rows, like, &mut numbers)?;
            }
        }
        Some(ColumnNumbers { first, numbers })
    }
}

impl<'bytes> PackedBlock<'bytes> {
    /// Takes the block of some rows off the front.
    fn take(bytes: &mut &'bytes [u8], rows: Range<usize>) -> Option<Self> {
        let ways = [Way::Plain, Way::Steps, Way::Like];
        let way = *ways.get(usize::from(take(bytes)?))?;
        let width = usize::from(take(bytes)?);
        let least = unzigzag(number(bytes)?);
        let (bits, rest) = bytes.split_at_checked((rows.len() * width).div_ceil(8))?;
        *bytes = rest;
        (width <= u64::BITS as usize).then_some(Self { rows, way, width, least, bits })
    }

    /// Appends the numbers of some of its rows: of steps, all up to one, behind the number before them.
    fn read(
        &self,
        rows: Range<usize>,
        like: Option<&ColumnNumbers>,
        numbers: &mut Vec<u64>,
    ) -> Option<()> {
        let Self { way, width, least, bits, .. } = self;
        let nth = rows.start - self.rows.start..rows.end - self.rows.start;
        let written = nth.map(|nth| least.wrapping_add(excess(bits, nth * width, *width)));
        match way {
            Way::Plain => numbers.extend(written),
            Way::Steps => {
                let mut last = numbers.last().copied().unwrap_or_default();
                numbers.extend(written.map(|step| {
                    last = last.wrapping_add(step);
                    last
                }));
            }
            Way::Like => {
                let like = like?;
                let of = |row: usize| row.checked_sub(like.first);
                let like = like.numbers.get(of(rows.start)?..of(rows.end)?)?;
                numbers.extend(written.zip(like).map(|(it, like)| like.wrapping_add(it)));
            }
        }
        Some(())
    }
}

/// Appends the excess of numbers over the least, each `width` bits, the highest first: so SQL reads them as a
/// string of bits.
fn put_bits(bytes: &mut Vec<u8>, written: &[u64], least: u64, width: u32) {
    bytes.reserve((written.len() * width as usize).div_ceil(8));
    // The lowest `bits` of `held`, less than 64 between two numbers, are not written yet.
    let (mut held, mut bits) = (0_u128, 0);
    for number in written {
        held = held << width | u128::from(number.wrapping_sub(least));
        bits += width;
        if bits >= u64::BITS {
            bits -= u64::BITS;
            bytes.extend_from_slice(&lowest(held >> bits));
        }
    }
    let rest = lowest(held << (u64::BITS - bits));
    bytes.extend_from_slice(&rest[..bits.div_ceil(8) as usize]);
}

/// The lowest 64 bits of a number, the highest byte first.
fn lowest(number: u128) -> [u8; 8] {
    let [.., a, b, c, d, e, f, g, h] = number.to_be_bytes();
    [a, b, c, d, e, f, g, h]
}

/// The number of `width` bits from a bit on.
fn excess(bits: &[u8], from: usize, width: usize) -> u64 {
    let (byte, shift) = (from / 8, from % 8);
    if width == 0 {
        return 0;
    }
    let near = bits.get(byte..).and_then(|rest| rest.first_chunk::<8>());
    match near {
        Some(near) if shift + width <= 64 => {
            u64::from_be_bytes(*near) << shift >> (u64::BITS as usize - width)
        }
        _ => {
            let mut window = [0; 16];
            for (to, from) in window.iter_mut().zip(bits.get(byte..).unwrap_or_default()) {
                *to = *from;
            }
            let wide = u128::from_be_bytes(window) << shift >> (u128::BITS as usize - width);
            // At most 64 bits are left.
            u64::try_from(wide).unwrap_or(u64::MAX)
        }
    }
}

/// Appends a number in as many bytes as it needs, 7 bits each, the lowest first.
pub(super) fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

const fn number_len(number: u64) -> usize {
    (u64::BITS - (number | 1).leading_zeros()).div_ceil(7) as usize
}

/// Takes a byte off the front.
fn take(bytes: &mut &[u8]) -> Option<u8> {
    let (byte, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(*byte)
}

/// Takes a number off the front.
pub(super) fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = take(bytes)?;
        let part = u64::from(byte & 0x7f);
        if part.leading_zeros() < shift {
            return None;
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Small numbers for what is near 0 in both directions.
const fn zigzag(number: u64) -> u64 {
    number << 1 ^ (number.cast_signed() >> 63).cast_unsigned()
}

const fn unzigzag(number: u64) -> u64 {
    number >> 1 ^ (number & 1).wrapping_neg()
}
