//! The meter of an account: from what is stored of its NICs to what was used in a cycle. Pure.
//!
//! What was not measured makes a range: from what was counted to what the links can carry beside. A link
//! that was down carried nothing, and neither did a NIC before its first sample. A NIC without a real
//! link speed (veth, tun) has no upper bound. A packet that a ring dropped has at most
//! [`DROPPED_MAX`] bytes.

use std::collections::BTreeMap;

use wire::{Bytes, Packets, WallNs};

use super::cycle::CycleBounds;
use super::evidence::evidence;
use super::intervals::{PooledInterval, Unseen};
use super::members::NicStay;
use super::metered::{Metered, NicShare, whole_shares};
use super::projection::{Outlook, outlook, percentile_outlook};
use super::ranking::{commit_95, ranked};
use super::terms::Terms;
use crate::store::{
    CountedGap, FIVE_MINUTES_NS, LinkTurn, MeterRow, NicBefore, NicHistory, Volume,
};

/// How long after its end an interval is judged: what was measured in it has arrived, unless its client
/// is offline.
const SETTLE_NS: u64 = 120_000_000_000;

/// Longest sample, which starts in one interval and may reach into the next: agents coarsen to a minute.
const SAMPLE_MAX_NS: u64 = 60_000_000_000;

/// Most bytes of a dropped packet on the wire: a super-packet of 64 KiB, cut into segments of 536 bytes
/// with 120 bytes of headers each.
const DROPPED_MAX: Bytes = Bytes(81_920);

/// A NIC to be metered.
#[derive(Debug, Clone, Copy)]
pub struct MeteredNic<'a> {
    /// The client.
    pub client: &'a str,
    /// Its name.
    pub nic: &'a str,
    /// Link speed, bit/s, if it limits anything.
    pub speed_bits: Option<u64>,
    /// Counts only while it was part of the host's total: a member by its host.
    pub by_host: bool,
    /// Counts only during these, which are in order and apart; `None`: all the time.
    pub stays: Option<&'a [NicStay]>,
    /// What was of it before.
    pub before: NicBefore,
    /// What is stored of it for the cycle, or for a part of it.
    pub history: &'a NicHistory,
}

impl MeteredNic<'_> {
    /// Whether it counts at a time. Tags change only where intervals begin, so it counts for all of one.
    fn counts_at(&self, time_ns: WallNs) -> bool {
        self.stays.is_none_or(|stays| {
            let begun = stays.partition_point(|stay| stay.from.0 <= time_ns);
            begun.checked_sub(1).is_some_and(|last| stays[last].contains(time_ns))
        })
    }

    /// The parts of a time that count.
    fn counted(&self, from_ns: WallNs, to_ns: WallNs) -> Vec<(WallNs, WallNs)> {
        let Some(stays) = self.stays else { return vec![(from_ns, to_ns)] };
        let part = |stay: &NicStay| (stay.from.0.max(from_ns), stay.to.0.min(to_ns));
        stays.iter().map(part).filter(|(from_ns, to_ns)| from_ns < to_ns).collect()
    }
}

/// What a part of a cycle leaves of a NIC for the next part.
#[derive(Debug, Clone, Default)]
struct NicCarry {
    before: NicBefore,
    /// The starts of counted gaps that reach into the next part.
    gaps: Vec<WallNs>,
    /// What the last samples measured of the next interval, nanoseconds.
    over_ns: u64,
}

/// Adds up an account's NICs over a cycle: each at once, or part by part.
#[derive(Debug, Clone)]
pub struct Meter {
    terms: Terms,
    bounds: CycleBounds,
    intervals: Vec<PooledInterval>,
    /// Number of intervals that are over.
    elapsed: usize,
    rx: Volume,
    tx: Volume,
    /// May have passed beside, where no interval says so.
    unseen: Unseen,
    /// Gaps longer than an interval, of which the sums count.
    long_gaps: Vec<CountedGap>,
    /// One for each part of each NIC.
    nics: Vec<NicShare>,
    /// By client and NIC.
    carried: BTreeMap<(String, String), NicCarry>,
}

impl Meter {
    /// A meter for a cycle, as of a time, nanoseconds since 1970 (UTC).
    #[must_use]
    pub fn new(terms: Terms, bounds: CycleBounds, as_of_ns: WallNs) -> Self {
        let intervals = intervals_until(bounds, bounds.to_ns);
        Self {
            terms,
            bounds,
            intervals: vec![PooledInterval::default(); intervals],
            elapsed: elapsed(bounds, as_of_ns),
            rx: Volume::default(),
            tx: Volume::default(),
            unseen: Unseen::default(),
            long_gaps: Vec::new(),
            nics: Vec::new(),
            carried: BTreeMap::new(),
        }
    }

