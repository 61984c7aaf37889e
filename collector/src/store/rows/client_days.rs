//! `client_days`: what all NICs of a client carried on one day (UTC) by 5-minute intervals, packed from
//! `bandwidth_5m`. It has nothing of its own: who reads may always take the rows instead. Pure: every
//! store packs the same.
//!
//! A column of numbers is their smallest, and how much each is above it, in as few whole bytes as the
//! largest needs.

use std::collections::BTreeSet;
use std::ops::Range;

use wire::{Bytes, Packets, WallNs};

use crate::store::rows::facts::NicIndex;
use crate::store::rows::points::add;
use crate::store::rows::rollups::{FIVE_MINUTES_NS, Rollups};
use crate::store::rows::series::Point;

/// Length of a day, nanoseconds.
pub const DAY_NS: u64 = 288 * FIVE_MINUTES_NS;

/// Intervals of a day.
const INTERVALS: usize = 288;

/// First byte of everything packed; another one is not read.
const FORMAT: u8 = 1;

/// Length of the bits that say which intervals were measured, bytes.
const MEASURED: usize = INTERVALS / 8;

/// Length of a column's smallest number and width, bytes.
const HEAD: usize = 9;

/// How long after its end a day is packed, nanoseconds: an hour, in which most of what was late arrives.
const SETTLED_NS: u64 = 12 * FIVE_MINUTES_NS;

/// Most days of clients that one transaction adds, while commits wait: some 0.1 s.
const ADDED_MAX: usize = 20_000;

/// Most days of clients packed at once: 60,000 rows of clients with two NICs.
pub const PACKED_MAX: u32 = 100;

/// A day of a client, to be packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientDay {
    /// Days since 1970 (UTC).
    pub day: u32,
    /// The client's number.
    pub client: i64,
    /// How often it was to be packed before: what was packed from older rows is not stored.
    pub version: i64,
}

/// The number of a time's day since 1970 (UTC).
#[must_use]
pub fn day_of(time_ns: WallNs) -> u32 {
    u32::try_from(time_ns / DAY_NS).unwrap_or(u32::MAX)
}

/// The start of a day.
#[must_use]
pub fn start_of(day: u32) -> WallNs {
    WallNs(u64::from(day).saturating_mul(DAY_NS))
}

/// The days that have a part between two times.
#[must_use]
pub fn days_of(from_ns: WallNs, to_ns: WallNs) -> Range<u32> {
    day_of(from_ns)..day_of(to_ns.saturating_add(DAY_NS - 1))
}

/// The days of NICs to which rollups add, each once.
#[must_use]
pub fn days_added_to(rollups: &Rollups) -> BTreeSet<(NicIndex, u32)> {
    rollups.five_minutes.iter().map(|it| (it.nic, day_of(it.time_ns))).collect()
}

/// What a store knows of its days, nanoseconds since 1970 (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownDays {
    /// Its clock; `None`: not known yet.
    pub clock_ns: Option<WallNs>,
    /// What starts earlier is in days that are packed, or are to be.
    pub packed_to_ns: WallNs,
    /// The time from which `bandwidth_5m` is complete.
    pub complete_from_ns: WallNs,
    /// The start of its first row, or earlier; `None`: it has no rows.
    pub oldest_ns: Option<WallNs>,
    /// How many clients there are.
    pub clients: usize,
}

impl KnownDays {
    /// The time whose days have yet to be noted: up to the store's clock, and an hour that agents' clocks may
    /// be ahead.
    #[must_use]
    pub fn open(&self) -> Range<WallNs> {
        // Before the first day was noted, there is nothing older than the first row.
        let oldest_ns = self.oldest_ns.unwrap_or(WallNs::MAX);
        let from_ns = if self.packed_to_ns == WallNs(0) { oldest_ns } else { self.packed_to_ns };
        from_ns..self.clock_ns.map_or(WallNs::MAX, |clock_ns| clock_ns.saturating_add(SETTLED_NS))
    }

    /// The next days that have ended, which are to be packed from now on: few enough for one transaction.
    #[must_use]
    pub fn ended(&self) -> Range<u32> {
        let (Some(clock_ns), Some(oldest_ns)) = (self.clock_ns, self.oldest_ns) else {
            return 0..0;
        };
        let first = day_of(self.packed_to_ns)
            .max(days_of(WallNs(0), self.complete_from_ns).end)
            .max(day_of(oldest_ns));
        let most = u32::try_from(ADDED_MAX / self.clients.max(1)).unwrap_or(u32::MAX).max(1);
        first..day_of(clock_ns.saturating_sub(SETTLED_NS)).min(first.saturating_add(most))
    }
}

