//! What is packed comes back, and what is no such thing is refused.

mod golden;
mod partial;

use proptest::prelude::*;

use wire::{Bytes, Packets, WallNs};

use super::column::{ColumnNumbers, PackedColumn, put_number};
use super::rows::{Columnar, packed};
use super::*;
use crate::store::rows::columns::MIX_FIGURES;
use crate::store::rows::series::{Point, PointCounts};

const FORMAT: u8 = Point::FORMAT;

/// Numbers as columns have them: near each other, arbitrary, extreme.
fn numbers() -> impl Strategy<Value = Vec<u64>> {
    let one = prop_oneof![
        4 => 0_u64..5,
        4 => 1_000_000_u64..1_001_000,
        1 => any::<u64>(),
        1 => prop_oneof![Just(u64::MAX), Just(1 << 63), Just((1 << 63) - 1), Just(0)],
    ];
    prop_oneof![
        proptest::collection::vec(one, 0..400),
        (any::<u64>(), 0_usize..400).prop_map(|(number, count)| vec![number; count]),
        (any::<u64>(), any::<u32>(), 0_u64..400).prop_map(|(first, step, count)| (0..count)
            .map(|n| first.wrapping_add(n * u64::from(step)))
            .collect()),
    ]
}

fn row() -> impl Strategy<Value = Point> {
    let counts = || {
        let small = prop_oneof![3 => 0_u64..2000, 1 => any::<u64>()];
        (small.clone(), small.clone(), small, any::<u32>(), any::<u32>()).prop_map(
            |(bytes, packets, captured, peak_1ms_bytes, peak_10ms_bytes)| PointCounts {
                bytes: Bytes(bytes),
                packets: Packets(packets),
                captured: Packets(captured),
                peak_1ms_bytes,
                peak_10ms_bytes,
            },
        )
    };
    let start = prop_oneof![3 => 1_800_000_000_000_000_000_u64..1_800_000_000_000_000_009, 1 => any::<u64>()];
    (start, any::<u64>(), counts(), counts(), any::<u64>(), any::<u32>()).prop_map(
        |(start_ns, interval_ns, rx, tx, drops, flags)| Point {
            start_ns: WallNs(start_ns),
            interval_ns,
            rx,
            tx,
            drops: Packets(drops),
            flags,
        },
    )
}

fn mix() -> impl Strategy<Value = MixRow> {
    let figure = prop_oneof![4 => Just(0), 4 => 0_u64..2000, 1 => any::<u64>()];
    let figures = proptest::collection::vec(figure, MIX_FIGURES);
    (1_800_000_000_000_000_000_u64..1_800_000_000_000_000_009, any::<u64>(), figures).prop_map(
        |(start_ns, interval_ns, figures)| MixRow {
            start_ns: WallNs(start_ns),
            interval_ns,
            figures: figures.try_into().unwrap(),
        },
    )
}

/// Rows of a host with some traffic, every row different.
fn busy(rows: u64) -> Vec<Point> {
    let mut seed = 88_172_645_463_325_252_u64;
    let mut noise = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let mut counts = || {
        let packets = 40_000 + noise(8000);
        PointCounts {
            bytes: Bytes(packets * 900 + noise(1_000_000)),
            packets: Packets(packets),
            captured: Packets(packets / 12 + noise(400)),
            peak_1ms_bytes: u32::try_from(100_000 + noise(150_000)).unwrap(),
            peak_10ms_bytes: u32::try_from(900_000 + noise(600_000)).unwrap(),
        }
    };
    let row = |n: u64| Point {
        start_ns: WallNs(1_800_000_000_000_000_000 + n * 500_000_000),
        interval_ns: 500_000_000,
        rx: counts(),
        tx: counts(),
        ..Point::default()
    };
    (0..rows).map(row).collect()
}

