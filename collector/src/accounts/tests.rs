//! The billing rules, with figures worked out by hand.

mod bill;
mod parts;

use std::slice::from_ref;

use wire::{Bytes, Packets, WallNs};

use super::*;
use crate::store::{
    CountedGap, FIVE_MINUTES_NS, LinkTurn, MeterRow, NicBefore, NicHistory, Volume,
};
use crate::time::Time;

const MINUTES: u64 = FIVE_MINUTES_NS / 5;
const SECOND: u64 = MINUTES / 60;
const DAY: u64 = 288 * FIVE_MINUTES_NS;
const GBIT: u64 = 1_000_000_000;

/// A cycle of so many intervals that begins in 1970.
fn bounds(intervals: u64) -> CycleBounds {
    CycleBounds {
        name: "1970-01".parse().unwrap(),
        from_ns: WallNs(DAY),
        to_ns: WallNs(DAY + intervals * FIVE_MINUTES_NS),
    }
}

/// The calendar month of a name, UTC.
fn month(name: &str) -> CycleBounds {
    CycleSchedule::new(1, jiff::civil::Time::midnight(), "UTC")
        .unwrap()
        .cycle(name.parse().unwrap())
}

fn volume(bytes: u64) -> Volume {
    Volume { bytes: Bytes(bytes), packets: Packets(0) }
}

/// A row of a whole interval, by its number in the cycle.
fn row(bounds: CycleBounds, n: u64, rx: u64, tx: u64) -> MeterRow {
    MeterRow {
        start_ns: bounds.from_ns + n * FIVE_MINUTES_NS,
        covered_ns: FIVE_MINUTES_NS,
        rx: volume(rx),
        tx: volume(tx),
        ..MeterRow::default()
    }
}

fn history(rows: Vec<MeterRow>) -> NicHistory {
    NicHistory { rows, ..NicHistory::default() }
}

/// What a port of 1 Gbit/s was metered at, long after the cycle.
fn metered(terms: Terms, bounds: CycleBounds, histories: &[NicHistory]) -> Metered {
    metered_as_of(terms, bounds, (bounds.to_ns + DAY).get(), histories)
}

fn metered_as_of(terms: Terms, bounds: CycleBounds, as_of: u64, all: &[NicHistory]) -> Metered {
    let mut meter = Meter::new(terms, bounds, WallNs(as_of));
    for (nic, history) in ["eth0", "eth1"].into_iter().zip(all) {
        meter.add(&port(nic, history));
    }
    meter.finish()
}

/// A port of 1 Gbit/s that was measured before.
fn port<'a>(nic: &'a str, history: &'a NicHistory) -> MeteredNic<'a> {
    let before = NicBefore { measured: true, down: false };
    let (client, speed_bits, stays) = ("web", Some(GBIT), None);
    MeteredNic { client, nic, speed_bits, by_host: false, stays, before, history }
}

/// What ports were metered at of which nothing was known before.
fn metered_new(terms: Terms, bounds: CycleBounds, histories: &[NicHistory]) -> Metered {
    let mut meter = Meter::new(terms, bounds, bounds.to_ns + DAY);
    for (nic, history) in ["eth0", "eth1"].into_iter().zip(histories) {
        meter.add(&MeteredNic { before: NicBefore::default(), ..port(nic, history) });
    }
    meter.finish()
}

fn terms(rule: BillingRule) -> Terms {
    Terms { rule, ..Terms::default() }
}

