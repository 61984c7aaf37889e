//! Some of the packed rows are those that all of them have at these times, and damage is noticed as in all.

use std::ops::Range;

use super::*;

/// Rows whose columns may be written like one before them, one of them like the starts.
#[derive(Debug, Clone, PartialEq)]
struct LikeRow([u64; 5]);

impl Columnar for LikeRow {
    const FORMAT: u8 = 7;

    const LIKE: &'static [Option<usize>] = &[None, None, Some(1), Some(2), Some(0)];

    fn figures(&self) -> impl AsRef<[u64]> {
        self.0
    }

    fn of_figures(figure: impl Fn(usize) -> u64) -> Option<Self> {
        Some(Self(std::array::from_fn(figure)))
    }
}

/// How the numbers of some rows of a column go on: each kind makes another way of writing the shortest.
#[derive(Debug, Clone, Copy)]
enum Part {
    Equal(u64),
    /// Any numbers below this many bits.
    Any(u32),
    Climbing(u64),
    /// Near those of the other column.
    Near,
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        any::<u64>().prop_map(Part::Equal),
        (0..=64_u32).prop_map(Part::Any),
        any::<u32>().prop_map(|step| Part::Climbing(u64::from(step) << 20)),
        Just(Part::Near),
    ]
}

/// Parts that may differ every half block.
fn parts() -> impl Strategy<Value = Vec<Part>> {
    proptest::collection::vec(part(), 7)
}

