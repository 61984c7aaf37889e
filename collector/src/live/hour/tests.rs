//! The last hour of a client.

use wire::{Bytes, Packets};

use super::*;
use crate::store::PointCounts;

/// The start of a minute.
const NOON: WallNs = WallNs(28_401_120 * MINUTE_NS);
const SECOND: u64 = 1_000_000_000;

fn nic(name: &str) -> NicName {
    NicName::new(name).unwrap()
}

fn sample(start_ns: WallNs, peak: u32, drops: u64) -> Sample {
    let rx = Counts {
        bytes: Bytes(1000),
        peak_1ms_bytes: peak,
        peak_10ms_bytes: 3 * peak,
        ..Counts::default()
    };
    let tx = Counts { bytes: Bytes(100), peak_1ms_bytes: peak / 2, ..Counts::default() };
    let interval_ns = SECOND / 2;
    Sample {
        nic: nic("eth0"),
        start_ns,
        interval_ns,
        rx,
        tx,
        drops: Packets(drops),
        ..Sample::default()
    }
}

fn stored(start_ns: WallNs, seconds: u64, peak: u32, drops: u64) -> Point {
    let rx = PointCounts {
        bytes: Bytes(2000 * seconds),
        peak_1ms_bytes: peak,
        ..PointCounts::default()
    };
    let interval_ns = seconds * SECOND;
    Point { start_ns, interval_ns, rx, drops: Packets(drops), ..Point::default() }
}

fn peak_1ms(hour: &Hour) -> Option<(u32, WallNs)> {
    hour.extremes().peaks[0].map(|it| (it.bytes, it.moment.start_ns))
}

#[test]
fn the_highest_peak_stays_an_hour_with_its_time() {
    let mut hour = Hour::default();
    let burst = NOON + 10 * SECOND;
    assert!(hour.add(&sample(burst, 900, 0), false, false, burst + SECOND));
    assert!(!hour.add(&sample(NOON + 20 * SECOND, 500, 0), false, false, NOON + 21 * SECOND));
    let expected = Peak {
        nic: nic("eth0"),
        direction: FlowDirection::Rx,
        bytes: 900,
        moment: SampleSpan { start_ns: burst, interval_ns: SECOND / 2 },
    };
    assert_eq!(hour.extremes().peaks[0], Some(expected));
    assert_eq!(hour.extremes().peaks[1].unwrap().bytes, 2700);
    let later = NOON + 30 * MINUTE_NS;
    assert!(!hour.add(&sample(later, 700, 0), false, false, later));
    // 60 minutes and a part later it is still within the last hour; then the next one is highest.
    assert!(!hour.tick(NOON + 60 * MINUTE_NS + 59 * SECOND));
    assert_eq!(peak_1ms(&hour), Some((900, burst)));
    assert!(hour.tick(NOON + 61 * MINUTE_NS));
    assert_eq!(peak_1ms(&hour), Some((700, later)));
    assert!(hour.tick(later + 61 * MINUTE_NS));
    assert_eq!(*hour.extremes(), Extremes::default());
    assert_eq!(hour.nics(), 0, "nothing is kept of a silent NIC");
}

#[test]
fn losses_of_the_hour_add_up_and_the_newest_has_its_time() {
    let mut hour = Hour::default();
    for (after, drops) in [(0, 5), (61, 9), (100, 0)] {
        let at = NOON + after * SECOND;
        hour.add(&sample(at, 1, drops), false, false, at);
    }
    let lost = hour.extremes().lost.unwrap();
    assert_eq!((lost.packets, lost.moment.start_ns), (Packets(14), NOON + 61 * SECOND));
    hour.tick(NOON + 61 * MINUTE_NS);
    assert_eq!(hour.extremes().lost.unwrap().packets, Packets(9), "the first was an hour ago");
}

#[test]
fn backlog_goes_where_it_belongs_and_what_is_older_than_an_hour_goes_nowhere() {
    let mut hour = Hour::default();
    let now = NOON + 30 * MINUTE_NS;
    hour.add(&sample(now, 10, 0), false, false, now);
    hour.add(&sample(NOON, 90, 3), false, false, now);
    assert!(!hour.add(&sample(NOON.saturating_sub(31 * MINUTE_NS), 99, 7), false, false, now));
    assert_eq!(peak_1ms(&hour), Some((90, NOON)));
    assert_eq!(hour.extremes().lost.unwrap().packets, Packets(3));
    let rates = hour.rates(now).rates;
    assert_eq!(rates[MINUTES - 1], Some([2000, 200]));
    assert_eq!(rates[MINUTES - 31], Some([2000, 200]));
    assert_eq!(rates.iter().flatten().count(), 2);
}

#[test]
fn a_clock_that_ran_ahead_and_was_set_right_hides_nothing() {
    let mut hour = Hour::default();
    // By a year, while its offset was not known yet.
    hour.add(&sample(NOON + 525_600 * MINUTE_NS, 50, 0), false, false, NOON);
    hour.add(&sample(NOON + SECOND, 40, 0), false, false, NOON + SECOND);
    assert_eq!(hour.rates(NOON + SECOND).rates[MINUTES - 1], Some([2000, 200]));
    // Known: the hour moves with the client's clock, and back.
    let ahead = NOON + 525_600 * MINUTE_NS;
    hour.add(&sample(ahead, 60, 0), false, false, ahead);
    assert_eq!(peak_1ms(&hour), Some((60, ahead)));
    hour.add(&sample(NOON + 2 * SECOND, 30, 0), false, false, NOON + 2 * SECOND);
    assert!(hour.tick(NOON + 2 * SECOND));
    assert_eq!(
        peak_1ms(&hour).unwrap(),
        (50, NOON + (MINUTE_NS - MS_NS)),
        "the first one's minute"
    );
}

