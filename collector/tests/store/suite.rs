//! What every store does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use collector::store::{
    Commit, Database, Event, EventKind, ExportRange, NicRange, PercentileRange, Point, Resolution,
    Retained, RetentionLimits, SeriesRange, SessionState, StoreError,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::sync::mpsc;
use wire::bounds::FIGURE_MAX;
use wire::frame::{Counts, Gap, KernelCounts, Mix, MixCounts, Sample, flags};
use wire::message::{Inventory, Nic};

use crate::batches::{
    Agent, DAY, MINUTE, SECOND, START, all, batch, client, hello, nic, point, sample,
};

pub use crate::cancel::what_is_read_for_nobody_ends_and_leaves_its_place;
pub use crate::clocks::{
    a_client_once_seen_in_the_future_is_seen_today,
    a_clock_two_years_ahead_deletes_nothing_and_is_kept_in_mind_over_restarts,
    a_session_committed_to_under_a_clock_in_1970_is_not_forgotten,
    rows_said_to_be_complete_from_the_future_on_are_looked_at_anew,
};
pub use crate::hostile::{
    a_session_that_began_in_the_future_is_forgotten_too, figures_beyond_any_link_delay_nobody,
    samples_dated_far_off_are_kept_with_their_counts_for_a_month,
    sums_beyond_64_bits_break_neither_proof_nor_views_nor_retention,
    sums_that_no_column_holds_delay_nobody_and_are_quarantined_whole,
};
pub use crate::register::{
    a_client_that_never_connected_can_be_forgotten,
    a_forgotten_client_is_listed_no_more_until_it_is_let_in_again,
    purging_leaves_no_row_of_a_client_and_all_of_the_others,
    revocations_are_for_all_collectors_and_only_rise,
    signing_out_is_for_all_collectors_until_the_session_would_have_ended,
};
pub use crate::report::the_report_view_equals_an_independent_computation;
pub use crate::tokens::{
    a_use_given_back_can_be_taken_again_and_a_cancelled_token_has_none,
    an_id_is_taken_once_until_it_is_given_back_or_its_client_forgotten,
    of_many_that_take_a_use_at_once_exactly_as_many_get_one_as_there_are,
    uses_of_a_token_long_expired_are_forgotten,
};

/// Where a store of one test is.
pub trait Place {
    /// Opens the store, which is made at the first time.
    async fn open(&self) -> Arc<dyn Database>;

    /// The one column of a query in SQL that every database understands.
    async fn numbers(&self, sql: &str) -> Vec<i64>;

    /// Changes the database behind the store's back.
    async fn execute(&self, sql: &str);

    /// Waits until nobody reads as of an earlier moment, which would keep the database from
    /// tidying up.
    async fn wait_until_nothing_is_read(&self);

    /// The rows of `bandwidth_report` by NIC and time.
    async fn report(&self, client: &str) -> Vec<ReportRow>;
}

#[derive(Debug, Clone, PartialEq)]
pub struct ReportRow {
    pub alias: String,
    pub nic: String,
    pub timestamp: String,
    pub upload_speed: f64,
    pub download_speed: f64,
    pub avg_upload_packet_size: Option<f64>,
    pub avg_download_packet_size: Option<f64>,
}

/// A store with one client and one session of it.
pub async fn opened(place: &impl Place) -> (Arc<dyn Database>, Agent) {
    let store = place.open().await;
    let states = store.open_sessions(&client("web"), &hello(&[1]), START).await.unwrap();
    assert_eq!(states, [SessionState { session: 1, seq: 0, epoch: 1, digest: None }]);
    (store, Agent::new("web", 1, 1))
}

pub async fn raw(store: &Arc<dyn Database>, client: &str, nic: &str) -> Vec<Point> {
    store.series(&all(client, nic, Resolution::Raw)).await.unwrap().points
}

pub async fn assert_sound(store: &Arc<dyn Database>) {
    let report = store.check().await.unwrap();
    assert!(report.is_sound(), "{:#?}", report.findings);
}

fn conflict<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> Vec<u64> {
    match outcome {
        Err(StoreError::Conflict { sessions }) => sessions,
        other => panic!("{other:?}"),
    }
}

pub async fn what_is_committed_is_read_back_exactly(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let samples: Vec<Sample> = (0..4).map(|n| sample("eth0", START + n * SECOND / 2, n)).collect();
    let other = Sample { flags: flags::STACKED | flags::PARTIAL, ..sample("bond0", START, 9) };
    let first = agent.frame(vec![samples[0], other, samples[1]]);
    let second = agent.frame(vec![samples[2], samples[3]]);
    let digest = wire::codec::digest(&second);
    store.commit(&batch([agent.batch(vec![first, second])])).await.unwrap();
    let expected: Vec<Point> = samples.iter().map(point).collect();
    assert_eq!(raw(&store, "web", "eth0").await, expected);
    assert_eq!(raw(&store, "web", "bond0").await, [point(&other)]);
    assert_eq!(raw(&store, "web", "eth1").await, []);
    assert_eq!(raw(&store, "db", "eth0").await, []);
    let state = SessionState { session: 1, seq: 2, epoch: 1, digest: Some(digest) };
    assert_eq!(store.committed(&[1, 77]).await.unwrap(), [state]);
    assert_sound(&store).await;
    store.ready().await.unwrap();
}

pub async fn a_batch_that_expects_another_number_is_refused_whole_and_by_name(place: &impl Place) {
    let (store, mut good) = opened(place).await;
    let sessions = [u64::MAX, 3];
    store.open_sessions(&client("db"), &hello(&sessions), START).await.unwrap();
    let mut ahead = Agent::new("db", u64::MAX, 1);
    ahead.frame(vec![]);
    let unknown = Agent::new("db", 4, 1);
    let parts = [&mut good, &mut ahead, &mut unknown.clone()].map(|agent| {
        let frame = agent.frame(vec![sample("eth0", START, 1)]);
        agent.batch(vec![frame])
    });
    let mut named = conflict(store.commit(&batch(parts.clone())).await);
    named.sort_unstable();
    assert_eq!(named, [4, u64::MAX]);
    assert_eq!(raw(&store, "web", "eth0").await, [], "nothing of it was committed");
    assert_eq!(store.committed(&[1]).await.unwrap()[0].seq, 0);
    let [first, ..] = parts;
    store.commit(&batch([first])).await.unwrap();
    assert_eq!(raw(&store, "web", "eth0").await.len(), 1);
    assert_sound(&store).await;
}

