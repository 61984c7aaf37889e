//! Series, and the rollups behind them.

use std::collections::BTreeMap;
use std::sync::Arc;

use collector::store::{
    ClientRange, Commit, Database, Point, Resolution, SeriesRange, StoredMinutes,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use wire::WallNs;
use wire::frame::{Counts, Mix, Sample};
use wire::{Bytes, Packets};

use super::place::{Place, assert_sound, opened, raw};
use crate::batches::{
    Agent, DAY, MINUTE, SECOND, START, all, batch, client, hello, nic, point, sample,
};

/// The expected sums of samples over intervals of `length_ns`.
pub fn rolled_up(points: &[Point], length_ns: u64) -> Vec<Point> {
    let mut sums: BTreeMap<u64, Point> = BTreeMap::new();
    for point in points {
        let start_ns = point.start_ns - point.start_ns % length_ns;
        let sum =
            sums.entry(start_ns.get()).or_insert_with(|| Point { start_ns, ..Point::default() });
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

/// Samples of any size at any time within twelve minutes, of three NICs.
fn any_samples() -> impl Strategy<Value = Vec<Sample>> {
    let names = prop::sample::select(vec!["eth0", "eth1", "bond0"]);
    let figures = (0..1_u64 << 40, 0..1_u64 << 30, 0..1_u64 << 31, 0..32_u32);
    let one = (names, 0..720_000_u64, 1..MINUTE, figures);
    let one = one.prop_map(|(name, at_ms, interval_ns, (bytes, packets, peak, flags))| {
        let peak_1ms_bytes = u32::try_from(peak).unwrap();
        let rx = Counts {
            bytes: Bytes(bytes),
            packets: Packets(packets),
            captured: Packets(packets / 3),
            peak_1ms_bytes,
            peak_10ms_bytes: peak_1ms_bytes / 2,
            ..Counts::default()
        };
        let tx = Counts { bytes: Bytes(packets), packets: Packets(bytes % 1000), ..rx };
        let start_ns = START + at_ms * 1_000_000;
        let drops = bytes % 7;
        Sample {
            start_ns: WallNs(start_ns),
            interval_ns,
            rx,
            tx,
            flags,
            drops: Packets(drops),
            ..sample(name, 0, 0)
        }
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
    store.open_sessions(&client(&id), &hello(&[one, two]), WallNs(START)).await.unwrap();
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

pub async fn the_minutes_of_several_clients_are_read_at_once(place: &impl Place) {
    let (store, mut web) = opened(place).await;
    store.open_sessions(&client("db"), &hello(&[77]), WallNs(START)).await.unwrap();
    let mut db = Agent::new("db", 77, 1);
    // Three minutes, of which the last is not asked for; and one before all of them.
    for (agent, names) in [(&mut web, &["eth0", "eth1"][..]), (&mut db, &["eth0"])] {
        let minutes = |name| (0..4).map(move |n| sample(name, START - MINUTE + n * MINUTE, n + 1));
        let minutes = names.iter().copied().flat_map(minutes).collect();
        store.commit(&agent.next(minutes)).await.unwrap();
    }
    let of = |client: &str| ClientRange {
        client: client.into(),
        from_ns: WallNs(START),
        to_ns: WallNs(START + 2 * MINUTE),
    };
    let asked = [of("web"), of("db"), of("nobody")];
    let mut found = store.minutes(&asked).await.unwrap();
    found.sort_by(|a, b| (&a.client, &a.nic).cmp(&(&b.client, &b.nic)));
    let names: Vec<_> = found.iter().map(|it| (it.client.as_str(), it.nic.as_str())).collect();
    assert_eq!(names, [("db", "eth0"), ("web", "eth0"), ("web", "eth1")]);
    for StoredMinutes { nic, minutes, .. } in &found {
        let expected = [2, 3].map(|n| point(&sample(nic, START + (n - 2) * MINUTE, n)));
        assert_eq!(minutes[..], expected);
    }
    assert_eq!(store.minutes(&[]).await.unwrap(), []);
}

pub async fn samples_that_start_at_the_same_time_are_all_kept(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let mut mixed = agent.frame(vec![sample("eth0", START, 1), sample("eth0", START, 2)]);
    let mix =
        Mix { nic: nic("eth0"), start_ns: WallNs(START), interval_ns: SECOND, ..Mix::default() };
    mixed.mixes = vec![mix, mix];
    store.commit(&batch([agent.batch(vec![mixed])])).await.unwrap();
    store.commit(&agent.next(vec![sample("eth0", START, 3)])).await.unwrap();
    let bytes: u64 =
        raw(&store, "web", "eth0").await.iter().map(|point| point.rx.bytes.get()).sum();
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
            from_ns: WallNs(START),
            to_ns: WallNs(START + 450 * SECOND),
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
        from_ns: WallNs(START),
        to_ns: WallNs(START + seconds * SECOND),
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
        Bytes((0..900).map(|n| n % 50 * 1000 + 1).sum::<u64>())
    );
}