#[test]
fn stored_minutes_fill_what_is_missing_and_nothing_counts_twice() {
    let mut hour = Hour::default();
    let now = NOON + 2 * MINUTE_NS + 10 * SECOND;
    let (before, this) = (NOON + MINUTE_NS, NOON + 2 * MINUTE_NS);
    // Of the minute before, half a second was heard here, and a loss.
    hour.add(&sample(before + 50 * SECOND, 70, 4), false, false, now);
    let known = [stored(NOON, 60, 80, 2), stored(before, 60, 70, 4), stored(this, 5, 9, 0)];
    hour.fill(nic("eth0"), &known, now);
    assert!(hour.tick(now));
    let once = (*hour.extremes(), hour.rates(now));
    let rates = once.1.rates;
    assert_eq!(rates[MINUTES - 3..], [Some([2000, 0]); 3]);
    // The store knows peaks and losses to the minute, what was heard here is known exactly.
    assert_eq!(peak_1ms(&hour), Some((80, NOON)));
    assert_eq!(hour.extremes().peaks[0].unwrap().moment.interval_ns, MINUTE_NS);
    let lost = hour.extremes().lost.unwrap();
    assert_eq!((lost.packets, lost.moment.start_ns), (Packets(6), before + 50 * SECOND));
    hour.fill(nic("eth0"), &known, now);
    assert!(!hour.tick(now), "told again");
    assert_eq!((*hour.extremes(), hour.rates(now)), once);
}

#[test]
fn stacked_nics_lose_packets_but_carry_nothing_of_their_own() {
    let mut hour = Hour::default();
    hour.add(&sample(NOON, 500, 2), true, false, NOON);
    assert_eq!(hour.extremes().peaks, [None; 2]);
    assert_eq!(hour.extremes().lost.unwrap().packets, Packets(2));
    assert_eq!(hour.rates(NOON).rates, [None; MINUTES]);
    assert_eq!(hour.rates(NOON).drops[MINUTES - 1], Packets(2));
}

#[test]
fn of_a_gap_only_losses_count() {
    let mut hour = Hour::default();
    let gap = Sample { interval_ns: 600 * SECOND, ..sample(NOON, 500, 2) };
    assert!(hour.add(&gap, false, false, NOON), "an interval that no minute can claim");
    assert!(hour.add(&sample(NOON, 500, 3), false, true, NOON));
    assert_eq!(hour.extremes().lost.unwrap().packets, Packets(5));
    assert_eq!((peak_1ms(&hour), hour.rates(NOON).rates), (None, [None; MINUTES]));
}

#[test]
fn what_each_sample_changes_is_what_a_look_at_all_minutes_finds() {
    let mut hour = Hour::default();
    let mut random = 1_u32;
    for number in 1..1_000_u32 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // No two times and no two peaks are equal: of equal ones either may stand out.
        let now = NOON + u64::from(number) * (4 * SECOND + SECOND / 1000);
        let age = u64::from(random >> 8) % (70 * 60) * SECOND * u64::from(random >> 31);
        let peak = (random >> 20) * 4_096 + number;
        let drops = u64::from(random >> 5) % 3;
        let nic = nic(["eth0", "eth1", "bond0"][(random >> 12) as usize % 3]);
        let sample = Sample { nic, ..sample(now.saturating_sub(age), peak, drops) };
        hour.tick(now);
        hour.add(&sample, nic.as_str() == Some("bond0"), false, now);
        assert!(!hour.find(minute_of(now)), "sample {number}");
    }
    assert!(hour.extremes().lost.is_some_and(|lost| lost.packets > Packets(100)));
}

#[test]
fn a_nic_that_becomes_a_slave_of_another_stands_out_no_more_soon() {
    let mut hour = Hour::default();
    hour.add(&sample(NOON, 500, 0), false, false, NOON);
    hour.add(&sample(NOON + SECOND, 400, 0), true, false, NOON + SECOND);
    assert!(hour.tick(NOON + SECOND));
    assert_eq!(peak_1ms(&hour), None);
}

#[test]
fn a_client_with_the_most_nics_that_flips_its_clock_and_its_figures_delays_nobody() {
    const NICS: u64 = wire::message::LIST_MAX as u64;
    let minutes: Vec<Point> =
        (0..60).map(|minute| stored(NOON + minute * MINUTE_NS, 60, 80, 2)).collect();
    let now = NOON + 59 * MINUTE_NS;
    let mut hour = Hour::default();
    let began = std::time::Instant::now();
    for number in 0..NICS {
        let nic = nic(&format!("n{number}"));
        hour.fill(nic, &minutes, now);
        let sample = Sample { nic, ..sample(now, 90, 1) };
        hour.add(&sample, number % 2 == 0, false, now + number % 2 * MINUTE_NS);
    }
    hour.tick(now);
    // Without optimisation 0.5 s; a look at all minutes for each NIC and sample would take minutes.
    assert!(began.elapsed() < testbed::PATIENCE, "{:?}", began.elapsed());
    assert_eq!(hour.extremes().lost.unwrap().packets, Packets(NICS * 121));
}