pub async fn an_older_opening_can_not_commit(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let late = agent.next(vec![sample("eth0", START, 1)]);
    let states = store.open_sessions(&client("web"), &hello(&[1]), START).await.unwrap();
    assert_eq!(states, [SessionState { session: 1, seq: 0, epoch: 2, digest: None }]);
    assert_eq!(conflict(store.commit(&late).await), [1]);
    let mut agent = Agent::new("web", 1, 2);
    store.commit(&agent.next(vec![sample("eth0", START, 1)])).await.unwrap();
    assert_eq!(raw(&store, "web", "eth0").await.len(), 1);
}

pub async fn a_batch_is_never_counted_twice(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let batch = agent.next(vec![sample("eth0", START, 1)]);
    store.commit(&batch).await.unwrap();
    assert_eq!(conflict(store.commit(&batch).await), [1]);
    assert_eq!(raw(&store, "web", "eth0").await.len(), 1);
    assert_sound(&store).await;
}

pub async fn of_two_commits_of_the_same_numbers_one_wins(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    for n in 0..10 {
        let batch = agent.next(vec![sample("eth0", START + n * SECOND, n)]);
        let commits = [0; 4].map(|_| {
            let (store, batch) = (store.clone(), batch.clone());
            tokio::spawn(async move { store.commit(&batch).await })
        });
        let mut won = 0;
        for commit in commits {
            match commit.await.unwrap() {
                Ok(_) => won += 1,
                refused => assert_eq!(conflict(refused), [1]),
            }
        }
        assert_eq!(won, 1);
    }
    assert_eq!(raw(&store, "web", "eth0").await.len(), 10);
    assert_sound(&store).await;
}

pub async fn frames_that_leave_numbers_out_are_refused(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let first = agent.frame(vec![sample("eth0", START, 1)]);
    agent.frame(vec![]);
    let third = agent.frame(vec![sample("eth0", START + SECOND, 1)]);
    assert_eq!(conflict(store.commit(&batch([agent.batch(vec![first, third])])).await), [1]);
    assert_eq!(store.committed(&[1]).await.unwrap()[0].seq, 0);
}

pub async fn a_session_of_another_client_is_refused(place: &impl Place) {
    let (store, _) = opened(place).await;
    let error = store.open_sessions(&client("db"), &hello(&[2, 1]), START).await.unwrap_err();
    let StoreError::ForeignSession { session, owner, client: who } = error else {
        panic!("{error}");
    };
    assert_eq!((session, owner.as_str(), who.as_str()), (1, "web", "db"));
    assert_eq!(store.committed(&[1, 2]).await.unwrap().len(), 1, "nothing was opened");
    let mut thief = Agent::new("db", 1, 1);
    let stolen = thief.next(vec![sample("eth0", START, 1)]);
    assert_eq!(conflict(store.commit(&stolen).await), [1]);
}

pub async fn opening_again_keeps_what_is_committed(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let batch = agent.next(vec![sample("eth0", START, 1)]);
    let digest = wire::codec::digest(&batch.sessions[0].frames[0]);
    store.commit(&batch).await.unwrap();
    let states = store.open_sessions(&client("web"), &hello(&[9, 1]), START).await.unwrap();
    let expected = [
        SessionState { session: 9, seq: 0, epoch: 1, digest: None },
        SessionState { session: 1, seq: 1, epoch: 2, digest: Some(digest) },
    ];
    assert_eq!(states, expected, "in the order of the Hello");
}

pub async fn all_is_there_after_opening_the_store_again(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    store.commit(&agent.next(vec![sample("eth0", START, 1)])).await.unwrap();
    drop(store);
    let store = place.open().await;
    assert_eq!(store.committed(&[1]).await.unwrap()[0].seq, 1);
    store.commit(&agent.next(vec![sample("eth0", START + SECOND, 1)])).await.unwrap();
    assert_eq!(raw(&store, "web", "eth0").await.len(), 2);
    assert_sound(&store).await;
}

/// What samples must add up to in intervals of `length_ns`.
fn rolled_up(points: &[Point], length_ns: u64) -> Vec<Point> {
    let mut sums: BTreeMap<u64, Point> = BTreeMap::new();
    for point in points {
        let start_ns = point.start_ns - point.start_ns % length_ns;
        let sum = sums.entry(start_ns).or_insert_with(|| Point { start_ns, ..Point::default() });
        sum.interval_ns += point.interval_ns;
        sum.drops += point.drops;
        sum.flags |= point.flags;
        for (sum, more) in [(&mut sum.rx, &point.rx), (&mut sum.tx, &point.tx)] {
            sum.bytes += more.bytes;
            sum.packets += more.packets;
            sum.captured += more.captured;
            sum.peak_1ms_bytes = sum.peak_1ms_bytes.max(more.peak_1ms_bytes);
            sum.peak_10ms_bytes = sum.peak_10ms_bytes.max(more.peak_10ms_bytes);
        }
    }
    sums.into_values().collect()
}

/// Samples of any size, anywhere in twelve minutes, of three NICs.
fn any_samples() -> impl Strategy<Value = Vec<Sample>> {
    let names = prop::sample::select(vec!["eth0", "eth1", "bond0"]);
    let figures = (0..1_u64 << 40, 0..1_u64 << 30, 0..1_u64 << 31, 0..32_u32);
    let one = (names, 0..720_000_u64, 1..MINUTE, figures);
    let one = one.prop_map(|(name, at_ms, interval_ns, (bytes, packets, peak, flags))| {
        let peak_1ms_bytes = u32::try_from(peak).unwrap();
        let rx = Counts {
            bytes,
            packets,
            captured: packets / 3,
            peak_1ms_bytes,
            peak_10ms_bytes: peak_1ms_bytes / 2,
            ..Counts::default()
        };
        let tx = Counts { bytes: packets, packets: bytes % 1000, ..rx };
        let start_ns = START + at_ms * 1_000_000;
        let drops = bytes % 7;
        Sample { start_ns, interval_ns, rx, tx, flags, drops, ..sample(name, 0, 0) }
    });
    prop::collection::vec(one, 1..20)
}

pub async fn rollups_are_what_the_samples_add_up_to(place: &impl Place) {
    let store = place.open().await;
    let batches = prop::collection::vec((any_samples(), any_samples()), 1..5);
    let runtime = tokio::runtime::Handle::current();
    let run = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config { cases: 12, ..Config::default() });
    let outcome = tokio::task::block_in_place(|| {
        runner.run(&batches, |batches| {
            run.set(run.get() + 1);
            runtime.block_on(check_rollups(&store, run.get(), batches))
        })
    });
    outcome.unwrap();
    assert_sound(&store).await;
}

