//! A place of the index holds the number of its entry, from 1. Which one it is, the hash says: open addressing
//! with linear probing.

/// Most places of a search, 2 lines of the cache: longer chains are rarer than one in a million.
pub(super) const PROBES: usize = 64;

/// A place of the index without an entry.
pub(super) const EMPTY: u16 = 0;

/// Where in the index a search begins.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the lower bits are enough")]
pub(super) const fn low(hash: u64) -> usize {
    hash as usize
}

/// The number of the entry of a place, none's if that is empty.
#[inline]
pub(super) const fn number(place: u16) -> usize {
    (place as usize).wrapping_sub(1)
}

/// A place with the number of an entry.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "numbers fit: `with_room` bounds them")]
pub(super) const fn value(number: usize) -> u16 {
    number as u16 + 1
}

/// Puts the number of an entry into the index. False if there is no place for it.
pub(super) fn place(index: &mut [u16], hash: u64, number: usize) -> bool {
    let mask = index.len() - 1;
    let value = value(number);
    let free = (0..PROBES)
        .map(|probe| low(hash).wrapping_add(probe) & mask)
        .find(|&at| index[at] == EMPTY);
    if let Some(at) = free {
        index[at] = value;
    }
    free.is_some()
}