/// The sums of all NICs over a day, packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedDay {
    /// Of each interval the measured time and the bytes in both directions.
    pub rates: Vec<u8>,
    /// Of each interval everything else.
    pub figures: Vec<u8>,
    /// Everything else over the whole day.
    pub totals: Vec<u8>,
}

/// Adds up rows of NICs by interval.
#[derive(Debug)]
pub struct DaySums {
    start_ns: WallNs,
    intervals: Vec<Option<Point>>,
}

impl DaySums {
    /// No rows yet.
    #[must_use]
    pub fn of(day: u32) -> Self {
        Self { start_ns: start_of(day), intervals: vec![None; INTERVALS] }
    }

    /// Adds rows of one or more NICs. Of the measured times of an interval the longest counts.
    pub fn add(&mut self, point: &Point) {
        let Some(after_ns) = point.start_ns.get().checked_sub(self.start_ns.get()) else { return };
        let at = usize::try_from(after_ns / FIVE_MINUTES_NS).unwrap_or(usize::MAX);
        let Some(sum) = self.intervals.get_mut(at) else { return };
        let sum = sum.get_or_insert_with(Point::default);
        let interval_ns = sum.interval_ns.max(point.interval_ns);
        add(sum, point);
        sum.interval_ns = interval_ns;
    }

    /// Packs them.
    #[must_use]
    pub fn pack(&self) -> PackedDay {
        let mut total: Option<Point> = None;
        for interval in self.intervals.iter().flatten() {
            add(total.get_or_insert_with(Point::default), interval);
        }
        PackedDay {
            rates: pack(&self.intervals, rates),
            figures: pack(&self.intervals, figures),
            totals: pack(&[total], figures),
        }
    }
}

/// The columns of [`PackedDay::rates`].
const fn rates(point: &Point) -> [u64; 3] {
    [point.interval_ns, point.rx.bytes.get(), point.tx.bytes.get()]
}

/// The columns of [`PackedDay::figures`] and [`PackedDay::totals`].
fn figures(point: &Point) -> [u64; 9] {
    let Point { rx, tx, .. } = point;
    let peaks = [rx.peak_1ms_bytes, rx.peak_10ms_bytes, tx.peak_1ms_bytes, tx.peak_10ms_bytes];
    let [a, b, c, d] = peaks.map(u64::from);
    let (rx, tx) = ([rx.packets, rx.captured], [tx.packets, tx.captured]);
    let [[e, f], [g, h]] = [rx, tx].map(|it| it.map(Packets::get));
    [e, f, g, h, point.drops.get(), a, b, c, d]
}

/// Adds an interval's other figures to a point.
pub fn add_figures(sum: &mut Point, [e, f, g, h, drops, a, b, c, d]: [u64; 9]) {
    let peak = |most: &mut u32, peak| *most = (*most).max(u32::try_from(peak).unwrap_or(u32::MAX));
    let more = |sum: &mut Packets, more| *sum = sum.saturating_add(Packets(more));
    more(&mut sum.rx.packets, e);
    more(&mut sum.rx.captured, f);
    more(&mut sum.tx.packets, g);
    more(&mut sum.tx.captured, h);
    more(&mut sum.drops, drops);
    peak(&mut sum.rx.peak_1ms_bytes, a);
    peak(&mut sum.rx.peak_10ms_bytes, b);
    peak(&mut sum.tx.peak_1ms_bytes, c);
    peak(&mut sum.tx.peak_10ms_bytes, d);
}

fn pack<const COLUMNS: usize>(
    intervals: &[Option<Point>],
    columns: impl Fn(&Point) -> [u64; COLUMNS],
) -> Vec<u8> {
    let mut measured = [0_u8; MEASURED];
    let mut rows = Vec::new();
    for (at, interval) in intervals.iter().enumerate() {
        let Some(point) = interval else { continue };
        if let Some(byte) = measured.get_mut(at / 8) {
            *byte |= 1 << (at % 8);
        }
        rows.push(columns(point));
    }
    let mut packed = vec![FORMAT];
    packed.extend(measured);
    for column in 0..COLUMNS {
        let least = rows.iter().map(|row| row[column]).min().unwrap_or_default();
        let most = rows.iter().map(|row| row[column] - least).max().unwrap_or_default();
        let width = 8 - most.leading_zeros() as usize / 8;
        packed.extend(least.to_le_bytes());
        packed.push(u8::try_from(width).unwrap_or(8));
        packed.extend(rows.iter().flat_map(|row| {
            let bytes = (row[column] - least).to_le_bytes();
            bytes.into_iter().take(width)
        }));
    }
    packed
}