#[test]
fn months_of_28_to_31_days_have_their_intervals_and_drop_their_own_five_percent() {
    // 288 intervals a day. 28 days: 8064, of which 403 are dropped (8064 / 20 = 403.2); 29: 8352, 417;
    // 30: 8640, 432; 31: 8928, 446. Interval n, from 0 on, carried 75 n bytes: 75 n x 8 / 300 = 2 n
    // bit/s. The percentile is that of the last interval that stays: n = 8064 - 403 - 1 = 7660, 7934,
    // 8207, 8481.
    for (name, intervals, dropped, last) in [
        ("2026-02", 8064, 403, 7660),
        ("2028-02", 8352, 417, 7934),
        ("2026-04", 8640, 432, 8207),
        ("2026-05", 8928, 446, 8481),
    ] {
        let cycle = month(name);
        let rows = (0..intervals).map(|n| row(cycle, n, 75 * n, 0)).collect();
        let terms = Terms { commit_bits_per_second: Some(2 * last), ..terms(BillingRule::Rx) };
        let found = metered(terms, cycle, &[history(rows)]);
        assert_eq!((found.intervals, found.elapsed_intervals), (intervals, intervals), "{name}");
        assert_eq!(found.p95.bits_per_second, Some(2 * last), "{name}");
        let commit = found.commit.unwrap();
        assert_eq!((commit.allowed, commit.exceeded, commit.bursts_left), (dropped, dropped, 0));
        // 75 x (0 + 1 + ... + n - 1) = 75 n (n - 1) / 2.
        assert_eq!(found.billed_bytes, Bytes(75 * intervals * (intervals - 1) / 2), "{name}");
        assert_eq!(found.billed_max_bytes, Some(found.billed_bytes), "{name}: nothing is missing");
    }
}

#[test]
fn months_with_a_change_of_clocks_have_12_intervals_less_or_more() {
    // Berlin 2026: March has 743 h x 12 = 8916 intervals, October 745 h x 12 = 8940.
    let berlin = CycleSchedule::new(1, jiff::civil::Time::midnight(), "Europe/Berlin").unwrap();
    for (name, intervals) in [("2026-03", 8916), ("2026-10", 8940)] {
        let cycle = berlin.cycle(name.parse().unwrap());
        let rows = (0..intervals).map(|n| row(cycle, n, 1000, 0)).collect();
        let found = metered(terms(BillingRule::Rx), cycle, &[history(rows)]);
        assert_eq!((found.intervals, found.measured_intervals), (intervals, intervals), "{name}");
        assert_eq!((found.billed_bytes, found.missing_ns), (Bytes(1000 * intervals), 0), "{name}");
    }
}

#[test]
fn nics_are_pooled_by_interval_before_anything_is_ranked() {
    // 20 intervals; one is dropped. eth0 bursts to 8000 bit/s (300,000 bytes) in intervals 0 and 1, eth1
    // in intervals 2 and 3; otherwise both carry 800 bit/s (30,000 bytes).
    // By NIC: 18 x 800, 2 x 8000; without the highest, 8000 each; their sum is 16,000.
    // Pooled: 16 x 1600, 4 x 8800; without the highest, 8800.
    let cycle = bounds(20);
    let nic = |burst: [u64; 2]| {
        let bytes = |n| if burst.contains(&n) { 300_000 } else { 30_000 };
        history((0..20).map(|n| row(cycle, n, bytes(n), 0)).collect())
    };
    let (eth0, eth1) = (nic([0, 1]), nic([2, 3]));
    let p95 = |all: &[NicHistory]| {
        metered(terms(BillingRule::Rx), cycle, all).p95.bits_per_second.unwrap()
    };
    assert_eq!(p95(from_ref(&eth0)) + p95(from_ref(&eth1)), 16_000, "what pooling avoids");
    assert_eq!(p95(&[eth0, eth1]), 8800);
}

#[test]
fn the_rule_says_which_direction_is_billed_for_volumes_and_rates() {
    // 20 intervals, one dropped. Interval 0: rx 600,000 (16,000 bit/s), tx 0. Interval 1: tx 450,000
    // (12,000 bit/s), rx 0. The others: rx 75,000 (2000 bit/s), tx 150,000 (4000 bit/s).
    // rx: 600,000 + 18 x 75,000 = 1,950,000; tx: 450,000 + 18 x 150,000 = 3,150,000; together 5,100,000.
    // p95 of rx 2000, of tx 4000; of the sums (16,000, 12,000, 18 x 6000) 12,000; the larger: 4000.
    let cycle = bounds(20);
    let rows = (0..20).map(|n| match n {
        0 => row(cycle, n, 600_000, 0),
        1 => row(cycle, n, 0, 450_000),
        _ => row(cycle, n, 75_000, 150_000),
    });
    let nic = history(rows.collect());
    for (rule, bytes, p95) in [
        (BillingRule::Rx, 1_950_000, 2000),
        (BillingRule::Tx, 3_150_000, 4000),
        (BillingRule::Sum, 5_100_000, 12_000),
        (BillingRule::Max, 3_150_000, 4000),
    ] {
        let found = metered(terms(rule), cycle, from_ref(&nic));
        assert_eq!(
            (found.billed_bytes, found.p95.bits_per_second),
            (Bytes(bytes), Some(p95)),
            "{rule:?}"
        );
        let exact = (found.p95.min_bits_per_second, found.p95.max_bits_per_second);
        assert_eq!(exact, (Some(p95), Some(p95)), "{rule:?}: nothing is missing");
    }
}