    /// The same as of a later time, nanoseconds since 1970 (UTC), for the parts since.
    #[must_use]
    pub(super) fn at(&self, as_of_ns: WallNs) -> Self {
        Self { elapsed: elapsed(self.bounds, as_of_ns), ..self.clone() }
    }

    /// What was of a NIC before the next part, if it has parts.
    pub(super) fn before(&self, client: &str, nic: &str) -> Option<NicBefore> {
        let key = (client.to_owned(), nic.to_owned());
        self.carried.get(&key).map(|carry| carry.before)
    }

    /// Adds a NIC for the whole cycle.
    pub fn add(&mut self, nic: &MeteredNic<'_>) {
        self.add_part(nic, (self.bounds.from_ns, self.bounds.to_ns));
    }

    /// Adds a part of a NIC, which begins and ends at multiples of 5 minutes. The parts of a NIC come in
    /// order, without a gap.
    pub(super) fn add_part(&mut self, nic: &MeteredNic<'_>, part: (WallNs, WallNs)) {
        let before = (self.rx, self.tx);
        let placed = self.place_gaps(nic, part);
        for row in nic.history.rows.iter().filter(|row| within(part, row.start_ns)) {
            let counts = nic.counts_at(row.start_ns) && !(nic.by_host && row.stacked);
            if let (Some(at), true) = (self.interval_of(row.start_ns), counts) {
                self.count(at, row, nic.speed_bits);
            }
        }
        let missing_ns = self.find_missing(nic, part, &placed);
        let grown =
            |now: Volume, before: Volume| (now.bytes - before.bytes, now.packets - before.packets);
        let ((rx_bytes, rx_packets), (tx_bytes, tx_packets)) =
            (grown(self.rx, before.0), grown(self.tx, before.1));
        self.nics.push(NicShare {
            client: nic.client.to_owned(),
            nic: nic.nic.to_owned(),
            rx_bytes,
            tx_bytes,
            rx_packets,
            tx_packets,
            by_host: nic.by_host,
            stays: nic.stays.map(<[_]>::to_vec),
            speed_bits_per_second: nic.speed_bits,
            missing_ns,
        });
    }

    fn interval_of(&self, time_ns: WallNs) -> Option<usize> {
        let after_ns = time_ns.checked_since(self.bounds.from_ns)?;
        let at = usize::try_from(after_ns / FIVE_MINUTES_NS).ok()?;
        (at < self.intervals.len()).then_some(at)
    }

    /// Counts what was measured in an interval.
    fn count(&mut self, at: usize, row: &MeterRow, speed_bits: Option<u64>) {
        let interval = &mut self.intervals[at];
        (interval.rx, interval.tx) = (interval.rx.plus(row.rx), interval.tx.plus(row.tx));
        interval.covered_ns = interval.covered_ns.max(row.covered_ns);
        interval.expected = true;
        if row.drops > Packets(0) {
            let dropped = row.drops.of_each(DROPPED_MAX);
            let beside = |counted: Volume| {
                let room = speed_bits.map(|bits| capacity(bits, FIVE_MINUTES_NS));
                room.map_or(dropped, |room| dropped.min(room.saturating_sub(counted.bytes)))
            };
            let (rx_bytes, tx_bytes) = (beside(row.rx), beside(row.tx));
            let unseen = Unseen { rx_bytes, tx_bytes, unbounded: false };
            interval.unseen = interval.unseen.plus(unseen);
        }
        (self.rx, self.tx) = (self.rx.plus(row.rx), self.tx.plus(row.tx));
    }