async fn check_rollups(
    store: &Arc<dyn Database>,
    run: u64,
    batches: Vec<(Vec<Sample>, Vec<Sample>)>,
) -> Result<(), TestCaseError> {
    let id = format!("web-{run}");
    let (one, two) = (2 * run, 2 * run + 1);
    store.open_sessions(&client(&id), &hello(&[one, two]), START).await.unwrap();
    let mut agents = (Agent::new(&id, one, 1), Agent::new(&id, two, 1));
    let mut expected: BTreeMap<String, Vec<Point>> = BTreeMap::new();
    for (first, second) in batches {
        for sample in first.iter().chain(&second) {
            expected.entry(sample.nic.to_string()).or_default().push(point(sample));
        }
        let frames = (agents.0.frame(first), agents.1.frame(second));
        let parts = [agents.0.batch(vec![frames.0]), agents.1.batch(vec![frames.1])];
        store.commit(&batch(parts)).await.unwrap();
    }
    for (nic, mut points) in expected {
        let read = async |resolution| store.series(&all(&id, &nic, resolution)).await;
        let key = |point: &Point| (point.start_ns, point.rx.bytes, point.interval_ns);
        let mut stored = read(Resolution::Raw).await.unwrap().points;
        stored.sort_by_key(key);
        points.sort_by_key(key);
        prop_assert_eq!(stored, points.clone());
        let minutes = read(Resolution::Minute).await.unwrap().points;
        prop_assert_eq!(minutes, rolled_up(&points, MINUTE));
        let five = read(Resolution::FiveMinutes).await.unwrap().points;
        prop_assert_eq!(five, rolled_up(&points, 5 * MINUTE));
    }
    Ok(())
}

pub async fn samples_that_start_at_the_same_time_are_all_kept(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let mut mixed = agent.frame(vec![sample("eth0", START, 1), sample("eth0", START, 2)]);
    let mix = Mix { nic: nic("eth0"), start_ns: START, interval_ns: SECOND, ..Mix::default() };
    mixed.mixes = vec![mix, mix];
    store.commit(&batch([agent.batch(vec![mixed])])).await.unwrap();
    store.commit(&agent.next(vec![sample("eth0", START, 3)])).await.unwrap();
    let bytes: u64 = raw(&store, "web", "eth0").await.iter().map(|point| point.rx.bytes).sum();
    assert_eq!(bytes, 1001 + 2001 + 3001);
    assert_eq!(place.numbers("SELECT count(*) FROM traffic_mix").await, [2]);
    assert_sound(&store).await;
}

pub async fn a_series_stays_within_its_limit_and_conserves_sums_and_peaks(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let samples: Vec<Sample> =
        (0..900).map(|n| sample("eth0", START + n * SECOND / 2, n % 50)).collect();
    store.commit(&agent.next(samples.clone())).await.unwrap();
    let everything = rolled_up(&raw(&store, "web", "eth0").await, 1000 * DAY);
    for limit in [1, 7, 100, 899, 900, 5000] {
        let range = SeriesRange {
            from_ns: START,
            to_ns: START + 450 * SECOND,
            limit,
            ..all("web", "eth0", Resolution::Raw)
        };
        let points = store.series(&range).await.unwrap().points;
        assert!(points.len() <= limit && points.len() >= limit.min(900) * 9 / 10, "{limit}");
        assert_eq!(rolled_up(&points, 1000 * DAY), everything, "{limit}");
    }
}

pub async fn a_long_range_is_read_from_a_coarser_table(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let samples: Vec<Sample> =
        (0..900).map(|n| sample("eth0", START + n * 10 * SECOND, n % 50)).collect();
    store.commit(&agent.next(samples)).await.unwrap();
    let range = |seconds: u64, limit| SeriesRange {
        from_ns: START,
        to_ns: START + seconds * SECOND,
        limit,
        resolution: None,
        ..all("web", "eth0", Resolution::Raw)
    };
    let read = async |seconds, limit| store.series(&range(seconds, limit)).await.unwrap();
    assert_eq!(read(9000, 900).await.resolution, Resolution::Raw);
    assert_eq!(read(9000, 50).await.resolution, Resolution::Minute);
    let coarse = read(9000, 10).await;
    assert_eq!((coarse.resolution, coarse.points.len()), (Resolution::FiveMinutes, 10));
    assert_eq!(read(60, 1).await.resolution, Resolution::Raw);
    assert_eq!(
        rolled_up(&coarse.points, 1000 * DAY)[0].rx.bytes,
        (0..900).map(|n| n % 50 * 1000 + 1).sum::<u64>()
    );
}

pub async fn gaps_are_exact_and_apart(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let first = agent.frame(vec![sample("eth0", START, 1)]);
    let lost = vec![sample("eth0", START + SECOND, 50), sample("eth1", START + SECOND, 60)];
    let gap = agent.record(100, Gap::SpoolFull as u8, lost);
    let last = agent.frame(vec![sample("eth0", START + MINUTE, 2)]);
    store.commit(&batch([agent.batch(vec![first, gap, last])])).await.unwrap();
    let forgotten = agent.record(5, Gap::Forgotten as u8, vec![]);
    store.commit(&batch([agent.batch(vec![forgotten])])).await.unwrap();
    assert_eq!(store.committed(&[1]).await.unwrap()[0].seq, 107);
    assert_eq!(raw(&store, "web", "eth0").await.len(), 2);
    let gaps = place.numbers("SELECT reason FROM gaps ORDER BY first_seq").await;
    assert_eq!(gaps, [1, 1, 3]);
    let report = store.check().await.unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    let eth0 = &report.nics[0];
    assert_eq!((eth0.client.as_str(), eth0.nic.as_str()), ("web", "eth0"));
    assert_eq!(eth0.in_gaps.rx_bytes, 50_001);
    assert_eq!(eth0.counted.rx_bytes, 1001 + 50_001 + 2001);
    assert_eq!(eth0.counted, eth0.totals);
}

