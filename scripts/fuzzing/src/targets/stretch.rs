//! Packed samples and mixes of a database, which a disk, a person or another program may have changed.

use std::fmt::Debug;

use collector::store::Point;
use collector::store::rows::packed::{
    MixRow, Packed, PackedMixes, ROWS_MAX, starts, unpack, unpack_where,
};
use wire::WallNs;

use super::support::{KIB, MIB};
use crate::target::Target;

pub(super) const TARGET: Target = Target {
    name: "stretch",
    about: "packed samples and mixes (collector::store::rows::packed)",
    input_max: 64 * KIB,
    // Of 8192 mixes, 54 columns and then the rows, for which room doubles as they come.
    memory_max: 24 * MIB,
    run,
};

fn run(input: &[u8]) {
    // With the right checksum, too: otherwise hardly any input gets far.
    let summed = [input, &crc32fast::hash(input).to_le_bytes()].concat();
    for packed in [input, &summed] {
        of_samples(packed);
        of_mixes(packed);
    }
}

fn of_samples(packed: &[u8]) {
    let told = starts(packed);
    let Some(rows) = unpack::<Point>(packed) else { return };
    let all: Vec<WallNs> = rows.iter().map(|row| row.start_ns).collect();
    // Starts have a checksum of their own, which may be the wrong one.
    assert!(told.is_none_or(|told| told == all));
    some_are_those_of_all(&rows, &all, |keep| unpack_where(packed, rows.len() as u64, keep));
    let again = Packed::of(&rows).unwrap();
    assert_eq!(starts(&again.columns), Some(all));
    assert_eq!(again.rows(), Some(rows));
}

fn of_mixes(packed: &[u8]) {
    let Some(mut rows) = unpack::<MixRow>(packed) else { return };
    let all: Vec<WallNs> = rows.iter().map(|row| row.start_ns).collect();
    some_are_those_of_all(&rows, &all, |keep| unpack_where(packed, rows.len() as u64, keep));
    let pieces = PackedMixes::of(rows.clone()).unwrap();
    let again = pieces.iter().flat_map(|it| unpack(&it.columns).unwrap());
    rows.sort_by_key(|row| row.start_ns);
    assert_eq!(again.collect::<Vec<MixRow>>(), rows);
}

/// Whoever reads a part of the rows gets the same ones.
fn some_are_those_of_all<R: PartialEq + Clone + Debug>(
    rows: &[R],
    starts: &[WallNs],
    read: impl Fn(&dyn Fn(WallNs) -> bool) -> Option<Vec<R>>,
) {
    assert!(rows.len() <= ROWS_MAX);
    let middle = starts.get(starts.len() / 2).copied().unwrap_or_default();
    let keeps: [&dyn Fn(WallNs) -> bool; 3] =
        [&|it| it == middle, &|it| it > middle, &|it| it.get() % 3 == 0];
    for keep in keeps {
        let wanted = starts.iter().zip(rows).filter(|(start, _)| keep(**start));
        let wanted: Vec<R> = wanted.map(|(_, row)| row.clone()).collect();
        assert_eq!(read(keep), Some(wanted));
    }
}
