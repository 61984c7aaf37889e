//! Which rows are packed together: stretches of at most so many within an hour. Pure: every store cuts alike.

use std::collections::VecDeque;

use super::{Packed, PackedSums};
use crate::store::rows::export::Starts;
use crate::store::rows::proof::Sums;
use crate::store::rows::series::Point;

/// Nanoseconds of an hour: no stretch reaches from one into the next.
pub const HOUR: i64 = 3_600_000_000_000;

/// Start of the hour of a time, nanoseconds since 1970.
#[must_use]
pub const fn hour_of(time: i64) -> i64 {
    time.div_euclid(HOUR) * HOUR
}

/// True if samples from `first` on join the stretch before them, of so many rows until `last`: they lie in it, or it
/// has room, because it has less than `most`.
#[must_use]
pub const fn join(rows: u64, last: i64, first: i64, samples: u64, most: usize) -> bool {
    last >= first || rows.saturating_add(samples) <= most as u64
}

/// Packs rows by start into as few stretches of like length, and of `most` rows, as they need. `None` if one differs
/// from its rows.
#[must_use]
pub fn stretches(mut rows: Vec<Point>, most: usize) -> Option<Vec<Packed>> {
    rows.sort_by_key(|row| row.start_ns);
    rows.chunks(piece_len(rows.len(), most)).map(Packed::of).collect()
}

/// Number and sums of samples.
#[must_use]
pub fn sums_of(rows: &[Point]) -> (u64, Sums) {
    let PackedSums { rows, counts, .. } = PackedSums::of(rows);
    let [rx_bytes, rx_packets, _, tx_bytes, tx_packets, _] = counts;
    let sum = |it: u128| i128::try_from(it).unwrap_or(i128::MAX);
    (rows, Sums::from_array([rx_bytes, tx_bytes, rx_packets, tx_packets].map(sum)))
}

/// Length of the pieces into which so many rows are cut.
const fn piece_len(rows: usize, most: usize) -> usize {
    let pieces = rows.div_ceil(most);
    if pieces == 0 { most } else { rows.div_ceil(pieces) }
}

/// Whether at most `few` samples start in a range, if so many are hot, and so many are of stretches within it, and of
/// all that have a part in it. `None` if only the starts can tell.
#[must_use]
pub const fn few_by_numbers(hot: u64, [within, touching]: [u64; 2], few: u64) -> Option<bool> {
    if hot.saturating_add(touching) <= few {
        Some(true)
    } else if hot.saturating_add(within) > few {
        Some(false)
    } else {
        None
    }
}

/// Rows among which stretches come where their first row is, as rows by start.
#[derive(Debug)]
pub(in crate::store) struct Unpacking<R> {
    /// Rows of stretches that come later.
    waiting: VecDeque<R>,
}

impl<R> Default for Unpacking<R> {
    fn default() -> Self {
        Self { waiting: VecDeque::new() }
    }
}

impl<R: Starts> Unpacking<R> {
    /// A row by itself: it and the rows before it. Of those with the same start, packed ones come first.
    pub fn row(&mut self, row: R) -> Vec<R> {
        let before = self.waiting.partition_point(|it| it.start_ns() <= row.start_ns());
        self.waiting.drain(..before).chain([row]).collect()
    }

    /// The rows of a stretch, by start: those before them.
    pub fn stretch(&mut self, rows: impl IntoIterator<Item = R>) -> Vec<R> {
        let mut rows = rows.into_iter().peekable();
        let Some(first_ns) = rows.peek().map(Starts::start_ns) else { return Vec::new() };
        let before = self.waiting.partition_point(|it| it.start_ns() < first_ns);
        let before = self.waiting.drain(..before).collect();
        let overlap = !self.waiting.is_empty();
        self.waiting.extend(rows);
        if overlap {
            self.waiting.make_contiguous().sort_by_key(Starts::start_ns);
        }
        before
    }

    /// The rows that are left.
    pub fn rest(self) -> Vec<R> {
        self.waiting.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wire::WallNs;

    use super::*;

    #[test]
    fn rows_are_cut_into_as_few_pieces_of_like_length_as_fit() {
        for (rows, piece) in [(0, 2048), (1, 1), (2048, 2048), (2049, 1025), (4096, 2048)] {
            assert_eq!(piece_len(rows, 2048), piece, "{rows}");
        }
    }

    #[test]
    fn a_stretch_is_joined_by_what_lies_in_it_and_by_what_it_has_room_for() {
        assert!(join(2040, 10, 10, 2000, 2048) && join(2040, 10, 11, 8, 2048));
        assert!(!join(2040, 10, 11, 9, 2048));
        assert_eq!((hour_of(HOUR - 1), hour_of(HOUR), hour_of(-1)), (0, HOUR, -HOUR));
    }

    #[test]
    fn starts_are_read_only_if_the_numbers_of_stretches_dont_tell() {
        let told = [(0, [0, 10]), (5, [0, 6]), (0, [10, 11]), (5, [6, 7]), (1, [0, u64::MAX])];
        let told = told.map(|(hot, packed)| few_by_numbers(hot, packed, 10));
        assert_eq!(told, [Some(true), None, None, Some(false), None]);
    }

    proptest! {
        #[test]
        fn rows_and_stretches_become_one_sequence_by_start(
            alone in proptest::collection::vec(0_u64..60, 0..30),
            stretches in proptest::collection::vec(proptest::collection::vec(0_u64..60, 1..9), 0..6),
        ) {
            let row = |start: &u64, interval_ns| Point {
                start_ns: WallNs(*start),
                interval_ns,
                ..Point::default()
            };
            let mut sources: Vec<(bool, Vec<Point>)> = Vec::new();
            sources.extend(alone.iter().map(|start| (false, vec![row(start, 2)])));
            for stretch in &stretches {
                let mut stretch = stretch.clone();
                stretch.sort_unstable();
                sources.push((true, stretch.iter().map(|start| row(start, 1)).collect()));
            }
            sources.sort_by_key(|(_, rows)| rows[0].start_ns);
            let mut unpacking = Unpacking::default();
            let mut read = Vec::new();
            for (packed, mut rows) in sources {
                read.extend(if packed { unpacking.stretch(rows) } else { unpacking.row(rows.remove(0)) });
            }
            read.extend(unpacking.rest());
            let starts: Vec<u64> = read.iter().map(|it| it.start_ns.get()).collect();
            let mut all: Vec<u64> = alone.into_iter().chain(stretches.into_iter().flatten()).collect();
            all.sort_unstable();
            prop_assert_eq!(starts, all);
        }
    }
}