pub async fn a_gap_without_counts_is_explained_by_the_totals_on_both_sides(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let first = agent.frame(vec![sample("eth0", START, 1), sample("eth1", START, 1)]);
    let lost = sample("eth0", START + SECOND, 50);
    let other = sample("eth1", START + SECOND, 60);
    let mut damaged = agent.record(9, Gap::SpoolDamaged as u8, vec![lost, other]);
    // Of one NIC nothing is known.
    damaged.samples.truncate(1);
    let mut forgotten = agent.record(5, Gap::Forgotten as u8, vec![lost]);
    forgotten.samples.clear();
    let last = agent.frame(vec![sample("eth0", START + MINUTE, 2), sample("eth1", START, 2)]);
    store.commit(&batch([agent.batch(vec![first, damaged, forgotten, last])])).await.unwrap();
    let report = store.check().await.unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    let sums: Vec<_> = report.nics.iter().map(|it| (it.counted, it.uncounted, it.totals)).collect();
    let bytes = |n: usize| (sums[n].0.rx_bytes, sums[n].1.rx_bytes, sums[n].2.rx_bytes);
    assert_eq!(bytes(0), (1001 + 50_001 + 2001, 50_001, 1001 + 2 * 50_001 + 2001));
    assert_eq!(bytes(1), (1001 + 2001, 60_001, 1001 + 60_001 + 2001));
    // A loss is only explained where such a gap is.
    place.execute("UPDATE gaps SET reason = 1").await;
    assert_eq!(store.check().await.unwrap().findings.len(), 2);
}

pub async fn what_is_old_is_deleted_table_by_table(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    for day in 0..10 {
        let at = START + day * DAY;
        let mut frame = agent.frame(vec![sample("eth0", at, day), sample("eth1", at, day)]);
        let mix = Mix { nic: nic("eth0"), start_ns: at, interval_ns: SECOND, ..Mix::default() };
        frame.mixes.push(mix);
        store.commit(&batch([agent.batch(vec![frame])])).await.unwrap();
    }
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let limits = RetentionLimits {
        raw: days(2),
        rollup_1m: days(4),
        rollup_5m: days(400),
        ..RetentionLimits::default()
    };
    let now = START + 10 * DAY;
    store.retain(&limits, now).await.unwrap();
    let read = async |resolution| {
        store.series(&all("web", "eth0", resolution)).await.unwrap().points.len()
    };
    assert_eq!(read(Resolution::Raw).await, 2);
    assert_eq!(read(Resolution::Minute).await, 4);
    assert_eq!(read(Resolution::FiveMinutes).await, 10);
    assert_eq!(place.numbers("SELECT count(*) FROM traffic_mix").await, [2]);
    assert_sound(&store).await;
    let range = SeriesRange { resolution: None, ..all("web", "eth0", Resolution::Raw) };
    let longest = store.series(&range).await.unwrap();
    assert_eq!((longest.resolution, longest.points.len()), (Resolution::FiveMinutes, 10));
    let again = store.retain(&limits, now).await.unwrap();
    assert_eq!(again, Retained::default(), "nothing is left to do");
    let limits = RetentionLimits { rollup_5m: days(5), ..limits };
    store.retain(&limits, now + 40 * DAY).await.unwrap();
    assert_eq!(read(Resolution::FiveMinutes).await, 0);
    assert_sound(&store).await;
    // Something that arrives so late is taken all the same.
    store.open_sessions(&client("web"), &hello(&[2]), now).await.unwrap();
    let mut agent = Agent::new("web", 2, 1);
    store.commit(&agent.next(vec![sample("eth0", START, 5)])).await.unwrap();
    assert_sound(&store).await;
}

pub async fn a_session_long_silent_is_forgotten_and_the_proof_still_holds(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let gap = agent.record(9, Gap::SpoolFull as u8, vec![sample("eth0", START, 7)]);
    let frame = agent.frame(vec![sample("eth0", START, 8)]);
    store.commit(&batch([agent.batch(vec![gap, frame])])).await.unwrap();
    // Long after the commit, by the clock of this machine, and after the samples.
    let now = START + 10_000 * DAY;
    store.retain(&RetentionLimits::default(), now).await.unwrap();
    assert_eq!(store.committed(&[1]).await.unwrap(), []);
    for table in ["bandwidth_stats", "bandwidth_1m", "bandwidth_5m", "gaps", "session_nics"] {
        let left = place.numbers(&format!("SELECT count(*) FROM {table}")).await;
        assert_eq!(left, [0], "{table}");
    }
    assert_sound(&store).await;
    store.open_sessions(&client("web"), &hello(&[2]), START).await.unwrap();
    let mut agent = Agent::new("web", 2, 1);
    store.commit(&agent.next(vec![sample("eth0", START, 1)])).await.unwrap();
    assert_sound(&store).await;
}

pub async fn a_frame_that_can_not_be_kept_goes_to_quarantine_alone(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    store.commit(&agent.next(vec![sample("eth0", START, 1)])).await.unwrap();
    let mut frames = Vec::new();
    for n in 0..20 {
        frames.push(agent.frame(vec![sample("eth0", START + n * SECOND, n)]));
    }
    // The sum holds one of them and not both.
    let full = i64::MAX.cast_unsigned() - FIGURE_MAX - FIGURE_MAX / 2;
    place.execute(&format!("UPDATE bandwidth_1m SET rx_bytes = {full}")).await;
    for frame in [5, 12] {
        frames[frame].samples[0].rx.bytes = FIGURE_MAX;
    }
    // What no link carries isn't even tried.
    frames[17].samples[0].rx.bytes = i64::MAX.cast_unsigned();
    let taken = store.commit(&batch([agent.batch(frames)])).await.unwrap();
    let [told] = &taken.quarantined[..] else { panic!("{taken:?}") };
    assert_eq!((told.frames, told.whole), (2, false), "{told:?}");
    assert_eq!(store.committed(&[1]).await.unwrap()[0].seq, 21);
    assert_eq!(raw(&store, "web", "eth0").await.len(), 19);
    let kept = place.numbers("SELECT first_seq FROM quarantine ORDER BY 1").await;
    assert_eq!(kept, [14, 19]);
    let why = "SELECT count(*) FROM quarantine WHERE reason LIKE '%more than any link carries%'";
    assert_eq!(place.numbers(why).await, [1]);
    let next = agent.next(vec![sample("eth0", START + MINUTE * 9, 1)]);
    store.commit(&next).await.unwrap();
    let findings = store.check().await.unwrap().findings;
    assert!(findings.iter().any(|it| it.contains("2 sequence numbers were refused")));
}