#[test]
fn the_basis_adds_or_takes_off_bytes_of_each_packet() {
    // 20 intervals of 300 packets with 30,000 bytes: 600,000 bytes in 6000 packets.
    // L2+FCS: + 6000 x 4 = 624,000, 31,200 x 8 / 300 = 832 bit/s. L3: - 6000 x 14 = 516,000; 25,800 x 8
    // / 300 = 688 bit/s.
    let cycle = bounds(20);
    let rx = Volume { bytes: Bytes(30_000), packets: Packets(300) };
    let rows = (0..20).map(|n| MeterRow { rx, ..row(cycle, n, 0, 0) }).collect();
    let nic = history(rows);
    for (basis, bytes, p95) in
        [(Basis::L2, 600_000, 800), (Basis::L2Fcs, 624_000, 832), (Basis::L3, 516_000, 688)]
    {
        let terms = Terms { basis, ..terms(BillingRule::Rx) };
        let found = metered(terms, cycle, from_ref(&nic));
        assert_eq!(
            (found.billed_bytes, found.p95.bits_per_second),
            (Bytes(bytes), Some(p95)),
            "{basis:?}"
        );
        assert_eq!(
            (found.rx_bytes, found.rx_packets),
            (Bytes(600_000), Packets(6000)),
            "kept as they were counted"
        );
    }
}

#[test]
fn a_missing_day_makes_a_range_from_what_was_counted_to_a_full_link() {
    // 30 days of 37,500 bytes per interval (1000 bit/s) received, day 10 (288 intervals) missing:
    // 29 x 288 = 8352 intervals, 313,200,000 bytes. A link of 10^9 bit/s carries 125,000,000 bytes/s x
    // 86,400 s = 10,800,000,000,000 bytes a day in one direction.
    let cycle = month("2026-04");
    let rows = (0..8640).filter(|n| !(2880..3168).contains(n));
    let nic = history(rows.map(|n| row(cycle, n, 37_500, 0)).collect());
    let found = metered(terms(BillingRule::Rx), cycle, from_ref(&nic));
    assert_eq!((found.missing_ns, found.measured_intervals), (DAY, 8352));
    assert_eq!(found.billed_bytes, Bytes(313_200_000));
    assert_eq!(found.billed_max_bytes, Some(Bytes(313_200_000 + 10_800_000_000_000)));
    // Of 8640 intervals 432 are dropped, so 288 full ones change nothing; as none, neither: 1000 bit/s.
    let range =
        |p95: Ranked| (p95.min_bits_per_second, p95.bits_per_second, p95.max_bits_per_second);
    assert_eq!(range(found.p95), (Some(1000), Some(1000), Some(1000)));
    // With both directions, a full link carries twice as much.
    let both = metered(terms(BillingRule::Sum), cycle, from_ref(&nic));
    assert_eq!(both.billed_max_bytes, Some(Bytes(313_200_000 + 21_600_000_000_000)));
    // Without a link speed there is no bound, and no guess.
    let mut meter = Meter::new(terms(BillingRule::Rx), cycle, cycle.to_ns + DAY);
    let veth = MeteredNic { speed_bits: None, ..port("veth0", &nic) };
    meter.add(&veth);
    let found = meter.finish();
    assert_eq!((found.billed_bytes, found.billed_max_bytes), (Bytes(313_200_000), None));
}

#[test]
fn a_cycle_before_the_first_sample_is_unknown_and_no_zero() {
    let none = metered_new(terms(BillingRule::Rx), bounds(12), &[NicHistory::default()]);
    assert_eq!((none.billed_bytes, none.billed_max_bytes), (Bytes(0), None));
    assert_eq!((none.measured_intervals, none.p95.bits_per_second), (0, None));
}