    /// Counts gaps of which the sums are known. One within an interval is like a sample; of a longer
    /// one, the sums count, and each interval may have any part of them. One that reaches over an end of
    /// the cycle, or of a stay, counts as if it may have passed in it. Returns the times that need no
    /// measuring.
    fn place_gaps(
        &mut self,
        nic: &MeteredNic<'_>,
        part: (WallNs, WallNs),
    ) -> Vec<(WallNs, WallNs)> {
        let mut known = Vec::new();
        let key = (nic.client.to_owned(), nic.nic.to_owned());
        let counted = std::mem::take(&mut self.carried.entry(key.clone()).or_default().gaps);
        let mut reaching = Vec::new();
        for gap in &nic.history.gaps {
            let CountedGap { start_ns, interval_ns, rx, tx } = *gap;
            let end_ns = start_ns.saturating_add(interval_ns);
            let (from_ns, to_ns) =
                (start_ns.max(self.bounds.from_ns), end_ns.min(self.bounds.to_ns));
            let parts = nic.counted(from_ns, to_ns);
            // It belongs to the part of the cycle in which it begins. One that came after that part was read
            // isn't counted anywhere, so its time is missing.
            let own = within(part, from_ns);
            if !own && !counted.contains(&start_ns) {
                continue;
            }
            known.extend_from_slice(&parts);
            if to_ns > part.1 {
                reaching.push(start_ns);
            }
            if !own {
                continue;
            }
            let sums = Unseen { rx_bytes: rx.bytes, tx_bytes: tx.bytes, unbounded: false };
            let inside = parts == [(start_ns, end_ns)];
            if inside {
                (self.rx, self.tx) = (self.rx.plus(rx), self.tx.plus(tx));
            } else if !parts.is_empty() {
                self.unseen = self.unseen.plus(sums);
            }
            for &(from_ns, to_ns) in &parts {
                let Some(first) = self.interval_of(from_ns) else { continue };
                let last = self.interval_of(to_ns.saturating_sub(1)).unwrap_or(first).max(first);
                if inside && first < last {
                    self.long_gaps.push(*gap);
                }
                for interval in &mut self.intervals[first..=last] {
                    interval.expected = true;
                    if inside && first == last {
                        (interval.rx, interval.tx) = (interval.rx.plus(rx), interval.tx.plus(tx));
                        interval.covered_ns = interval.covered_ns.saturating_add(interval_ns);
                    } else {
                        interval.unplaced = interval.unplaced.plus(sums);
                    }
                }
            }
        }
        self.carried.entry(key).or_default().gaps = reaching;
        known
    }

    /// Finds times that were not measured, in intervals of a part that are over, from the NIC's first
    /// sample on. Returns their sum, nanoseconds.
    fn find_missing(
        &mut self,
        nic: &MeteredNic<'_>,
        part: (WallNs, WallNs),
        known: &[(WallNs, WallNs)],
    ) -> u64 {
        let MeteredNic { before, history, .. } = nic;
        let covered: BTreeMap<WallNs, u64> =
            history.rows.iter().map(|row| (row.start_ns, row.covered_ns)).collect();
        let down = down_times(before.down, &history.links, part);
        let begin = intervals_until(self.bounds, part.0);
        let measured = covered.keys().find(|start_ns| within(part, **start_ns));
        let measured = measured.and_then(|start_ns| self.interval_of(*start_ns));
        // It began somewhere in its first interval.
        let first = if before.measured { Some(begin) } else { measured.map(|first| first + 1) };
        let key = (nic.client.to_owned(), nic.nic.to_owned());
        let carry = self.carried.entry(key).or_default();
        let carried_ns = carry.before.measured.then_some(carry.over_ns);
        carry.before = NicBefore {
            measured: before.measured || measured.is_some(),
            down: history.links.last().map_or(before.down, |turn| !turn.up),
        };
        let Some(first) = first else { return 0 };
        let mut missing_sum_ns: u64 = 0;
        // What samples of the interval before measured of this one.
        let at = |index: usize| self.bounds.from_ns + index as u64 * FIVE_MINUTES_NS;
        let earlier = at(first).checked_sub(FIVE_MINUTES_NS);
        let earlier = earlier.and_then(|it| covered.get(&it)).copied().unwrap_or(0);
        let earlier_ns = earlier.saturating_sub(FIVE_MINUTES_NS).min(SAMPLE_MAX_NS);
        let mut over_ns = carried_ns.unwrap_or(earlier_ns);
        for index in first..self.elapsed.min(intervals_until(self.bounds, part.1)) {
            let from_ns = at(index);
            let to_ns = from_ns + FIVE_MINUTES_NS;
            let measured_ns = covered.get(&from_ns).copied().unwrap_or(0).saturating_add(over_ns);
            over_ns = measured_ns.saturating_sub(FIVE_MINUTES_NS).min(SAMPLE_MAX_NS);
            if !nic.counts_at(from_ns) {
                continue;
            }
            let else_ns =
                overlap(known, from_ns, to_ns).saturating_add(overlap(&down, from_ns, to_ns));
            let missing_ns = FIVE_MINUTES_NS.saturating_sub(measured_ns).saturating_sub(else_ns);
            let interval = &mut self.intervals[index];
            interval.expected = true;
            if missing_ns > 0 {
                interval.missing_ns = interval.missing_ns.saturating_add(missing_ns);
                let most = nic.speed_bits.map(|bits| capacity(bits, missing_ns));
                interval.unseen = interval.unseen.plus(Unseen::each(most));
                missing_sum_ns = missing_sum_ns.saturating_add(missing_ns);
            }
        }
        carry.over_ns = over_ns;
        missing_sum_ns
    }

    /// What the totals are made of: intervals with anything in them, and long gaps.
    #[must_use]
    pub fn evidence(&self) -> String {
        let starts = (0..).map(|n| self.bounds.from_ns + n * FIVE_MINUTES_NS);
        evidence(starts.zip(&self.intervals), &self.long_gaps)
    }

