//! Points of a series: the table to read, and merging of neighbours.

use wire::WallNs;

use crate::store::rows::series::{Point, PointCounts, Resolution, SeriesRange};

/// Most rows read per requested point before a coarser table is used.
const ROWS_PER_POINT: usize = 8;

/// The resolutions, finest first.
pub const RESOLUTIONS: [Resolution; 3] =
    [Resolution::Raw, Resolution::Minute, Resolution::FiveMinutes];

/// Most rows read from a table for a range before a coarser table is used.
#[must_use]
pub const fn rows_max(range: &SeriesRange) -> usize {
    range.limit.saturating_mul(ROWS_PER_POINT)
}

/// Collects the points of a series, oldest first, within the limit: once there are more, those that
/// start in the same one of `limit` equal parts of the range are merged.
#[derive(Debug)]
pub struct Points {
    from_ns: WallNs,
    limit: usize,
    /// Length of a part, nanoseconds.
    part_ns: u64,
    merging: bool,
    points: Vec<Point>,
}

impl Points {
    /// No points yet.
    #[must_use]
    pub fn new(range: &SeriesRange) -> Self {
        let limit = range.limit.max(1);
        let length = range.to_ns.saturating_since(range.from_ns);
        let part_ns = length.div_ceil(limit as u64).max(1);
        Self { from_ns: range.from_ns, limit, part_ns, merging: false, points: Vec::new() }
    }

    /// Adds the next point, which starts within the range.
    pub fn push(&mut self, point: Point) {
        if self.merging {
            self.merge(point);
        } else {
            self.points.push(point);
            if self.points.len() > self.limit {
                self.merging = true;
                for point in std::mem::take(&mut self.points) {
                    self.merge(point);
                }
            }
        }
    }

    /// The points, at most the requested number.
    #[must_use]
    pub fn finish(self) -> Vec<Point> {
        self.points
    }

    fn merge(&mut self, point: Point) {
        let part = |point: &Point| point.start_ns.saturating_since(self.from_ns) / self.part_ns;
        match self.points.last_mut() {
            Some(last) if part(last) == part(&point) => add(last, &point),
            _ => self.points.push(point),
        }
    }
}

/// Adds to a point: sums are added, and the highest peak is kept.
pub fn add(sum: &mut Point, more: &Point) {
    sum.interval_ns = sum.interval_ns.saturating_add(more.interval_ns);
    add_counts(&mut sum.rx, &more.rx);
    add_counts(&mut sum.tx, &more.tx);
    sum.drops = sum.drops.saturating_add(more.drops);
    sum.flags |= more.flags;
}

fn add_counts(sum: &mut PointCounts, more: &PointCounts) {
    sum.bytes = sum.bytes.saturating_add(more.bytes);
    sum.packets = sum.packets.saturating_add(more.packets);
    sum.captured = sum.captured.saturating_add(more.captured);
    sum.peak_1ms_bytes = sum.peak_1ms_bytes.max(more.peak_1ms_bytes);
    sum.peak_10ms_bytes = sum.peak_10ms_bytes.max(more.peak_10ms_bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wire::Bytes;

    fn range(from_ns: u64, to_ns: u64, limit: usize) -> SeriesRange {
        let (client, nic) = ("web".to_owned(), "eth0".to_owned());
        SeriesRange {
            client,
            nic,
            from_ns: WallNs(from_ns),
            to_ns: WallNs(to_ns),
            limit,
            resolution: None,
        }
    }

    fn point(start_ns: u64, bytes: u64) -> Point {
        let peak_1ms_bytes = u32::try_from(bytes).unwrap();
        let rx = PointCounts { bytes: Bytes(bytes), peak_1ms_bytes, ..PointCounts::default() };
        Point { start_ns: WallNs(start_ns), interval_ns: 10, rx, ..Point::default() }
    }

    #[test]
    fn points_within_the_limit_stay_as_they_are() {
        let mut points = Points::new(&range(0, 100, 3));
        let given = [point(0, 1), point(1, 2), point(2, 3)];
        given.iter().for_each(|point| points.push(point.clone()));
        assert_eq!(points.finish(), given);
    }

    #[test]
    fn neighbours_of_one_part_become_one() {
        let mut points = Points::new(&range(100, 200, 2));
        for (at, bytes) in [(100, 1), (110, 7), (149, 2), (150, 4)] {
            points.push(point(at, bytes));
        }
        let merged = points.finish();
        let seen: Vec<_> = merged.iter().map(|p| (p.start_ns, p.interval_ns, p.rx.bytes)).collect();
        assert_eq!(seen, [(WallNs(100), 30, Bytes(10)), (WallNs(150), 10, Bytes(4))]);
        assert_eq!(merged[0].rx.peak_1ms_bytes, 7);
    }

    proptest! {
        #[test]
        fn sums_and_peaks_are_conserved_within_the_limit(
            mut starts in proptest::collection::vec(0_u64..1000, 0..300),
            limit in 1_usize..50,
        ) {
            starts.sort_unstable();
            let mut points = Points::new(&range(0, 1000, limit));
            starts.iter().for_each(|start| points.push(point(*start, *start)));
            let merged = points.finish();
            prop_assert!(merged.len() <= limit);
            let sum: Bytes = merged.iter().map(|point| point.rx.bytes).sum();
            prop_assert_eq!(sum, Bytes(starts.iter().sum()));
            let covered: u64 = merged.iter().map(|point| point.interval_ns).sum();
            prop_assert_eq!(covered, 10 * starts.len() as u64);
            let peak = merged.iter().map(|point| u64::from(point.rx.peak_1ms_bytes)).max();
            prop_assert_eq!(peak, starts.iter().max().copied());
            prop_assert!(merged.is_sorted_by_key(|point| point.start_ns));
        }
    }
}