pub async fn frames_in_quarantine_are_deleted_by_an_age_of_their_own(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let now = u64::try_from(UNIX_EPOCH.elapsed().unwrap().as_nanos()).unwrap();
    let mut frames = Vec::new();
    for n in 0..450 {
        let mut frame = agent.frame(vec![sample("eth0", now + n * SECOND, n)]);
        frame.samples[0].rx.bytes = i64::MAX.cast_unsigned();
        frames.push(frame);
    }
    frames.push(agent.frame(vec![sample("eth0", now, 1)]));
    store.commit(&batch([agent.batch(frames)])).await.unwrap();
    let kept = async || place.numbers("SELECT count(*) FROM quarantine").await[0];
    let told = store.check().await.unwrap().findings;
    let limits = RetentionLimits::default();
    store.retain(&limits, now + 29 * DAY).await.unwrap();
    assert_eq!(kept().await, 450);
    let done = store.retain(&limits, now + 31 * DAY).await.unwrap();
    assert!(kept().await == 0 && done.rows >= 450, "{done:?}");
    assert!(told.iter().any(|it| it.contains("450 sequence numbers were refused")), "{told:?}");
    assert_eq!(store.check().await.unwrap().findings, told, "that they were refused stays known");
    assert_eq!(store.committed(&[1]).await.unwrap().len(), 1, "the session is younger than that");
}

pub async fn a_client_with_too_many_nics_keeps_those_that_it_has(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    store.commit(&agent.next(vec![sample("eth0", START, 1)])).await.unwrap();
    place
        .execute(
            "INSERT INTO nics (client, name)
             WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 65536)
             SELECT clients.id, 'veth' || i FROM n, clients",
        )
        .await;
    for n in 1..3 {
        let at = START + n * SECOND;
        let more = agent.next(vec![sample("eth0", at, n), sample("veth1", at, n)]);
        store.commit(&more).await.unwrap();
    }
    assert_eq!(raw(&store, "web", "eth0").await.len(), 3);
    let quarantined = place.numbers("SELECT quarantine_seqs FROM sessions").await;
    assert_eq!(quarantined, place.numbers("SELECT count(*) FROM quarantine").await);
    assert_eq!(quarantined, [2]);
    assert_eq!(place.numbers("SELECT count(*) FROM nics").await, [65_536]);
    // An inventory that has it is kept as well.
    let nics = ["eth0", "veth1"].map(|name| Nic { name: nic(name), index: 2, ..Nic::default() });
    let inventory = Inventory { nics: nics.to_vec() };
    store.record_inventory(&client("web"), &inventory, START).await.unwrap();
    assert_eq!(place.numbers("SELECT count(*) FROM nics WHERE present = present").await, [65_536]);
    assert_eq!(store.check().await.unwrap().findings.len(), 1, "what is in quarantine");
    // Those that have no rows are deleted, and there is room again.
    store.retain(&RetentionLimits::default(), START + 10 * SECOND).await.unwrap();
    assert_eq!(place.numbers("SELECT count(*) FROM nics").await, [1]);
    store.commit(&agent.next(vec![sample("veth1", START + 9 * SECOND, 9)])).await.unwrap();
    assert_eq!(raw(&store, "web", "veth1").await.len(), 1);
    assert_eq!(store.check().await.unwrap().findings.len(), 1, "what is in quarantine");
}

pub async fn a_nic_is_forgotten_once_it_has_no_rows_left(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let pod = sample("veth1", START, 7);
    store.commit(&agent.next(vec![sample("eth0", START, 1), pod])).await.unwrap();
    let names = "SELECT count(*) FROM nics";
    // As by age, one table after the other.
    for table in ["bandwidth_stats", "bandwidth_1m", "bandwidth_5m"] {
        store.retain(&RetentionLimits::default(), START + MINUTE).await.unwrap();
        assert_eq!(place.numbers(names).await, [2], "it has rows in {table}");
        let pod = "nic = (SELECT id FROM nics WHERE name = 'veth1')";
        place.execute(&format!("DELETE FROM {table} WHERE {pod}")).await;
    }
    store.retain(&RetentionLimits::default(), START + MINUTE).await.unwrap();
    assert_eq!(place.numbers(names).await, [1]);
    assert_sound(&store).await;
    // It comes back, and the session that it was forgotten in goes on.
    let at = START + MINUTE;
    store.commit(&agent.next(vec![sample("eth0", at, 2), sample("veth1", at, 3)])).await.unwrap();
    assert_eq!(raw(&store, "web", "veth1").await.len(), 1);
    assert_sound(&store).await;
}

pub async fn a_minute_of_a_very_fast_nic_is_kept_whole_in_several_rows(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let mut fast = Sample { interval_ns: MINUTE, ..sample("eth0", START, 9) };
    // 150 million packets/s in one direction.
    (fast.rx.packets, fast.rx.bytes) = (9_000_000_007, 9_000_000_007 * 64);
    let slow = sample("eth0", START + MINUTE, 1);
    let frames = vec![agent.frame(vec![fast]), agent.frame(vec![slow])];
    store.commit(&batch([agent.batch(frames)])).await.unwrap();
    assert_eq!(place.numbers("SELECT count(*) FROM quarantine").await, [0]);
    let points = raw(&store, "web", "eth0").await;
    assert_eq!(points.len(), 6);
    let mut end_ns = START;
    for point in &points {
        // PostgreSQL keeps times to the microsecond.
        assert!(end_ns.abs_diff(point.start_ns) < 2000, "{points:?}");
        end_ns = point.start_ns + point.interval_ns;
    }
    let minutes = [point(&fast), point(&slow)];
    assert_eq!(rolled_up(&points, MINUTE), rolled_up(&minutes, MINUTE));
    let stored = store.series(&all("web", "eth0", Resolution::Minute)).await.unwrap().points;
    assert_eq!(stored, rolled_up(&minutes, MINUTE));
    assert_sound(&store).await;
}