    /// What was used.
    #[must_use]
    pub fn finish(self) -> Metered {
        let Terms { rule, basis, commit_bits_per_second, .. } = self.terms;
        let over = &self.intervals[..self.elapsed.min(self.intervals.len())];
        let all = self.intervals.iter().fold(self.unseen, |sum, it| sum.plus(it.unseen));
        let (rx, tx) = (basis.of(self.rx), basis.of(self.tx));
        let most = rule.of(rx.saturating_add(all.rx_bytes), tx.saturating_add(all.tx_bytes));
        let (intervals, elapsed_intervals) = (self.intervals.len() as u64, over.len() as u64);
        let to_come = intervals - elapsed_intervals;
        // What came since is part of what is to come.
        let since = &self.intervals[over.len()..];
        let less = |sum: Volume, of: fn(&PooledInterval) -> Volume| {
            let later = since.iter().map(of).fold(Volume::default(), Volume::plus);
            let bytes = sum.bytes.saturating_sub(later.bytes);
            Volume { bytes, packets: sum.packets.saturating_sub(later.packets) }
        };
        let counted = (less(self.rx, |it| it.rx), less(self.tx, |it| it.tx));
        let rest_ns = to_come * FIVE_MINUTES_NS;
        let outlook = outlook(over, counted, rest_ns, (rule, basis)).filter(|_| to_come > 0);
        let billed_bytes = rule.of(rx, tx);
        // Before the first sample of all NICs, nothing is known: that is no zero.
        let nothing = !over.is_empty() && over.iter().all(|it| !it.expected);
        let at_least = |it: Outlook| Outlook { bytes: it.bytes.max(billed_bytes), ..it };
        let nics = whole_shares(self.nics);
        Metered {
            rx_bytes: self.rx.bytes,
            tx_bytes: self.tx.bytes,
            rx_packets: self.rx.packets,
            tx_packets: self.tx.packets,
            billed_bytes,
            billed_max_bytes: (!all.unbounded && !nothing).then_some(most),
            intervals,
            elapsed_intervals,
            measured_intervals: over.iter().filter(|it| it.is_measured()).count() as u64,
            missing_ns: nics.iter().map(|nic| nic.missing_ns).fold(0, u64::saturating_add),
            p95: ranked(over, rule, basis),
            commit: commit_bits_per_second
                .map(|bits| commit_95(over, to_come, (rule, basis), bits)),
            outlook: outlook.map(at_least),
            p95_outlook: percentile_outlook(over, to_come, (rule, basis)).filter(|_| to_come > 0),
            nics,
        }
    }
}

/// How many intervals of a cycle are before a time.
fn intervals_until(bounds: CycleBounds, to_ns: WallNs) -> usize {
    let length_ns = to_ns.min(bounds.to_ns).saturating_since(bounds.from_ns);
    usize::try_from(length_ns / FIVE_MINUTES_NS).unwrap_or(usize::MAX)
}

/// How many intervals of a cycle are over.
fn elapsed(bounds: CycleBounds, as_of_ns: WallNs) -> usize {
    intervals_until(bounds, as_of_ns.saturating_sub(SETTLE_NS))
}

/// Whether a time lies in a part.
fn within((from_ns, to_ns): (WallNs, WallNs), time_ns: WallNs) -> bool {
    (from_ns..to_ns).contains(&time_ns)
}

/// The most bytes that a link carries in one direction.
fn capacity(speed_bits: u64, time_ns: u64) -> Bytes {
    let bytes = u128::from(speed_bits) * u128::from(time_ns) / 8_000_000_000;
    Bytes(u64::try_from(bytes).unwrap_or(u64::MAX))
}

/// The times of a part in which a link was down. `before`: it was down before.
fn down_times(before: bool, links: &[LinkTurn], part: (WallNs, WallNs)) -> Vec<(WallNs, WallNs)> {
    let mut times = Vec::new();
    let mut since = before.then_some(part.0);
    for LinkTurn { time_ns, up } in links {
        match (up, since) {
            (false, None) => since = Some(*time_ns),
            (true, Some(from_ns)) => {
                times.push((from_ns, *time_ns));
                since = None;
            }
            _ => {}
        }
    }
    times.extend(since.map(|from_ns| (from_ns, part.1)));
    times
}

/// How much of a range these times take.
fn overlap(times: &[(WallNs, WallNs)], from_ns: WallNs, to_ns: WallNs) -> u64 {
    let of = |&(start, end): &(WallNs, WallNs)| end.min(to_ns).saturating_since(start.max(from_ns));
    times.iter().map(of).sum()
}