/// Columns that were packed, by row. Used again for many days.
#[derive(Debug)]
pub struct Unpacked<const COLUMNS: usize> {
    /// The places of the rows: intervals since the day's start.
    pub places: Vec<u16>,
    /// The rows.
    pub rows: Vec<[u64; COLUMNS]>,
}

impl<const COLUMNS: usize> Default for Unpacked<COLUMNS> {
    fn default() -> Self {
        Self { places: Vec::new(), rows: Vec::new() }
    }
}

impl<const COLUMNS: usize> Unpacked<COLUMNS> {
    /// Reads what was packed. `None` if that is no such thing.
    pub fn read(&mut self, packed: &[u8]) -> Option<()> {
        let (head, mut rest) = packed.split_at_checked(1 + MEASURED)?;
        let (format, measured) = head.split_first()?;
        if *format != FORMAT {
            return None;
        }
        self.places.clear();
        for (at, byte) in (0_u16..).zip(measured) {
            self.places.extend((0..8).filter(|bit| byte >> bit & 1 == 1).map(|bit| 8 * at + bit));
        }
        self.rows.clear();
        self.rows.resize(self.places.len(), [0; COLUMNS]);
        for column in 0..COLUMNS {
            let (head, column_on) = rest.split_at_checked(HEAD)?;
            let (least, width) = head.split_first_chunk::<8>()?;
            let (least, width) = (u64::from_le_bytes(*least), usize::from(*width.first()?));
            let (numbers, next) =
                column_on.split_at_checked(self.rows.len().checked_mul(width)?)?;
            rest = next;
            match width {
                0 => self.rows.iter_mut().for_each(|row| row[column] = least),
                1..=8 => {
                    for (row, number) in self.rows.iter_mut().zip(numbers.chunks_exact(width)) {
                        let mut bytes = [0; 8];
                        bytes[..width].copy_from_slice(number);
                        row[column] = least.checked_add(u64::from_le_bytes(bytes))?;
                    }
                }
                _ => return None,
            }
        }
        rest.is_empty().then_some(())
    }
}