#[test]
fn two_missing_days_may_be_the_percentile() {
    // 576 intervals are more than the 432 that are dropped: if the link was full, the percentile is
    // 10^9 bit/s. If nothing was carried, it is still 1000 bit/s: 8064 intervals have that rate.
    let cycle = month("2026-04");
    let rows = (0..8640).filter(|n| !(2880..3456).contains(n));
    let nic = history(rows.map(|n| row(cycle, n, 37_500, 0)).collect());
    let p95 = metered(terms(BillingRule::Rx), cycle, &[nic]).p95;
    assert_eq!((p95.min_bits_per_second, p95.max_bits_per_second), (Some(1000), Some(GBIT)));
}

#[test]
fn what_can_not_have_been_carried_is_not_missing() {
    let cycle = bounds(12);
    let some =
        |range: std::ops::Range<u64>| range.map(|n| row(cycle, n, 10, 0)).collect::<Vec<_>>();
    // A link that was down for intervals 3 to 5.
    let turn = |n, up| LinkTurn { time_ns: cycle.from_ns + n * FIVE_MINUTES_NS, up };
    let mut down = history([some(0..3), some(6..12)].concat());
    assert_eq!(
        metered(terms(BillingRule::Rx), cycle, &[down.clone()]).missing_ns,
        3 * FIVE_MINUTES_NS
    );
    down.links = vec![turn(3, false), turn(6, true)];
    assert_eq!(metered(terms(BillingRule::Rx), cycle, &[down]).missing_ns, 0);
    // A NIC that was first measured in interval 4, and one that never was.
    let new = history(some(4..12));
    let found = metered_new(terms(BillingRule::Rx), cycle, &[new, NicHistory::default()]);
    assert_eq!((found.missing_ns, found.measured_intervals, found.billed_bytes), (0, 8, Bytes(80)));
    // Samples that reach over the end of their interval: 300.4 s, then 299.6 s.
    let mut rows = some(0..12);
    (rows[4].covered_ns, rows[5].covered_ns) = (300_400_000_000, 299_600_000_000);
    assert_eq!(metered(terms(BillingRule::Rx), cycle, &[history(rows)]).missing_ns, 0);
}

#[test]
fn gaps_with_counts_are_counted_and_only_their_place_is_open() {
    // 12 intervals; in 4 to 7 the spool was full: 4000 bytes are known to have passed. The other 8
    // carried 37,500 bytes (1000 bit/s) each: 300,000 + 4000 bytes, nothing missing.
    let cycle = bounds(12);
    let rows = (0..12).filter(|n| !(4..8).contains(n)).map(|n| row(cycle, n, 37_500, 0)).collect();
    let gap = CountedGap {
        start_ns: cycle.from_ns + 4 * FIVE_MINUTES_NS,
        interval_ns: 4 * FIVE_MINUTES_NS,
        rx: volume(4000),
        tx: volume(0),
    };
    let nic = NicHistory { gaps: vec![gap], ..history(rows) };
    let found = metered(terms(BillingRule::Rx), cycle, from_ref(&nic));
    assert_eq!(
        (found.billed_bytes, found.billed_max_bytes),
        (Bytes(304_000), Some(Bytes(304_000)))
    );
    assert_eq!((found.missing_ns, found.measured_intervals), (0, 8));
    // One that reaches over the end of the cycle may have passed before or after it.
    let over = CountedGap { start_ns: cycle.to_ns - MINUTES, interval_ns: 2 * MINUTES, ..gap };
    let rows = (0..12).map(|n| row(cycle, n, 1, 0)).collect();
    let nic = NicHistory { gaps: vec![over], ..history(rows) };
    let found = metered(terms(BillingRule::Rx), cycle, &[nic]);
    assert_eq!((found.billed_bytes, found.billed_max_bytes), (Bytes(12), Some(Bytes(4012))));
}

