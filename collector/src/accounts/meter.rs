//! The meter of an account: from what is stored of its NICs to what was used in a cycle. Pure.
//!
//! What was not measured makes a range: from what was counted to what the links can carry beside. A link
//! that was down carried nothing, and neither did a NIC before its first sample. A NIC without a real
//! link speed (veth, tun) has no upper bound. A packet that a ring dropped has at most
//! [`DROPPED_MAX`] bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{Bytes, Packets, WallNs};

use super::cycle::CycleBounds;
use super::evidence::evidence;
use super::intervals::{PooledInterval, Unseen};
use super::projection::{Outlook, outlook};
use super::ranking::{Commit95, Ranked, commit_95, ranked};
use super::terms::Terms;
use crate::store::{CountedGap, FIVE_MINUTES_NS, LinkTurn, MeterRow, NicHistory, Volume};

/// How long after its end an interval is judged: what was measured in it has arrived, unless its client
/// is offline.
const SETTLE_NS: u64 = 120_000_000_000;

/// Longest sample, which starts in one interval and may reach into the next: agents coarsen to a minute.
const SAMPLE_MAX_NS: u64 = 60_000_000_000;

/// Most bytes of a dropped packet on the wire: a super-packet of 64 KiB, cut into segments of 536 bytes
/// with 120 bytes of headers each.
const DROPPED_MAX: Bytes = Bytes(81_920);

/// What an account used in a cycle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Metered {
    /// Bytes received, from the MAC header to the end of the payload.
    #[schema(value_type = u64)]
    pub rx_bytes: Bytes,
    /// Bytes transmitted, likewise.
    #[schema(value_type = u64)]
    pub tx_bytes: Bytes,
    /// Packets received.
    #[schema(value_type = u64)]
    pub rx_packets: Packets,
    /// Packets transmitted.
    #[schema(value_type = u64)]
    pub tx_packets: Packets,
    /// Bytes that count by rule and basis: what was measured.
    #[schema(value_type = u64)]
    pub billed_bytes: Bytes,
    /// The most that may have passed: links were full while nothing was measured. `null`: no bound is
    /// known.
    #[schema(value_type = Option<u64>)]
    pub billed_max_bytes: Option<Bytes>,
    /// 5-minute intervals of the whole cycle.
    pub intervals: u64,
    /// Of these, intervals that are over.
    pub elapsed_intervals: u64,
    /// Of these, intervals of which something was measured.
    pub measured_intervals: u64,
    /// Time that was not measured, of all NICs together, nanoseconds.
    pub missing_ns: u64,
    /// The 95th percentile of the pooled traffic.
    pub p95: Ranked,
    /// What is left of the committed rate, if one is set.
    pub commit: Option<Commit95>,
    /// The volume at the end of a running cycle.
    pub outlook: Option<Outlook>,
    /// Its NICs, by client and name.
    pub nics: Vec<NicShare>,
}

/// The part of one NIC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NicShare {
    /// The client.
    pub client: String,
    /// Its name.
    pub nic: String,
    /// Bytes received.
    #[schema(value_type = u64)]
    pub rx_bytes: Bytes,
    /// Bytes transmitted.
    #[schema(value_type = u64)]
    pub tx_bytes: Bytes,
    /// Packets received.
    #[schema(value_type = u64)]
    pub rx_packets: Packets,
    /// Packets transmitted.
    #[schema(value_type = u64)]
    pub tx_packets: Packets,
    /// Counts only while it was part of the host's total: a member by its host.
    pub by_host: bool,
    /// Link speed, the bound of what was not measured. `null`: there is none to speak of.
    pub speed_bits_per_second: Option<u64>,
    /// Time that was not measured, nanoseconds.
    pub missing_ns: u64,
}

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
    /// What is stored of it for the cycle.
    pub history: &'a NicHistory,
}

/// Adds up an account's NICs over a cycle.
#[derive(Debug)]
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
    nics: Vec<NicShare>,
}

impl Meter {
    /// A meter for a cycle, as of a time, nanoseconds since 1970 (UTC).
    #[must_use]
    pub fn new(terms: Terms, bounds: CycleBounds, as_of_ns: WallNs) -> Self {
        let number = |to_ns: WallNs| {
            let length_ns = to_ns.saturating_since(bounds.from_ns);
            usize::try_from(length_ns / FIVE_MINUTES_NS).unwrap_or(usize::MAX)
        };
        let elapsed = number(as_of_ns.saturating_sub(SETTLE_NS).min(bounds.to_ns));
        Self {
            terms,
            bounds,
            intervals: vec![PooledInterval::default(); number(bounds.to_ns)],
            elapsed,
            rx: Volume::default(),
            tx: Volume::default(),
            unseen: Unseen::default(),
            long_gaps: Vec::new(),
            nics: Vec::new(),
        }
    }

