//! What a live table shows of the newest samples.

use super::*;

#[test]
fn rates_come_from_the_newest_sample() {
    let live = connected();
    live.observe(&web1(), &frame(1, 2, START + SECOND), WallNs(START + 2 * SECOND));
    let mut late = frame(1, 1, START);
    late.samples[0].rx.bytes = Bytes(7);
    live.observe(&web1(), &late, WallNs(START + 3 * SECOND));
    let sample = eth0(&live).sample.unwrap();
    assert_eq!(sample.time.to_string(), "2023-11-14T22:13:21Z");
    assert!((sample.rx.bytes_per_second - 2000.0).abs() < 1e-9);
    assert!((sample.rx.packets_per_second - 20.0).abs() < 1e-9);
    assert_eq!(sample.rx.mean_packet_bytes, Some(100.0));
    assert_eq!(sample.rx.peak_1ms_bytes_per_second, 50_000);
}

#[test]
fn of_several_intervals_in_a_frame_the_last_one_shows() {
    let live = connected();
    let mut report = frame(1, 1, START);
    report.samples.push(frame(1, 1, START + SECOND).samples[0]);
    report.samples.insert(0, frame(1, 1, START + SECOND / 2).samples[0]);
    live.observe(&web1(), &report, WallNs(START + 2 * SECOND));
    assert_eq!(eth0(&live).sample.unwrap().time.0, WallNs(START + SECOND));
    assert_eq!(eth0(&live).drops_total, Packets(3));
}

#[test]
fn a_nic_without_packets_has_no_mean_size() {
    let live = connected();
    let mut idle = frame(1, 1, START);
    idle.samples[0].rx = Counts::default();
    live.observe(&web1(), &idle, WallNs(START));
    let sample = eth0(&live).sample.unwrap();
    assert_eq!(sample.rx.mean_packet_bytes, None);
    assert!(sample.rx.bytes_per_second.abs() < f64::EPSILON);
}

#[test]
fn backlog_of_an_earlier_session_counts_but_does_not_show() {
    let live = connected();
    live.observe(&web1(), &frame(1, 1, START), WallNs(START));
    live.observe(&web1(), &frame(2, 1, START + 10 * SECOND), WallNs(START + 11 * SECOND));
    live.observe(&web1(), &frame(1, 9, START + 4 * SECOND), WallNs(START + 11 * SECOND));
    assert_eq!(eth0(&live).sample.unwrap().time.0, WallNs(START + 10 * SECOND));
    assert_eq!(eth0(&live).total.rx.bytes, Bytes(9000 + 1000));
}

#[test]
fn a_new_session_shows_though_its_clock_was_set_back() {
    let live = connected();
    live.observe(&web1(), &frame(1, 1, START), WallNs(START));
    let hour = 3600 * SECOND;
    live.observe(&web1(), &frame(2, 1, START - hour / 100), WallNs(START + 10 * SECOND));
    assert_eq!(eth0(&live).sample.unwrap().time.0, WallNs(START - hour / 100));
}