#[test]
fn of_a_stay_only_its_own_time_counts_and_is_missed() {
    // 12 intervals of 37,500 bytes, without the last two. The NIC counts in intervals 2 to 5 and from 8 on: 6 of
    // them are measured, 225,000 bytes; 2 are missing, which a link of 10^9 bit/s fills with 2 x 300 s x
    // 125,000,000 bytes/s = 75,000,000,000 bytes.
    let cycle = bounds(12);
    let rows: Vec<_> = (0..10).map(|n| row(cycle, n, 37_500, 0)).collect();
    let at = |n| Time(cycle.from_ns + n * FIVE_MINUTES_NS);
    let stays = [(2, 6), (8, 12)].map(|(from, to)| NicStay { from: at(from), to: at(to) });
    let metered = |gaps: Vec<CountedGap>| {
        let history = NicHistory { gaps, ..history(rows.clone()) };
        let mut meter = Meter::new(terms(BillingRule::Rx), cycle, cycle.to_ns + DAY);
        let stays = Some(&stays[..]);
        meter.add(&MeteredNic { by_host: true, stays, ..port("eth0", &history) });
        meter.finish()
    };
    let found = metered(vec![]);
    assert_eq!((found.billed_bytes, found.measured_intervals), (Bytes(225_000), 6));
    assert_eq!(found.missing_ns, 2 * FIVE_MINUTES_NS);
    assert_eq!(found.billed_max_bytes, Some(Bytes(225_000 + 75_000_000_000)));
    // Gaps with counts: 1000 bytes within a stay count, 4000 between two don't, and 50 and 6 that began before
    // or end after one may have passed in it; so may 3 over both, once.
    let gap = |from: u64, minutes: u64, bytes| CountedGap {
        start_ns: cycle.from_ns + from * MINUTES,
        interval_ns: minutes * MINUTES,
        rx: volume(bytes),
        tx: volume(0),
    };
    let gaps =
        vec![gap(5, 8, 50), gap(11, 2, 1000), gap(29, 2, 6), gap(28, 13, 3), gap(32, 2, 4000)];
    let found = metered(gaps);
    assert_eq!(found.billed_bytes, Bytes(226_000));
    assert_eq!(found.billed_max_bytes, Some(Bytes(226_000 + 75_000_000_000 + 59)));
}

#[test]
fn dropped_packets_raise_the_upper_bound_by_at_most_what_the_link_carries() {
    // 2 dropped packets: at most 2 x 81,920 = 163,840 bytes; 10^9 more: no more than the link carries,
    // 125,000,000 bytes/s x 300 s = 37,500,000,000 bytes.
    let cycle = bounds(1);
    let of = |drops| {
        let row = MeterRow { drops, ..row(cycle, 0, 1000, 0) };
        metered(terms(BillingRule::Rx), cycle, &[history(vec![row])])
    };
    assert_eq!(of(Packets(2)).billed_max_bytes, Some(Bytes(1000 + 163_840)));
    assert_eq!(of(Packets(1_000_000_000)).billed_max_bytes, Some(Bytes(37_500_000_000)));
}

#[test]
fn a_host_counts_without_its_stacked_nics_and_a_named_nic_always() {
    let cycle = bounds(2);
    let stacked = MeterRow { stacked: true, ..row(cycle, 1, 7, 0) };
    let history = history(vec![row(cycle, 0, 5, 0), stacked]);
    for (by_host, bytes) in [(true, 5), (false, 12)] {
        let mut meter = Meter::new(terms(BillingRule::Rx), cycle, cycle.to_ns + DAY);
        let nic = MeteredNic { speed_bits: None, by_host, ..port("bond0", &history) };
        meter.add(&nic);
        let found = meter.finish();
        assert_eq!((found.billed_bytes, found.missing_ns), (Bytes(bytes), 0));
    }
}