    /// Adds a NIC.
    pub fn add(&mut self, nic: &MeteredNic<'_>) {
        let before = (self.rx, self.tx);
        let placed = self.place_gaps(nic);
        for row in &nic.history.rows {
            let counts = !(nic.by_host && row.stacked);
            if let (Some(at), true) = (self.interval_of(row.start_ns), counts) {
                self.count(at, row, nic.speed_bits);
            }
        }
        let missing_ns = self.find_missing(nic, &placed);
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
    /// the cycle counts as if it may have passed in it. Returns the times that need no measuring.
    fn place_gaps(&mut self, nic: &MeteredNic<'_>) -> Vec<(WallNs, WallNs)> {
        let mut known = Vec::new();
        for gap in &nic.history.gaps {
            let CountedGap { start_ns, interval_ns, rx, tx } = *gap;
            let end_ns = start_ns.saturating_add(interval_ns);
            let (from_ns, to_ns) =
                (start_ns.max(self.bounds.from_ns), end_ns.min(self.bounds.to_ns));
            let Some(first) = self.interval_of(from_ns) else { continue };
            known.push((from_ns, to_ns));
            let sums = Unseen { rx_bytes: rx.bytes, tx_bytes: tx.bytes, unbounded: false };
            let inside = start_ns >= self.bounds.from_ns && end_ns <= self.bounds.to_ns;
            if inside {
                (self.rx, self.tx) = (self.rx.plus(rx), self.tx.plus(tx));
            } else {
                self.unseen = self.unseen.plus(sums);
            }
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
        known
    }

    /// Finds times that were not measured, in intervals that are over, from the NIC's first sample on.
    /// Returns their sum, nanoseconds.
    fn find_missing(&mut self, nic: &MeteredNic<'_>, known: &[(WallNs, WallNs)]) -> u64 {
        let covered: BTreeMap<WallNs, u64> =
            nic.history.rows.iter().map(|row| (row.start_ns, row.covered_ns)).collect();
        let down = down_times(&nic.history.links, self.bounds.to_ns);
        let first = match covered.keys().find_map(|start_ns| self.interval_of(*start_ns)) {
            _ if nic.history.measured_before => 0,
            // It began somewhere in this one.
            Some(first) => first + 1,
            None => return 0,
        };
        let mut missing_sum_ns: u64 = 0;
        // What samples of the interval before measured of this one.
        let at = |index: usize| self.bounds.from_ns + index as u64 * FIVE_MINUTES_NS;
        let earlier = at(first).checked_sub(FIVE_MINUTES_NS);
        let earlier = earlier.and_then(|it| covered.get(&it)).copied().unwrap_or(0);
        let mut over_ns = earlier.saturating_sub(FIVE_MINUTES_NS).min(SAMPLE_MAX_NS);
        for index in first..self.elapsed {
            let from_ns = at(index);
            let to_ns = from_ns + FIVE_MINUTES_NS;
            let measured_ns = covered.get(&from_ns).copied().unwrap_or(0).saturating_add(over_ns);
            over_ns = measured_ns.saturating_sub(FIVE_MINUTES_NS).min(SAMPLE_MAX_NS);
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
        let mut nics = self.nics;
        nics.sort_by(|one, other| (&one.client, &one.nic).cmp(&(&other.client, &other.nic)));
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
            nics,
        }
    }
}

/// The most bytes that a link carries in one direction.
fn capacity(speed_bits: u64, time_ns: u64) -> Bytes {
    let bytes = u128::from(speed_bits) * u128::from(time_ns) / 8_000_000_000;
    Bytes(u64::try_from(bytes).unwrap_or(u64::MAX))
}

/// The times in which a link was down.
fn down_times(links: &[LinkTurn], to_ns: WallNs) -> Vec<(WallNs, WallNs)> {
    let mut times = Vec::new();
    let mut since = None;
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
    times.extend(since.map(|from_ns| (from_ns, to_ns)));
    times
}

/// How much of a range these times take.
fn overlap(times: &[(WallNs, WallNs)], from_ns: WallNs, to_ns: WallNs) -> u64 {
    let of = |&(start, end): &(WallNs, WallNs)| end.min(to_ns).saturating_since(start.max(from_ns));
    times.iter().map(of).sum()
}