pub async fn clients_are_known_with_their_nics_and_clock(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    store.open_sessions(&client("a.b"), &hello(&[]), START + 5 * SECOND).await.unwrap();
    let eth = |name: &str| Nic {
        name: nic(name),
        index: 2,
        mac: [2, 0, 0, 0, 0, 7],
        mtu: 9000,
        speed_bits: 100_000_000_000,
        kind: "physical".into(),
        up: true,
        stacked: false,
    };
    let inventory = Inventory { nics: vec![eth("eth1"), eth("eth0")] };
    store.record_inventory(&client("web"), &inventory, START + SECOND).await.unwrap();
    store.record_clock_offset(1, -5_000_000).await.unwrap();
    let before_ns = collector::time::now_ns() / 1000 * 1000;
    store.commit(&agent.next(vec![sample("eth7", START, 1)])).await.unwrap();
    let clients = store.clients().await.unwrap();
    let ids: Vec<&str> = clients.iter().map(|client| client.client.as_str()).collect();
    assert_eq!(ids, ["a.b", "web"]);
    let web = &clients[1];
    assert_eq!((web.alias.as_str(), web.created_ns), ("the web server", START));
    // By the collector's clock at the commit.
    assert!((before_ns..=collector::time::now_ns()).contains(&web.last_seen_ns));
    assert_eq!((&web.host, web.clock_offset_ns), (&hello(&[]).host, Some(-5_000_000)));
    assert_eq!(web.nics, [eth("eth0"), eth("eth1")]);
    assert_eq!((clients[0].clock_offset_ns, clients[0].nics.len()), (None, 0));
    let fewer = Inventory { nics: vec![Nic { up: false, ..eth("eth1") }] };
    store.record_inventory(&client("web"), &fewer, START + 2 * SECOND).await.unwrap();
    assert_eq!(store.clients().await.unwrap()[1].nics, fewer.nics);
}

pub async fn a_mix_is_summed_over_its_range(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let mix = |n: u64| {
        let figures = (1..).map(|figure: u64| figure * n);
        let mut rx = MixCounts::default();
        rx.figures_mut().zip(figures).for_each(|(own, figure)| *own = figure);
        let tx = MixCounts { tcp_bytes: n, ..MixCounts::default() };
        let start_ns = START + n * 10 * SECOND;
        Mix { nic: nic("eth0"), start_ns, interval_ns: 10 * SECOND, rx, tx, ..Mix::default() }
    };
    let mut frame = agent.frame(vec![sample("eth0", START, 1)]);
    frame.mixes = vec![mix(1), mix(2), mix(3), Mix { nic: nic("eth1"), ..mix(2) }];
    store.commit(&batch([agent.batch(vec![frame])])).await.unwrap();
    let range = nic_range(START + 20 * SECOND, START + 40 * SECOND);
    let sum = store.mix(&range).await.unwrap();
    // Of the second and the third.
    assert_eq!((sum.interval_ns, sum.rx, sum.tx), (20 * SECOND, mix(5).rx, mix(5).tx));
    let none = store.mix(&nic_range(START, START + SECOND)).await.unwrap();
    assert_eq!((none.interval_ns, none.rx), (0, MixCounts::default()));
    let unknown = NicRange { client: "db".into(), ..range };
    assert_eq!(store.mix(&unknown).await.unwrap().interval_ns, 0);
}

pub async fn what_happened_to_a_nic_is_known(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let at = |seconds: u64| START + seconds * SECOND;
    let eth0 = Nic { name: nic("eth0"), index: 2, up: true, ..Nic::default() };
    let inventories: [(u64, &[bool]); 5] =
        [(1, &[true]), (2, &[true]), (3, &[false]), (4, &[true]), (5, &[])];
    for (seconds, ups) in inventories {
        let nics = ups.iter().map(|&up| Nic { up, ..eth0.clone() }).collect();
        let inventory = Inventory { nics };
        store.record_inventory(&client("web"), &inventory, at(seconds)).await.unwrap();
    }
    let quiet = Sample { drops: 0, ..sample("eth0", at(6), 1) };
    let lossy = Sample { drops: 9, ..sample("eth0", at(7), 1) };
    let stepped = Sample { flags: flags::CLOCK_STEP | flags::STACKED, ..quiet };
    let stepped = Sample { start_ns: at(8), ..stepped };
    let other = Sample { nic: nic("eth1"), ..lossy };
    let first = agent.frame(vec![quiet, lossy, stepped, other]);
    let gap = agent.record(4, Gap::SpoolFull as u8, vec![sample("eth0", at(9), 1)]);
    store.commit(&batch([agent.batch(vec![first, gap])])).await.unwrap();

    let interval_ns = SECOND / 2;
    let event = |seconds, interval_ns, kind| Event { time_ns: at(seconds), interval_ns, kind };
    let reason = Gap::SpoolFull as u8;
    let expected = [
        event(0, 0, EventKind::Started),
        event(3, 0, EventKind::LinkDown),
        event(4, 0, EventKind::LinkUp),
        event(5, 0, EventKind::LinkDown),
        event(7, interval_ns, EventKind::Lost { packets: 9 }),
        event(8, interval_ns, EventKind::ClockStep),
        event(9, interval_ns, EventKind::Gap { reason, rx_bytes: 1001, tx_bytes: 2001 }),
    ];
    let range = nic_range(START, at(60));
    assert_eq!(store.events(&range, 100).await.unwrap(), expected);
    assert_eq!(store.events(&range, 2).await.unwrap(), expected[5..]);
    assert_eq!(store.events(&nic_range(at(4), at(8)), 100).await.unwrap(), expected[2..5]);
    let unknown = NicRange { nic: "eth9".into(), ..range };
    assert_eq!(store.events(&unknown, 100).await.unwrap(), []);
}

fn nic_range(from_ns: u64, to_ns: u64) -> NicRange {
    NicRange { client: "web".into(), nic: "eth0".into(), from_ns, to_ns }
}

