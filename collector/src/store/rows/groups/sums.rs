//! The sums of a group, by interval and by step.

use std::collections::BTreeSet;

use wire::{Bytes, WallNs};

use crate::store::rows::client_days::{DAY_NS, add_bytes, add_figures};
use crate::store::rows::percentile::{FiveMinuteRow, Percentile, bits_per_second, percentile_95};
use crate::store::rows::points::add;
use crate::store::rows::rollups::{FIVE_MINUTES_NS, MINUTE_NS};
use crate::store::rows::series::{Point, Resolution};

/// Shortest step whose points have a percentile of their own: twelve 5-minute intervals.
const PERCENTILE_STEP_NS: u64 = 12 * FIVE_MINUTES_NS;

/// The traffic of a group in one step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupPoint {
    /// Sums and peaks.
    pub point: Point,
    /// The 95th percentile within the step, received and transmitted, bit/s, for steps of at least an
    /// hour.
    pub percentile: Option<[u64; 2]>,
}

/// What a group carried. Rows of NICs are added in any order.
#[derive(Debug, Clone, Default)]
pub(super) struct SlicedSums {
    from_ns: WallNs,
    step_ns: u64,
    /// Both directions, all together.
    pub bytes: u64,
    /// By step.
    points: Vec<Option<Point>>,
    /// By interval of the rollup with the points: the longest measured time of any NIC.
    measured_ns: Vec<u64>,
    /// Length of these intervals.
    length_ns: u64,
    /// By 5-minute interval, those completely within the range.
    rates: Vec<FiveMinuteRow>,
    percentile: Percentile,
}

/// Length of a rollup's intervals.
pub(super) const fn length_ns(resolution: Resolution) -> u64 {
    match resolution {
        Resolution::FiveMinutes => FIVE_MINUTES_NS,
        Resolution::Raw | Resolution::Minute => MINUTE_NS,
    }
}

/// The place of a time in a list by intervals.
fn place(from_ns: WallNs, time_ns: WallNs, length_ns: u64) -> Option<usize> {
    let after_ns = time_ns.get().checked_sub(from_ns.get())?;
    usize::try_from(after_ns.checked_div(length_ns)?).ok()
}

impl SlicedSums {
    /// Nothing yet.
    pub fn of((from_ns, to_ns): (WallNs, WallNs), step_ns: u64, resolution: Resolution) -> Self {
        let length_ns = length_ns(resolution);
        let count = |ns: u64, each: u64| usize::try_from(ns.div_ceil(each)).unwrap_or_default();
        let percentile = Percentile::of_range(from_ns, to_ns);
        let rates = count(percentile.to_ns - percentile.from_ns, FIVE_MINUTES_NS);
        Self {
            from_ns,
            step_ns,
            bytes: 0,
            points: vec![None; count(to_ns - from_ns, step_ns)],
            measured_ns: vec![0; count(to_ns - from_ns, length_ns)],
            length_ns,
            rates: vec![FiveMinuteRow::default(); rates],
            percentile,
        }
    }

    /// The point of a time.
    fn point(&mut self, time_ns: WallNs) -> Option<&mut Point> {
        let at = place(self.from_ns, time_ns, self.step_ns)?;
        let start_ns = self.from_ns + at as u64 * self.step_ns;
        let point = self.points.get_mut(at)?;
        Some(point.get_or_insert_with(|| Point { start_ns, ..Point::default() }))
    }

    /// Adds a row of the rollup with the points.
    pub fn add(&mut self, row: &Point) {
        if self.length_ns == FIVE_MINUTES_NS {
            self.add_rate(row.start_ns, row.interval_ns, (row.rx.bytes, row.tx.bytes));
        }
        self.measure(row.start_ns, row.interval_ns);
        if let Some(point) = self.point(row.start_ns) {
            add(point, &Point { interval_ns: 0, ..row.clone() });
        }
    }

    fn measure(&mut self, time_ns: WallNs, interval_ns: u64) {
        let at = place(self.from_ns, time_ns, self.length_ns);
        if let Some(longest) = at.and_then(|at| self.measured_ns.get_mut(at)) {
            *longest = interval_ns.max(*longest);
        }
    }

    /// Adds what NICs carried in 5 minutes, for the percentile.
    pub fn add_rate(&mut self, time_ns: WallNs, covered_ns: u64, (rx, tx): (Bytes, Bytes)) {
        self.bytes = self.bytes.saturating_add(rx.get()).saturating_add(tx.get());
        let at = place(self.percentile.from_ns, time_ns, FIVE_MINUTES_NS);
        let Some(rate) = at.and_then(|at| self.rates.get_mut(at)) else { return };
        rate.start_ns = time_ns;
        rate.covered_ns = rate.covered_ns.max(covered_ns);
        rate.rx_bytes = rate.rx_bytes.saturating_add(rx);
        rate.tx_bytes = rate.tx_bytes.saturating_add(tx);
    }