/// The numbers of a column, perhaps written like another one.
fn read_column(written: &[u8], count: usize, like: Option<&[u64]>) -> Option<Vec<u64>> {
    let like_bytes = like.map(|like| (column::write(like, None), like.len()));
    let like = like_bytes.as_ref().and_then(|(bytes, count)| numbers_of(bytes, *count, None));
    Some(numbers_of(written, count, like.as_ref())?.all().to_vec())
}

fn numbers_of(written: &[u8], count: usize, like: Option<&ColumnNumbers>) -> Option<ColumnNumbers> {
    PackedColumn::of(written, count)?.read(0..count, like)
}

proptest! {
    #[test]
    fn a_column_that_is_read_is_the_one_that_was_written(
        (column, like) in (numbers(), numbers(), any::<bool>()).prop_map(|(mut a, mut b, same)| {
            a.truncate(b.len());
            b.truncate(a.len());
            if same { b.clone_from(&a); }
            (a, b)
        }),
        end in any::<prop::sample::Index>(),
    ) {
        for like in [None, Some(&like[..])] {
            let written = column::write(&column, like);
            let read = read_column(&written, column.len(), like);
            prop_assert_eq!(read.as_deref(), Some(&column[..]));
            // Whatever is missing or too much is noticed.
            let end = end.index(written.len());
            prop_assert_eq!(read_column(&written[..end], column.len(), like), None);
            let more = [&written[..], &[0]].concat();
            prop_assert_eq!(read_column(&more, column.len(), like), None);
        }
    }

    #[test]
    fn rows_of_any_figures_and_in_any_order_come_back(
        rows in proptest::collection::vec(row(), 0..300),
    ) {
        let packed = Packed::of(&rows);
        let packed = packed.unwrap();
        prop_assert_eq!(packed.rows(), Some(rows.clone()));
        prop_assert_eq!(packed.sums.rows, rows.len() as u64);
        let bytes: u128 = rows.iter().map(|row| u128::from(row.rx.bytes.get())).sum();
        prop_assert_eq!(packed.sums.counts[0], bytes);
        let peak = rows.iter().map(|row| row.tx.peak_1ms_bytes).max();
        prop_assert_eq!(packed.sums.peaks[2], peak.unwrap_or_default());
        prop_assert_eq!(packed.sums.first_ns, rows.iter().map(|row| row.start_ns).min().unwrap_or_default());
    }

    #[test]
    fn mixes_of_any_figures_come_back_by_start(
        mut rows in proptest::collection::vec(mix(), 1..200),
    ) {
        let packed = PackedMixes::of(rows.clone());
        let [packed] = &packed.unwrap()[..] else { panic!("more than one piece") };
        rows.sort_by_key(|row| row.start_ns);
        let span = (rows[0].start_ns, rows[rows.len() - 1].start_ns);
        prop_assert_eq!((packed.first_ns, packed.last_ns), span);
        prop_assert_eq!(packed.mixes, rows.len() as u64);
        prop_assert_eq!(unpack::<Point>(&packed.columns), None);
        prop_assert_eq!(unpack(&packed.columns), Some(rows));
    }

    #[test]
    fn a_changed_byte_is_noticed(at in any::<prop::sample::Index>(), change in 1_u8..=255) {
        let mut packed = Packed::of(&busy(300)).unwrap();
        let at = at.index(packed.columns.len());
        packed.columns[at] ^= change;
        prop_assert_eq!(packed.rows(), None);
    }

    #[test]
    fn bytes_from_elsewhere_are_refused_without_a_panic(
        count in any::<u64>(),
        bytes in proptest::collection::vec(prop_oneof![0_u8..4, any::<u8>()], 0..200),
    ) {
        let mut packed = vec![FORMAT];
        put_number(&mut packed, count % 10_000);
        packed.extend(&bytes);
        let _refused = unpack::<Point>(&packed);
        let read = read_column(&bytes, 300, Some(&[7; 300]));
        prop_assert!(read.is_none_or(|column| column.len() == 300));
    }
}