#[test]
fn bursts_are_left_until_five_percent_of_the_whole_cycle_exceeded_the_commitment() {
    // 8640 intervals in 30 days: 432 may exceed. After 10 days (2880), 100 did: 332 are left. With 433,
    // -1: the percentile of the cycle lies over the commitment.
    let cycle = month("2026-04");
    let as_of = cycle.from_ns + 10 * DAY + 2 * MINUTES;
    for (over, left) in [(0, 432), (100, 332), (432, 0), (433, -1)] {
        let bytes = |n| if n < over { 37_538 } else { 37_500 };
        let rows = (0..2880).map(|n| row(cycle, n, bytes(n), 0)).collect();
        let terms = Terms { commit_bits_per_second: Some(1000), ..terms(BillingRule::Rx) };
        let commit = metered_as_of(terms, cycle, as_of.get(), &[history(rows)]).commit.unwrap();
        assert_eq!((commit.allowed, commit.exceeded, commit.bursts_left), (432, over, left));
    }
    // A day without measurements is not ranked: (8640 - 288) / 20 = 417 may exceed.
    let rows = (288..2880).map(|n| row(cycle, n, 37_500, 0)).collect();
    let terms = Terms { commit_bits_per_second: Some(1000), ..terms(BillingRule::Rx) };
    assert_eq!(
        metered_as_of(terms, cycle, as_of.get(), &[history(rows)]).commit.unwrap().allowed,
        417
    );
}

#[test]
fn the_outlook_takes_the_last_week_and_says_so() {
    // 30 days. 4 days at 1000 bytes per interval, then 7 at 2000: 4 x 288 x 1000 + 7 x 288 x 2000 =
    // 5,184,000. 19 days to come at 2000: 19 x 288 x 2000 = 10,944,000. Together 16,128,000.
    let cycle = month("2026-04");
    let rows = |days: u64| {
        let bytes = |n| if n < 4 * 288 { 1000 } else { 2000 };
        (0..days * 288).map(|n| row(cycle, n, bytes(n), 0)).collect::<Vec<_>>()
    };
    let outlook = |days: u64, rows: Vec<MeterRow>| {
        let as_of = cycle.from_ns + days * DAY + 2 * MINUTES;
        metered_as_of(terms(BillingRule::Rx), cycle, as_of.get(), &[history(rows)]).outlook
    };
    let week = Outlook { bytes: Bytes(16_128_000), method: OutlookMethod::MeanOfSevenDays };
    assert_eq!(outlook(11, rows(11)), Some(week));
    // 6 days: (4 x 1000 + 2 x 2000) x 288 = 2,304,000, a mean of 8000 / 6 x 288 = 384,000 a day; x 30
    // = 11,520,000.
    let so_far = Outlook { bytes: Bytes(11_520_000), method: OutlookMethod::MeanSoFar };
    assert_eq!(outlook(6, rows(6)), Some(so_far));
    // A day that was not measured is taken as the others: 4 of 5 days at 1000 are 30 x 288,000.
    let gappy = rows(4).into_iter().map(|row| MeterRow { start_ns: row.start_ns + DAY, ..row });
    let found = outlook(5, gappy.collect()).unwrap();
    assert_eq!(found.bytes, Bytes(30 * 288_000));
    // Less than an hour says nothing, and neither does a cycle that is over.
    assert_eq!(outlook(0, vec![row(cycle, 0, 1000, 0)]), None);
    assert_eq!(outlook(30, rows(30)), None);
}

#[test]
fn the_newest_minutes_count_and_are_not_missed_yet() {
    // 2 intervals are over; the third has a minute of it. It counts, and nothing is missing.
    let cycle = bounds(12);
    let newest = MeterRow { covered_ns: MINUTES, ..row(cycle, 2, 30, 0) };
    let rows = vec![row(cycle, 0, 10, 0), row(cycle, 1, 20, 0), newest];
    let as_of = cycle.from_ns + 11 * MINUTES;
    let found = metered_as_of(terms(BillingRule::Rx), cycle, as_of.get(), &[history(rows.clone())]);
    assert_eq!((found.billed_bytes, found.missing_ns, found.elapsed_intervals), (Bytes(60), 0, 1));
    // 2 minutes after its end, an interval is judged: 4 minutes of it are missing.
    let as_of = cycle.from_ns + 17 * MINUTES;
    let found = metered_as_of(terms(BillingRule::Rx), cycle, as_of.get(), &[history(rows)]);
    assert_eq!((found.billed_bytes, found.missing_ns), (Bytes(60), 4 * MINUTES));
    assert_eq!(found.billed_max_bytes, Some(Bytes(60 + GBIT / 8 * (4 * MINUTES / SECOND))));
}
