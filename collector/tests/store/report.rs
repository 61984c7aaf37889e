//! Compares the speeds of `bandwidth_report` with an independent computation from the same samples.

use collector::store::Commit;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use wire::WallNs;
use wire::frame::{Counts, Sample};
use wire::{Bytes, Packets};

use crate::batches::{Agent, SECOND, START, client, hello, nic};
use crate::suite::{Place, ReportRow};

/// Window of the moving average, nanoseconds.
const WINDOW: u64 = 2 * SECOND;

const MS: u64 = SECOND / 1000;

/// Intervals of equal length in a row, with pauses between them: as agents make them, shorter at the
/// start of a capture, and coarser from a spool.
fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let interval = prop_oneof![
        Just(10 * MS),
        Just(100 * MS),
        Just(200 * MS),
        Just(500 * MS),
        Just(1700 * MS),
        Just(10 * SECOND)
    ];
    let row = (interval, 1..25usize, 0..3000u64);
    let rows = prop::collection::vec(row, 1..12);
    let figures = prop::collection::vec((0..1u64 << 40, 0..1u64 << 20), 25 * 12);
    (rows, figures).prop_map(|(rows, figures)| {
        let mut figures = figures.into_iter();
        let mut start_ns = START;
        let mut samples = Vec::new();
        for (interval_ns, count, pause_ms) in rows {
            for _ in 0..count {
                let (bytes, packets) = figures.next().unwrap();
                let counts = |bytes, packets| Counts { bytes, packets, ..Counts::default() };
                samples.push(Sample {
                    nic: nic("eth0"),
                    start_ns: WallNs(start_ns),
                    interval_ns,
                    rx: counts(Bytes(bytes), Packets(packets)),
                    // The highest in rx is the lowest in tx; no two speeds are equal.
                    tx: counts(
                        Bytes((1 << 41) - bytes),
                        if bytes % 5 == 0 { Packets(0) } else { Packets(7) },
                    ),
                    ..Sample::default()
                });
                start_ns += interval_ns;
            }
            start_ns += pause_ms * MS;
        }
        samples
    })
}

/// Speed and mean packet size at a sample, straight from the definition.
fn expected(samples: &[Sample], at: usize, of: fn(&Sample) -> Counts) -> (f64, Option<f64>) {
    let now = &samples[at];
    let end_ns = now.start_ns + now.interval_ns;
    let latest: Vec<&Sample> = samples[..=at]
        .iter()
        .filter(|it| it.start_ns == now.start_ns || it.start_ns + WINDOW >= end_ns)
        .collect();
    let mut by_speed = latest.clone();
    by_speed.sort_by(|a, b| {
        // Compares fractions without division.
        let left = u128::from(of(a).bytes.get()) * u128::from(b.interval_ns);
        left.cmp(&(u128::from(of(b).bytes.get()) * u128::from(a.interval_ns)))
    });
    let cut = if latest.len() >= 10 { latest.len() / 10 } else { 0 };
    let kept = &by_speed[cut..by_speed.len() - cut];
    let sum = |samples: &[&Sample], figure: &dyn Fn(&Sample) -> u64| -> f64 {
        samples.iter().map(|sample| figure(sample)).sum::<u64>() as f64
    };
    let speed = sum(kept, &|it| of(it).bytes.get()) * 1e9 / sum(kept, &|it| it.interval_ns);
    let packets = sum(&latest, &|it| of(it).packets.get());
    let size = (packets > 0.0).then(|| sum(&latest, &|it| of(it).bytes.get()) / packets);
    (speed, size)
}

fn assert_close(got: f64, expected: f64, what: &str) {
    let off = (got - expected).abs();
    assert!(off <= expected.abs() * 1e-12, "{what}: {got}, expected {expected}");
}

pub async fn the_report_view_equals_an_independent_computation(place: &impl Place) {
    let store = place.open().await;
    let mut runner = TestRunner::deterministic();
    for session in 1..=6 {
        let id = format!("host-{session}");
        store.open_sessions(&client(&id), &hello(&[session]), WallNs(START)).await.unwrap();
        let samples = samples().new_tree(&mut runner).unwrap().current();
        let mut agent = Agent::new(&id, session, 1);
        for chunk in samples.chunks(100) {
            store.commit(&agent.next(chunk.to_vec())).await.unwrap();
        }
        let rows: Vec<ReportRow> = place.report(&id).await;
        assert_eq!(rows.len(), samples.len());
        for (at, row) in rows.iter().enumerate() {
            let (upload, upload_size) = expected(&samples, at, |it| it.tx);
            let (download, download_size) = expected(&samples, at, |it| it.rx);
            let what = format!("{id}, sample {at}");
            assert_close(row.upload_speed, upload, &what);
            assert_close(row.download_speed, download, &what);
            let sizes = [row.avg_upload_packet_size, row.avg_download_packet_size];
            for (got, expected) in sizes.into_iter().zip([upload_size, download_size]) {
                assert_eq!(got.is_some(), expected.is_some(), "{what}");
                assert_close(got.unwrap_or(0.0), expected.unwrap_or(0.0), &what);
            }
        }
    }
}