#[test]
fn numbers_of_a_block_follow_each_other_the_highest_bit_first() {
    // 3 bits each over the least one, 8: 000 101 001 100.
    let written = column::write(&[8, 13, 9, 12], None);
    assert_eq!(written, [1, 0, 3, 16, 0b0001_0100, 0b1100_0000]);
    assert_eq!(read_column(&written, 4, None), Some(vec![8, 13, 9, 12]));
}

#[test]
fn other_formats_too_many_rows_and_other_sums_are_refused() {
    let packed = Packed::of(&busy(10)).unwrap();
    let other = [&[FORMAT + 1], &packed.columns[1..]].concat();
    assert_eq!(unpack::<Point>(&other), None);
    let mut many = vec![FORMAT];
    put_number(&mut many, ROWS_MAX as u64 + 1);
    assert_eq!(unpack::<Point>(&[&many[..], &[0; 100]].concat()), None);
    let mut sums = packed.clone();
    sums.sums.counts[3] += 1;
    assert_eq!(sums.rows(), None);
    assert_eq!(packed.rows(), Some(busy(10)));
}

#[test]
fn rows_beyond_the_most_are_left_out_and_none_take_a_few_bytes() {
    let packed = Packed::of(&busy(ROWS_MAX as u64 + 5)).unwrap();
    assert_eq!((packed.sums.rows, packed.rows()), (8192, Some(busy(8192))));
    let none = Packed::of(&[]).unwrap();
    assert_eq!((none.sums, none.rows()), (PackedSums::default(), Some(vec![])));
}

#[test]
fn an_hour_of_a_busy_nic_takes_25_bytes_a_row_and_of_a_silent_one_next_to_nothing() {
    let of = |rows: &[Point]| Packed::of(rows).unwrap().columns.len() as f64 / rows.len() as f64;
    let bytes = of(&busy(7200));
    assert!((15.0..25.0).contains(&bytes), "{bytes}");
    let silent: Vec<Point> = busy(7200)
        .iter()
        .map(|row| Point { rx: PointCounts::default(), tx: PointCounts::default(), ..row.clone() })
        .collect();
    let bytes = of(&silent);
    assert!(bytes < 0.2, "{bytes}");
}

#[test]
fn more_mixes_than_fit_are_packed_in_pieces_and_none_in_none() {
    let of = |n| MixRow { start_ns: WallNs(n), interval_ns: 1, figures: [n; MIX_FIGURES] };
    let rows: Vec<MixRow> = (0..ROWS_MAX as u64 + 5).map(of).collect();
    let pieces = PackedMixes::of(rows.clone()).unwrap();
    assert_eq!(pieces.iter().map(|it| it.mixes).collect::<Vec<_>>(), [8192, 5]);
    let back = pieces.iter().flat_map(|it| unpack::<MixRow>(&it.columns).unwrap());
    assert_eq!(back.collect::<Vec<_>>(), rows);
    assert_eq!(PackedMixes::of(vec![]), Some(vec![]));
}

proptest! {
    #[test]
    fn some_rows_are_unpacked_alone_and_their_starts_from_the_first_bytes(
        rows in proptest::collection::vec(row(), 0..300),
        from: u64,
        to: u64,
    ) {
        let packed = packed(&rows).unwrap();
        let range = WallNs(from.min(to))..WallNs(from.max(to));
        let some = unpack_where(&packed, rows.len() as u64, |start_ns| range.contains(&start_ns));
        let expected: Vec<Point> =
            rows.iter().filter(|row| range.contains(&row.start_ns)).cloned().collect();
        prop_assert_eq!(some, Some(expected));
        prop_assert_eq!(unpack_where::<Point>(&packed, rows.len() as u64 + 1, |_| true), None);
        let most = usize::try_from(bytes_of_starts(rows.len() as u64)).unwrap();
        let begin = &packed[..packed.len().min(most)];
        let expected: Vec<WallNs> = rows.iter().map(|row| row.start_ns).collect();
        prop_assert_eq!(starts(begin), Some(expected));
    }
}
