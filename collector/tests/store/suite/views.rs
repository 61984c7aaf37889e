//! The report view.

use collector::store::Commit;
use wire::WallNs;
use wire::frame::{Counts, Sample, flags};
use wire::{Bytes, Packets};

use super::place::{Place, ReportRow, opened};
use crate::batches::{Agent, SECOND, START, client, hello, nic};

/// A sample with bytes and packets in each direction.
pub fn rate(start_ns: u64, interval_ns: u64, rx: (u64, u64), tx: (u64, u64)) -> Sample {
    let counts = |(bytes, packets)| Counts {
        bytes: Bytes(bytes),
        packets: Packets(packets),
        ..Counts::default()
    };
    let (rx, tx) = (counts(rx), counts(tx));
    Sample {
        nic: nic("eth0"),
        start_ns: WallNs(start_ns),
        interval_ns,
        rx,
        tx,
        ..Sample::default()
    }
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
    // (500) / 0.5 s, (500 + 1000) / 1 s, ... and from then on only the last 2 s.
    assert_eq!(speeds, [1000.0, 1500.0, 2000.0, 2500.0, 3500.0], "stacked NICs are left out");
    assert_eq!(rows[4].timestamp, "2027-01-15 00:00:02.000");
    assert_eq!(rows[4].avg_download_packet_size, Some(7000.0 / 20.0));

    // 20 samples of 100 ms: the two highest and the two lowest are left out.
    store.open_sessions(&client("fast"), &hello(&[2]), WallNs(START)).await.unwrap();
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
    // Of 9 samples none is left out; of 10 the highest and the lowest.
    assert!((rows[8].download_speed - 1700.0 / 0.9).abs() < 1e-6, "{rows:?}");
    assert!((rows[9].download_speed - 800.0 / 0.8).abs() < 1e-6, "{rows:?}");
    // Without 900, 800, 0 and 10, fifteen of 100 and one of 300 remain.
    assert!((rows[19].download_speed - 1800.0 / 1.6).abs() < 1e-6, "{rows:?}");
    assert!((rows[19].upload_speed - 3600.0 / 1.6).abs() < 1e-6, "{rows:?}");
    let all: f64 = 900.0 + 15.0 * 100.0 + 800.0 + 10.0 + 300.0;
    assert!((rows[19].avg_upload_packet_size.unwrap() - 2.0 * all / 80.0).abs() < 1e-6);
}