/// Adds an interval's bytes to a point.
pub fn add_bytes(sum: &mut Point, rx: Bytes, tx: Bytes) {
    sum.rx.bytes = sum.rx.bytes.saturating_add(rx);
    sum.tx.bytes = sum.tx.bytes.saturating_add(tx);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::rows::series::PointCounts;

    fn point(at: u64, n: u64) -> Point {
        let counts = |n: u64| PointCounts {
            bytes: Bytes(n),
            packets: Packets(n / 3),
            captured: Packets(n / 5),
            peak_1ms_bytes: (n >> 32).try_into().unwrap(),
            peak_10ms_bytes: (n & 0xffff_ffff).try_into().unwrap(),
        };
        Point {
            start_ns: start_of(20_000) + at * FIVE_MINUTES_NS,
            interval_ns: FIVE_MINUTES_NS - n % 1000,
            rx: counts(n),
            tx: counts(n.reverse_bits()),
            drops: Packets(n % 7),
            ..Point::default()
        }
    }

    proptest! {
        #[test]
        fn what_is_unpacked_is_what_was_packed(
            given in proptest::collection::btree_map(0_u64..288, any::<u64>(), 0..288),
            end in any::<prop::sample::Index>(),
        ) {
            let points: Vec<Point> = given.iter().map(|(at, n)| point(*at, *n)).collect();
            let mut sums = DaySums::of(20_000);
            points.iter().for_each(|point| sums.add(point));
            let packed = sums.pack();
            let (mut of_rates, mut of_figures) = (Unpacked::default(), Unpacked::default());
            prop_assert_eq!(of_rates.read(&packed.rates), Some(()));
            prop_assert_eq!(of_figures.read(&packed.figures), Some(()));
            let places: Vec<u64> = of_rates.places.iter().map(|at| u64::from(*at)).collect();
            prop_assert_eq!(places, given.keys().copied().collect::<Vec<_>>());
            prop_assert_eq!(&of_rates.places, &of_figures.places);
            prop_assert_eq!(of_rates.rows, points.iter().map(rates).collect::<Vec<_>>());
            prop_assert_eq!(of_figures.rows, points.iter().map(figures).collect::<Vec<_>>());
            // Whatever is missing or too much is noticed.
            let end = end.index(packed.rates.len());
            prop_assert_eq!(Unpacked::<3>::default().read(&packed.rates[..end]), None);
            let more = [&packed.rates[..], &[0]].concat();
            prop_assert_eq!(Unpacked::<3>::default().read(&more), None);
        }

        #[test]
        fn bytes_from_elsewhere_are_refused_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200)
        ) {
            let _refused = Unpacked::<9>::default().read(&[&[FORMAT][..], &bytes].concat());
        }
    }

    #[test]
    fn rows_of_nics_are_added_up_by_interval_in_any_order_and_other_days_are_left_out() {
        let mut sums = DaySums::of(20_000);
        let other = Point { start_ns: start_of(20_001), ..point(0, 9) };
        for row in [point(3, 10), point(1, 7), point(3, 32), other] {
            sums.add(&row);
        }
        let packed = sums.pack();
        let mut rates = Unpacked::<3>::default();
        rates.read(&packed.rates).unwrap();
        let rx: Vec<u64> = rates.rows.iter().map(|row| row[1]).collect();
        assert_eq!((&rates.places[..], &rx[..]), (&[1, 3][..], &[7, 42][..]));
        assert_eq!(rates.rows[1][0], FIVE_MINUTES_NS - 10);
        let mut totals = Unpacked::<9>::default();
        totals.read(&packed.totals).unwrap();
        assert_eq!((totals.places, totals.rows[0][0]), (vec![0], 3 + 2 + 10));
    }

    #[test]
    fn days_are_packed_an_hour_after_their_end_from_the_first_complete_one_on() {
        const HOUR_NS: u64 = 12 * FIVE_MINUTES_NS;
        let known = KnownDays {
            clock_ns: Some(start_of(20_010) + (HOUR_NS - 1)),
            packed_to_ns: WallNs(0),
            complete_from_ns: start_of(20_003) + FIVE_MINUTES_NS,
            oldest_ns: Some(start_of(20_001) + HOUR_NS),
            clients: 1000,
        };
        assert_eq!(known.ended(), 20_004..20_009);
        let later = KnownDays { clock_ns: Some(start_of(20_010) + HOUR_NS), ..known };
        assert_eq!(later.ended(), 20_004..20_010);
        let all = KnownDays { complete_from_ns: WallNs(0), ..later };
        assert_eq!(all.ended(), 20_001..20_010);
        assert_eq!(KnownDays { packed_to_ns: start_of(20_009), ..all }.ended(), 20_009..20_010);
        // A clock that was set back undoes nothing.
        assert!(KnownDays { packed_to_ns: start_of(20_012), ..all }.ended().is_empty());
        assert_eq!(KnownDays { clients: 7000, ..all }.ended(), 20_001..20_003);
        assert!(KnownDays { clock_ns: None, ..all }.ended().is_empty());
        assert!(KnownDays { oldest_ns: None, ..all }.ended().is_empty());
    }

    #[test]
    fn days_that_are_not_noted_are_open_from_the_first_row_or_the_last_note_until_now() {
        const HOUR_NS: u64 = 12 * FIVE_MINUTES_NS;
        let never = KnownDays {
            clock_ns: None,
            packed_to_ns: WallNs(0),
            complete_from_ns: WallNs(0),
            oldest_ns: Some(start_of(20_001) + 7),
            clients: 1,
        };
        assert_eq!(never.open(), start_of(20_001) + 7..WallNs::MAX);
        assert!(KnownDays { oldest_ns: None, ..never }.open().is_empty());
        let clock_ns = Some(start_of(20_010) + 3);
        let noted = KnownDays { packed_to_ns: start_of(20_009), clock_ns, ..never };
        assert_eq!(noted.open(), start_of(20_009)..start_of(20_010) + 3 + HOUR_NS);
    }

    #[test]
    fn a_busy_day_takes_about_ten_kilobytes() {
        let mut sums = DaySums::of(20_000);
        for at in 0..288 {
            let Point { rx, .. } = point(at, at * 7_919_000_000 % 30_000_000_000);
            sums.add(&Point { tx: rx, rx, ..point(at, at) });
        }
        let PackedDay { rates, figures, totals } = sums.pack();
        assert!(rates.len() + figures.len() < 14_000, "{} {}", rates.len(), figures.len());
        assert!(totals.len() < 130, "{}", totals.len());
    }
}