/// The next number of a pseudo-random sequence.
fn noise(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

fn column(parts: &[Part], like: &[u64], seed: &mut u64) -> Vec<u64> {
    let mut last = 0_u64;
    let number = |(row, like): (usize, &u64)| {
        last = match parts[row / 64] {
            Part::Equal(number) => number,
            Part::Any(width) => noise(seed).checked_shr(64 - width).unwrap_or_default(),
            Part::Climbing(step) => last.wrapping_add(step).wrapping_add(noise(seed) % 3),
            Part::Near => like.wrapping_add(noise(seed) % 3),
        };
        last
    };
    like.iter().enumerate().map(number).collect()
}

/// Up to 448 rows, some with the same start, by start or in any order.
fn rows() -> impl Strategy<Value = Vec<LikeRow>> {
    let columns = [parts(), parts(), parts(), parts()];
    (0_usize..=448, 0_u64..3, any::<bool>(), columns, 1_u64..).prop_map(
        |(count, step, any_order, parts, mut seed)| {
            let start = |row: usize| {
                let row = if any_order { noise(&mut seed) % 448 } else { row as u64 };
                1_800_000_000_000_000_000 + row * step
            };
            let mut columns = vec![(0..count).map(start).collect::<Vec<_>>()];
            for (parts, like) in parts.iter().zip(&LikeRow::LIKE[1..]) {
                let like = columns[like.unwrap_or_default()].clone();
                columns.push(column(parts, &like, &mut seed));
            }
            let row = |row: usize| LikeRow(std::array::from_fn(|at| columns[at][row]));
            (0..count).map(row).collect()
        },
    )
}

/// From and to, some beyond the starts, some empty or the wrong way round.
fn range() -> impl Strategy<Value = Range<WallNs>> {
    (0_u64..1000, 0_u64..1000, any::<bool>()).prop_map(|(from, len, few)| {
        let at = |row: u64| WallNs(1_800_000_000_000_000_000 - 10 + row);
        at(from)..at(if few { from + len % 4 } else { len })
    })
}

fn unpack_range<R: Columnar>(packed: &[u8], rows: usize, range: &Range<WallNs>) -> Option<Vec<R>> {
    unpack_where(packed, rows as u64, |start_ns| range.contains(&start_ns))
}

/// What earlier versions packed: without the last 4 bytes.
fn without_sum(packed: &[u8]) -> &[u8] {
    &packed[..packed.len() - 4]
}

proptest! {
    #[test]
    fn some_rows_are_those_of_all_at_these_times(rows in rows(), range in range()) {
        let packed = packed(&rows).unwrap();
        let start = |row: &LikeRow| WallNs(row.0[0]);
        let expected: Vec<LikeRow> =
            rows.iter().filter(|row| range.contains(&start(row))).cloned().collect();
        for packed in [&packed[..], without_sum(&packed)] {
            prop_assert_eq!(unpack_range(packed, rows.len(), &range), Some(expected.clone()));
            prop_assert_eq!(unpack(packed), Some(rows.clone()));
            prop_assert_eq!(unpack_range::<LikeRow>(packed, rows.len() + 1, &range), None);
        }
    }

    #[test]
    fn every_row_of_a_column_is_read_alone(
        parts in parts(),
        like in parts(),
        count in 1_usize..=448,
        row in any::<prop::sample::Index>(),
        mut seed in 1_u64..,
    ) {
        let like = column(&like, &vec![0; count], &mut seed);
        let numbers = column(&parts, &like, &mut seed);
        let row = row.index(count);
        let like_bytes = column::write(&like, None);
        let like = PackedColumn::of(&like_bytes, count).unwrap().read(0..count, None);
        let written = column::write(&numbers, like.as_ref().map(ColumnNumbers::all));
        let read = PackedColumn::of(&written, count).unwrap().read(row..row + 1, like.as_ref());
        prop_assert_eq!(read.unwrap().get(row), Some(numbers[row]));
    }

    #[test]
    fn a_changed_bit_is_noticed_by_whoever_reads_few_rows(
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
        from in 0_u64..300,
        rows in 0_u64..4,
    ) {
        let mut packed = packed(&busy(300)).unwrap();
        let at = at.index(packed.len());
        packed[at] ^= 1 << bit;
        let start = |row| WallNs(1_800_000_000_000_000_000 + row * 500_000_000);
        let range = start(from)..start(from + rows);
        prop_assert_eq!(unpack_range::<Point>(&packed, 300, &range), None);
        prop_assert_eq!(unpack::<Point>(&packed), None);
    }
}

#[test]
fn the_parts_are_written_in_every_way() {
    let (parts, mut seed) = ([Part::Climbing(1 << 20), Part::Near, Part::Any(64)], 1);
    let like = column(&[Part::Any(40); 6], &[0; 384], &mut seed);
    let twice: Vec<Part> = parts.iter().flat_map(|part| [*part; 2]).collect();
    let written = column::write(&column(&twice, &like, &mut seed), Some(&like));
    let packed = PackedColumn::of(&written, 384).unwrap();
    // Steps begin at the first row, the others anywhere, and only what is near the other column needs it.
    assert_eq!([100, 200, 300].map(|row| packed.begin(row)), [0, 200, 300]);
    let alone = |row: usize| packed.read(row..row + 1, None).is_some();
    assert_eq!([100, 200, 300].map(alone), [true, false, true]);
    let equal = column::write(&column(&[Part::Equal(7); 6], &like, &mut seed), Some(&like));
    assert!(equal.len() < 3);
}

#[test]
fn a_step_is_read_from_the_number_before_its_block_on() {
    let mut seed = 1;
    let mut numbers = column(&[Part::Any(50); 2], &[0; 128], &mut seed);
    let climbing = column(&[Part::Climbing(1 << 30); 4], &[0; 256], &mut seed);
    let last = numbers[127];
    numbers.extend(climbing.iter().map(|more| last + more));
    numbers.extend(column(&[Part::Any(50); 2], &[0; 128], &mut seed));
    let written = column::write(&numbers, None);
    let packed = PackedColumn::of(&written, 512).unwrap();
    let begins = [0, 127, 128, 255, 256, 383, 384, 511].map(|row| packed.begin(row));
    assert_eq!(begins, [0, 127, 127, 127, 127, 127, 384, 511]);
}

#[test]
fn whatever_is_missing_or_too_much_is_noticed_by_whoever_reads_few_rows() {
    let rows = busy(20);
    let packed = packed(&rows).unwrap();
    let range = rows[3].start_ns..rows[4].start_ns;
    let read = |bytes: &[u8]| unpack_range::<Point>(bytes, 20, &range);
    assert_eq!(read(&packed).as_deref(), Some(&rows[3..4]));
    // Without all of the checksum it is as earlier versions packed it, and the columns' own ones are compared.
    assert_eq!(read(without_sum(&packed)).as_deref(), Some(&rows[3..4]));
    for end in (0..packed.len()).filter(|end| *end != packed.len() - 4) {
        assert_eq!(read(&packed[..end]), None, "{end}");
    }
    for more in 1..9 {
        assert_eq!(read(&[&packed[..], &vec![0; more]].concat()), None, "{more}");
    }
    for at in 0..packed.len() {
        for bit in 0..8 {
            let mut damaged = packed.clone();
            damaged[at] ^= 1 << bit;
            assert_eq!(read(&damaged), None, "{at}, {bit}");
        }
        let mut less = packed.clone();
        let _byte = less.remove(at);
        assert_eq!(read(&less), None, "{at}");
    }
}
