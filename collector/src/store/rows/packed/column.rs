//! One column of packed rows: numbers in blocks, each as few bits wide as its numbers need.
//!
//! A column whose numbers are all equal is that number. Another one is cut into blocks of [`BLOCK`] numbers.
//! Of a block, each number is written plain, or as its difference from the one before, or from the number of
//! the same row in another column, whichever takes least; always as the excess over the least of the block.

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

/// Numbers as they are written: differences are taken modulo 2^64, so that all numbers have one.
fn differences(way: Way, numbers: &[u64], before: u64, like: &[u64]) -> [u64; BLOCK] {
    let mut written = [0; BLOCK];
    let mut last = before;
    for (at, (number, to)) in numbers.iter().zip(&mut written).enumerate() {
        *to = match way {
            Way::Plain => *number,
            Way::Steps => number.wrapping_sub(last),
            Way::Like => number.wrapping_sub(like.get(at).copied().unwrap_or_default()),
        };
        last = *number;
    }
    written
}

/// The least of some numbers and the bits that the excess of the others over it needs, both as signed
/// numbers, because differences may be negative.
fn range(written: &[u64]) -> (u64, u32) {
    let signed = || written.iter().map(|it| it.cast_signed());
    let least = signed().min().unwrap_or_default().cast_unsigned();
    let most = signed().max().unwrap_or_default().cast_unsigned();
    (least, u64::BITS - most.wrapping_sub(least).leading_zeros())
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
        let written = ways.into_iter().flatten().map(|way| {
            let all = differences(way, numbers, before, like.unwrap_or_default());
            let (least, width) = range(&all[..numbers.len()]);
            (way, all, least, width)
        });
        let least_bits = written.min_by_key(|(_, _, least, width)| {
            numbers.len() * *width as usize + 8 * number_len(zigzag(*least))
        });
        if let Some((way, written, least, width)) = least_bits {
            bytes.push(way as u8);
            bytes.push(u8::try_from(width).unwrap_or(64));
            put_number(&mut bytes, zigzag(least));
            put_bits(&mut bytes, &written[..numbers.len()], least, width);
        }
        before = numbers.last().copied().unwrap_or_default();
    }
    bytes
}

/// Reads a column of `count` numbers. `None` if the bytes are not exactly that.
pub(super) fn read(mut bytes: &[u8], count: usize, like: Option<&[u64]>) -> Option<Vec<u64>> {
    let (kind, rest) = bytes.split_first()?;
    bytes = rest;
    let mut column = Vec::with_capacity(count);
    match *kind {
        EQUAL => column.resize(count, unzigzag(number(&mut bytes)?)),
        BLOCKS => {
            let mut before = 0;
            while column.len() < count {
                let at = column.len();
                let (head, rest) = bytes.split_first_chunk::<2>()?;
                let [way, width] = *head;
                bytes = rest;
                let least = unzigzag(number(&mut bytes)?);
                let some = BLOCK.min(count - at);
                let len = (some * usize::from(width)).div_ceil(8);
                let (bits, rest) = bytes.split_at_checked(len)?;
                bytes = rest;
                if u32::from(width) > u64::BITS {
                    return None;
                }
                let excess = (0..some).map(|n| excess(bits, n * usize::from(width), width.into()));
                let written = excess.map(|excess| least.wrapping_add(excess));
                match way {
                    way if way == Way::Plain as u8 => column.extend(written),
                    way if way == Way::Steps as u8 => {
                        column.extend(written.scan(before, |last: &mut u64, step| {
                            *last = last.wrapping_add(step);
                            Some(*last)
                        }))
                    }
                    way if way == Way::Like as u8 => {
                        let like = like?.get(at..)?;
                        column.extend(written.zip(like).map(|(it, like)| like.wrapping_add(it)));
                    }
                    _ => return None,
                }
                before = column.last().copied().unwrap_or_default();
            }
        }
        _ => return None,
    }
    (bytes.is_empty() && column.len() == count).then_some(column)
}

/// Appends the excess of numbers over the least, each `width` bits, the highest first: so SQL reads them as a
/// string of bits.
fn put_bits(bytes: &mut Vec<u8>, written: &[u64], least: u64, width: u32) {
    // The lowest `bits` of `held` are not written yet.
    let (mut held, mut bits) = (0_u128, 0);
    for number in written {
        held = held << width | u128::from(number.wrapping_sub(least));
        bits += width;
        while bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits).to_le_bytes()[0]);
        }
    }
    if bits > 0 {
        bytes.push((held << (8 - bits)).to_le_bytes()[0]);
    }
}

/// The number of `width` bits from a bit on.
fn excess(bits: &[u8], from: usize, width: u32) -> u64 {
    let (byte, shift) = (from / 8, from % 8);
    if width == 0 {
        return 0;
    }
    let near = bits.get(byte..).and_then(|rest| rest.first_chunk::<8>());
    match near {
        Some(near) if shift + width as usize <= 64 => {
            u64::from_be_bytes(*near) << shift >> (u64::BITS - width)
        }
        _ => {
            let mut window = [0; 16];
            for (to, from) in window.iter_mut().zip(bits.get(byte..).unwrap_or_default()) {
                *to = *from;
            }
            let wide = u128::from_be_bytes(window) << shift >> (u128::BITS - width);
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

/// Takes a number off the front.
pub(super) fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
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