    /// Adds the rates of a client's day, as far as they are between two times.
    pub fn add_rates(
        &mut self,
        start_ns: WallNs,
        (from_ns, to_ns): (WallNs, WallNs),
        (places, rows): (&[u16], &[[u64; 3]]),
    ) {
        for (at, [covered_ns, rx, tx]) in places.iter().zip(rows) {
            let time_ns = start_ns + u64::from(*at) * FIVE_MINUTES_NS;
            if time_ns < from_ns || time_ns >= to_ns {
                continue;
            }
            let (rx, tx) = (Bytes(*rx), Bytes(*tx));
            self.add_rate(time_ns, *covered_ns, (rx, tx));
            if self.length_ns != FIVE_MINUTES_NS {
                continue;
            }
            self.measure(time_ns, *covered_ns);
            if let Some(point) = self.point(time_ns) {
                add_bytes(point, rx, tx);
            }
        }
    }

    /// Adds the other figures of a client's day, as far as they are between two times: of the whole day in
    /// its first place, or by interval.
    pub fn add_figures(
        &mut self,
        start_ns: WallNs,
        (from_ns, to_ns): (WallNs, WallNs),
        (places, rows): (&[u16], &[[u64; 9]]),
    ) {
        for (at, figures) in places.iter().zip(rows) {
            let time_ns = start_ns + u64::from(*at) * FIVE_MINUTES_NS;
            if time_ns < from_ns || time_ns >= to_ns {
                continue;
            }
            if let Some(point) = self.point(time_ns) {
                add_figures(point, *figures);
            }
        }
    }

    /// The points, oldest first, and the percentile over the whole range. Without the steps that are left out;
    /// if there are any, there is no percentile.
    pub fn finish(mut self, left_out: &BTreeSet<usize>) -> (Vec<GroupPoint>, Percentile) {
        for at in left_out {
            if let Some(point) = self.points.get_mut(*at) {
                *point = None;
            }
        }
        for rate in self.rates.iter_mut().filter(|it| it.covered_ns > 0) {
            let step = place(self.from_ns, rate.start_ns, self.step_ns);
            if step.is_some_and(|at| left_out.contains(&at)) {
                *rate = FiveMinuteRow::default();
            }
        }
        let steps = self.points.into_iter().enumerate();
        let points = steps.filter_map(|(at, point)| {
            let point = point?;
            let start_ns = self.from_ns + at as u64 * self.step_ns;
            // Each interval belongs to the step in which it begins.
            let within = |from_ns: WallNs, length_ns: u64, intervals: usize| {
                let begun = |time_ns: WallNs| {
                    let places = time_ns.saturating_since(from_ns).div_ceil(length_ns);
                    usize::try_from(places).unwrap_or(usize::MAX).min(intervals)
                };
                begun(start_ns)..begun(start_ns.saturating_add(self.step_ns))
            };
            let measured = within(self.from_ns, self.length_ns, self.measured_ns.len());
            let measured = self.measured_ns.get(measured);
            let interval_ns = measured.unwrap_or_default().iter().sum();
            let is_long = self.step_ns >= PERCENTILE_STEP_NS;
            let rates = within(self.percentile.from_ns, FIVE_MINUTES_NS, self.rates.len());
            let rates = self.rates.get(rates).filter(|_| is_long).unwrap_or_default();
            Some(GroupPoint { point: Point { interval_ns, ..point }, percentile: of_step(rates) })
        });
        let points = points.collect();
        let measured: Vec<FiveMinuteRow> =
            self.rates.iter().filter(|it| it.covered_ns > 0).copied().collect();
        let percentile = self.percentile.with(&measured);
        let none = Percentile { rx_bits_per_second: None, tx_bits_per_second: None, ..percentile };
        (points, if left_out.is_empty() { percentile } else { none })
    }
}

/// The percentile of both directions; `None` if nothing was measured.
fn of_step(rows: &[FiveMinuteRow]) -> Option<[u64; 2]> {
    let measured = rows.iter().filter(|row| row.covered_ns > 0);
    let rates = |bytes: fn(&FiveMinuteRow) -> Bytes| {
        measured.clone().map(|row| bits_per_second(bytes(row), row.covered_ns)).collect()
    };
    Some([percentile_95(rates(|it| it.rx_bytes))?, percentile_95(rates(|it| it.tx_bytes))?])
}

/// True if a time is between two days (UTC).
pub(super) const fn is_midnight(time_ns: WallNs) -> bool {
    time_ns.get().is_multiple_of(DAY_NS)
}