pub async fn every_figure_of_a_mix_has_its_column(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let rx = MixCounts {
        multicast_packets: 1,
        broadcast_packets: 2,
        size_packets: [3, 4, 5, 6, 7, 8, 9],
        ipv4_bytes: 10,
        ipv6_bytes: 11,
        arp_bytes: 12,
        other_bytes: 13,
        tcp_packets: 14,
        tcp_bytes: 15,
        udp_packets: 16,
        udp_bytes: 17,
        icmp_packets: 18,
        icmp_bytes: 19,
        other_transport_packets: 20,
        other_transport_bytes: 21,
        tcp_syn_packets: 22,
        tcp_rst_packets: 23,
    };
    let tx = MixCounts { udp_bytes: 99, ..rx };
    let kernel = KernelCounts {
        rx_packets: 31,
        tx_packets: 32,
        rx_bytes: 33,
        tx_bytes: 34,
        dropped: 35,
        errors: 36,
    };
    let mix = Mix { nic: nic("eth0"), start_ns: START, interval_ns: 10 * SECOND, rx, tx, kernel };
    let mut frame = agent.frame(vec![]);
    frame.mixes.push(mix);
    store.commit(&batch([agent.batch(vec![frame])])).await.unwrap();
    let columns = [
        "multicast_packets",
        "broadcast_packets",
        "size_64_packets",
        "size_127_packets",
        "size_255_packets",
        "size_511_packets",
        "size_1023_packets",
        "size_1518_packets",
        "size_over_1518_packets",
        "ipv4_bytes",
        "ipv6_bytes",
        "arp_bytes",
        "other_bytes",
        "tcp_packets",
        "tcp_bytes",
        "udp_packets",
        "udp_bytes",
        "icmp_packets",
        "icmp_bytes",
        "other_transport_packets",
        "other_transport_bytes",
        "tcp_syn_packets",
        "tcp_rst_packets",
    ];
    for (n, column) in (1..).zip(columns) {
        let read = place.numbers(&format!("SELECT rx_{column} FROM traffic_mix")).await;
        assert_eq!(read, [n], "{column}");
    }
    assert_eq!(place.numbers("SELECT tx_udp_bytes FROM traffic_mix").await, [99]);
    let kernel = ["rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "dropped", "errors"];
    for (n, column) in (31..).zip(kernel) {
        let read = place.numbers(&format!("SELECT kernel_{column} FROM traffic_mix")).await;
        assert_eq!(read, [n], "{column}");
    }
}

/// A sample with bytes and packets in each direction.
fn rate(start_ns: u64, interval_ns: u64, rx: (u64, u64), tx: (u64, u64)) -> Sample {
    let counts = |(bytes, packets)| Counts { bytes, packets, ..Counts::default() };
    let (rx, tx) = (counts(rx), counts(tx));
    Sample { nic: nic("eth0"), start_ns, interval_ns, rx, tx, ..Sample::default() }
}

pub async fn the_report_view_gives_the_old_columns(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let half = SECOND / 2;
    let slow = [(500, 5), (1000, 5), (1500, 5), (2000, 5), (2500, 5)].into_iter().enumerate();
    let mut samples: Vec<Sample> =
        slow.map(|(n, rx)| rate(START + n as u64 * half, half, rx, (0, 0))).collect();
    samples.push(Sample { nic: nic("bond0"), flags: flags::STACKED, ..samples[0] });
    store.commit(&agent.next(samples)).await.unwrap();
    let rows = place.report("web").await;
    let first = ReportRow {
        alias: "the web server".into(),
        nic: "eth0".into(),
        timestamp: "2027-01-15 00:00:00.000".into(),
        upload_speed: 0.0,
        download_speed: 1000.0,
        avg_upload_packet_size: None,
        avg_download_packet_size: Some(100.0),
    };
    assert_eq!(rows[0], first);
    let speeds: Vec<f64> = rows.iter().map(|row| row.download_speed).collect();
    // (500) / 0.5 s, (500 + 1000) / 1 s, ... and from then on the last 2 s only.
    assert_eq!(speeds, [1000.0, 1500.0, 2000.0, 2500.0, 3500.0], "stacked NICs are left out");
    assert_eq!(rows[4].timestamp, "2027-01-15 00:00:02.000");
    assert_eq!(rows[4].avg_download_packet_size, Some(7000.0 / 20.0));

    // 20 samples of 100 ms: the two highest and the two lowest are left out.
    store.open_sessions(&client("fast"), &hello(&[2]), START).await.unwrap();
    let mut agent = Agent::new("fast", 2, 1);
    let bytes = [900, 100, 100, 100, 100, 100, 100, 100, 100, 100, 0, 100, 100, 100, 100, 100, 100]
        .into_iter()
        .chain([800, 10, 300]);
    let samples = bytes
        .zip(0..)
        .map(|(n, at)| rate(START + at * SECOND / 10, SECOND / 10, (n, 1), (2 * n, 4)))
        .collect();
    store.commit(&agent.next(samples)).await.unwrap();
    let rows = place.report("fast").await;
    assert_eq!(rows.len(), 20);
    // Of 9 samples none is left out, of 10 the highest and the lowest.
    assert!((rows[8].download_speed - 1700.0 / 0.9).abs() < 1e-6, "{rows:?}");
    assert!((rows[9].download_speed - 800.0 / 0.8).abs() < 1e-6, "{rows:?}");
    // Without 900, 800, 0 and 10: fifteen of 100 and one of 300.
    assert!((rows[19].download_speed - 1800.0 / 1.6).abs() < 1e-6, "{rows:?}");
    assert!((rows[19].upload_speed - 3600.0 / 1.6).abs() < 1e-6, "{rows:?}");
    let all: f64 = 900.0 + 15.0 * 100.0 + 800.0 + 10.0 + 300.0;
    assert!((rows[19].avg_upload_packet_size.unwrap() - 2.0 * all / 80.0).abs() < 1e-6);
}

/// By sorting upwards and counting: of n rates the one at place 95 n / 100, rounded up.
fn percentile_95(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[(rates.len() * 95).div_ceil(100) - 1]
}

pub async fn the_95th_percentile_is_what_transit_billing_takes(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    // 20 hours and 5 minutes of a month that is over; three intervals are missing, and of one only
    // a minute was measured.
    let (start, length) = (START - 400 * DAY, 241);
    let mut noise = 12_345_u64;
    let mut rates = (Vec::new(), Vec::new());
    let mut samples = Vec::new();
    for n in (0..length).filter(|n| ![7, 8, 100].contains(n)) {
        let minutes = if n == 50 { 1 } else { 5 };
        let mut interval = (0, 0);
        for minute in 0..minutes {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
            let (rx, tx) = (noise >> 25, noise >> 30 & 0xffff_ffff);
            interval = (interval.0 + rx, interval.1 + tx);
            let at = start + n * 5 * MINUTE + minute * MINUTE;
            samples.push(rate(at, MINUTE, (rx, 1), (tx, 1)));
        }
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
        let per_second = |bytes: u64| bytes as f64 * 8.0 / (60.0 * minutes as f64);
        rates.0.push(per_second(interval.0));
        rates.1.push(per_second(interval.1));
    }
    for chunk in samples.chunks(500) {
        store.commit(&agent.next(chunk.to_vec())).await.unwrap();
    }
    let (client, nic) = ("web".to_owned(), Some("eth0".to_owned()));
    let (from_ns, to_ns) = (start - MINUTE, start + (length * 5 + 2) * MINUTE);
    let range = PercentileRange { client, nic, from_ns, to_ns };
    let found = store.percentile(&range).await.unwrap();
    let expected = (percentile_95(rates.0), percentile_95(rates.1));
    let near = |found: u64, expected: f64| {
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
        let found = found as f64;
        assert!((found - expected).abs() <= 1.0, "{found} {expected}");
    };
    let (rx, tx) = (found.rx_bits_per_second.unwrap(), found.tx_bits_per_second.unwrap());
    near(rx, expected.0);
    near(tx, expected.1);
    assert_eq!(found.max_bits_per_second(), Some(rx.max(tx)));
    assert_eq!((found.intervals, found.measured), (length, length - 3));
    assert_eq!((found.from_ns, found.to_ns), (start, start + length * 5 * MINUTE));
    for (column, expected) in [
        ("measured_intervals", length - 3),
        ("rx_bits_per_second", rx),
        ("tx_bits_per_second", tx),
        ("max_bits_per_second", rx.max(tx)),
    ] {
        let monthly = format!("SELECT {column} FROM bandwidth_p95_monthly");
        assert_eq!(place.numbers(&monthly).await, [i64::try_from(expected).unwrap()], "{column}");
    }
    let one = PercentileRange { to_ns: start + 5 * MINUTE, ..range.clone() };
    assert_eq!(store.percentile(&one).await.unwrap().measured, 1);
    for (client, nic) in [("web", Some("eth9")), ("nobody", None)] {
        let (client, nic) = (client.to_owned(), nic.map(str::to_owned));
        let other = PercentileRange { client, nic, ..range.clone() };
        let nothing = store.percentile(&other).await.unwrap();
        assert_eq!((nothing.measured, nothing.max_bits_per_second()), (0, None));
    }
}

pub async fn the_95th_percentile_of_a_client_is_that_of_its_nics_together(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let (minutes, each) = (100 * 5, 60);
    let mut samples = Vec::new();
    let mut rates = (Vec::new(), Vec::new());
    for n in 0..minutes / 5 {
        // One NIC is busy in the first intervals, the other one in the last.
        let (first, second) = ((n % 37) * 1000 + n, (minutes - n) * 900);
        for minute in 0..5 {
            let at = START + (n * 5 + minute) * MINUTE;
            let eth0 = rate(at, MINUTE, (first * each, 1), (n, 1));
            let eth1 = rate(at, MINUTE, (second * each, 1), (n * 59, 1));
            let bond0 = Sample { flags: flags::STACKED, nic: nic("bond0"), ..eth0 };
            samples.extend([eth0, Sample { nic: nic("eth1"), ..eth1 }, bond0]);
        }
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
        rates.0.push(((first + second) * 8) as f64);
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
        rates.1.push((n * 8) as f64);
    }
    for chunk in samples.chunks(300) {
        store.commit(&agent.next(chunk.to_vec())).await.unwrap();
    }
    let (from_ns, to_ns) = (START, START + minutes * MINUTE);
    let range = PercentileRange { client: "web".into(), nic: None, from_ns, to_ns };
    let found = store.percentile(&range).await.unwrap();
    assert_eq!((found.intervals, found.measured), (100, 100));
    let (rx, tx) = (found.rx_bits_per_second.unwrap(), found.tx_bits_per_second.unwrap());
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    let found = (rx as f64, tx as f64);
    assert_eq!(found, (percentile_95(rates.0), percentile_95(rates.1)));
}

pub async fn what_was_tampered_with_is_found(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let samples = (0..10).map(|n| sample("eth0", START + n * MINUTE, n)).collect();
    store.commit(&agent.next(samples)).await.unwrap();
    assert_sound(&store).await;
    let tampering = [
        ("UPDATE bandwidth_stats SET rx_bytes = rx_bytes + 1 WHERE rx_bytes = 1001", "eth0"),
        ("UPDATE bandwidth_1m SET tx_packets = tx_packets + 1", "bandwidth_1m"),
        ("UPDATE session_nics SET last_rx_bytes = last_rx_bytes + 1", "totals grew"),
        ("UPDATE sessions SET committed_seq = 7", "7 are committed"),
    ];
    for (sql, words) in tampering {
        let before = store.check().await.unwrap().findings.len();
        place.execute(sql).await;
        let findings = store.check().await.unwrap().findings;
        assert!(findings.len() > before, "{sql}");
        assert!(findings.iter().any(|it| it.contains(words)), "{findings:?}");
    }
}

pub async fn retention_and_commits_go_side_by_side(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let old: Vec<Sample> = (0..1000).map(|n| sample("eth0", START + n * SECOND, n)).collect();
    for chunk in old.chunks(500) {
        store.commit(&agent.next(chunk.to_vec())).await.unwrap();
    }
    let now = START + 8 * DAY;
    let retaining = {
        let store = store.clone();
        tokio::spawn(async move { store.retain(&RetentionLimits::default(), now).await })
    };
    for n in 0..50 {
        store.commit(&agent.next(vec![sample("eth0", now + n * SECOND, n)])).await.unwrap();
    }
    retaining.await.unwrap().unwrap();
    assert_eq!(raw(&store, "web", "eth0").await.len(), 50);
    assert_sound(&store).await;
}

pub async fn a_reader_of_an_export_that_stalls_gets_every_row_once(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let samples: Vec<Sample> = (0..3000).map(|n| sample("eth0", START + n * SECOND, n)).collect();
    let frames = samples.chunks(500).map(|chunk| agent.frame(chunk.to_vec())).collect();
    store.commit(&batch([agent.batch(frames)])).await.unwrap();
    let (sender, mut receiver) = mpsc::channel(1);
    let exporting = {
        let store = store.clone();
        let range = ExportRange {
            client: "web".to_owned(),
            nics: vec!["eth0".to_owned()],
            from_ns: 0,
            to_ns: START + 10 * DAY,
        };
        tokio::spawn(async move { store.export(&range, sender).await })
    };
    let mut starts: Vec<u64> = Vec::new();
    while let Some(rows) = receiver.recv().await {
        starts.extend(rows.iter().map(|row| row.point.start_ns));
        // After the first chunk.
        if starts.len() == 512 {
            place.wait_until_nothing_is_read().await;
            // As of a later moment it is there too.
            store.commit(&agent.next(vec![sample("eth0", START + DAY, 1)])).await.unwrap();
        }
    }
    exporting.await.unwrap().unwrap();
    let expected: Vec<u64> = samples.iter().map(|sample| sample.start_ns).collect();
    assert_eq!(starts[..3000], expected);
    assert_eq!(starts[3000..], [START + DAY]);
}
