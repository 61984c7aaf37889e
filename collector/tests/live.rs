//! The live table: counters, rates, and which clients and NICs appear or disappear.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use collector::live::{ClientView, GONE_NS, Live, NicView, PageEvent, Totals};
use collector::store::{ClientRange, Point, PointCounts, Registered, StoredMinutes};
use proptest::prelude::*;
use serde_json::{Value, json};
use wire::frame::{Counts, Frame, Sample, flags};
use wire::id::{ClientId, NicName, SessionId};
use wire::message::{Host, Inventory, Nic};
use wire::{Bytes, Packets};
use wire::{Seq, WallNs};

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_700_000_000 * SECOND;

fn web1() -> ClientId {
    ClientId::new("web-1").unwrap()
}

fn counts(bytes: u64, total: u64) -> Counts {
    Counts {
        bytes: Bytes(bytes),
        packets: Packets(bytes / 100),
        total_bytes: Bytes(total),
        total_packets: Packets(total / 100),
        peak_1ms_bytes: 50,
        ..Counts::default()
    }
}

/// Frame `seq` of a session, half a second long: 1000 bytes received, 100 sent, 1 packet dropped.
fn frame(session: u64, seq: u64, start_ns: u64) -> Frame {
    let sample = Sample {
        nic: NicName::new("eth0").unwrap(),
        start_ns: WallNs(start_ns),
        interval_ns: SECOND / 2,
        rx: counts(1000, 1000 * seq),
        tx: counts(100, 100 * seq),
        drops: Packets(1),
        ..Sample::default()
    };
    Frame {
        session: SessionId::new(session),
        first_seq: Seq(seq),
        last_seq: Seq(seq),
        gap: 0,
        samples: vec![sample],
        mixes: vec![],
    }
}

fn connected() -> Live {
    let live = Live::new();
    live.on_connected(&web1(), "Web", &Host::default(), WallNs(START));
    live
}

fn client(live: &Live) -> ClientView {
    live.client(&web1()).unwrap()
}

fn eth0(live: &Live) -> NicView {
    client(live).nics.into_iter().find(|nic| nic.nic == "eth0").unwrap()
}

#[test]
fn an_agent_on_the_collectors_own_host_says_nothing_of_the_clock() {
    let live = connected();
    live.on_clock_offset(&web1(), 5);
    assert_eq!(live.clock_offsets(), [5]);
    live.on_located(&web1(), true);
    assert_eq!(live.clock_offsets(), [0; 0]);
    live.on_located(&web1(), false);
    live.on_disconnected(&web1(), WallNs(START + SECOND));
    assert_eq!(live.clock_offsets(), [0; 0]);
}

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

#[test]
fn a_client_with_two_connections_is_up_until_both_are_gone() {
    let live = connected();
    live.on_connected(&web1(), "Web", &Host::default(), WallNs(START));
    live.on_disconnected(&web1(), WallNs(START));
    assert!(client(&live).up);
    live.on_disconnected(&web1(), WallNs(START));
    assert!(!client(&live).up);
    live.on_disconnected(&web1(), WallNs(START));
    live.on_connected(&web1(), "Web", &Host::default(), WallNs(START));
    assert!(client(&live).up);
}

#[test]
fn a_client_that_left_stays_with_what_it_carried_last_and_its_counters_go_on_if_it_returns() {
    let live = connected();
    live.observe(&web1(), &frame(1, 5, START), WallNs(START));
    live.on_disconnected(&web1(), WallNs(START + SECOND));
    let year = 365 * 86_400 * SECOND;
    live.expire(WallNs(START + year));
    let shown = client(&live);
    assert_eq!((shown.up, shown.last_seen.0), (false, WallNs(START + SECOND)));
    assert!((eth0(&live).sample.unwrap().rx.bytes_per_second - 2000.0).abs() < 1e-9);
    live.on_connected(&web1(), "Web", &Host::default(), WallNs(START + year));
    live.observe(&web1(), &frame(2, 1, START + year), WallNs(START + year));
    assert_eq!(eth0(&live).total.rx.bytes, Bytes(6000));
}

fn registered(last_seen_ns: u64) -> Registered {
    let (client, alias) = ("web-1".to_owned(), "Web".to_owned());
    Registered { client, alias, last_seen_ns: WallNs(last_seen_ns), forgotten_ns: None }
}

#[test]
fn a_client_that_only_the_register_knows_is_shown_as_down() {
    let live = Live::new();
    let mut updates = live.subscribe();
    live.on_registered(&[registered(START)], WallNs(START + 100 * SECOND));
    let shown = client(&live);
    assert_eq!((shown.up, shown.alias.as_str(), shown.last_seen.0), (false, "Web", WallNs(START)));
    live.publish(WallNs(START));
    let update: Value = serde_json::from_slice(&updates.try_recv().unwrap().json).unwrap();
    assert_eq!(update["clients"][0]["up"], false);
    assert_eq!(update["clients"][0]["last_seen"], "2023-11-14T22:13:20Z");
    live.on_registered(&[registered(START)], WallNs(START + 110 * SECOND));
    live.publish(WallNs(START));
    assert!(updates.try_recv().is_err(), "nothing changed");
}

#[test]
fn a_client_at_another_collector_of_the_store_is_up_until_it_is_heard_of_nowhere() {
    let live = connected();
    live.observe(&web1(), &frame(1, 1, START), WallNs(START));
    live.on_disconnected(&web1(), WallNs(START));
    // Later commits at this collector are no sign of life.
    for seconds in [1, 11, 14] {
        live.on_registered(&[registered(START + seconds * SECOND)], WallNs(START + 20 * SECOND));
        assert!(!client(&live).up && !client(&live).elsewhere, "{seconds}");
    }
    live.on_registered(&[registered(START + 24 * SECOND)], WallNs(START + 30 * SECOND));
    let shown = client(&live);
    assert!(shown.up && shown.elsewhere);
    assert_eq!(shown.last_seen.0, WallNs(START + 24 * SECOND));
    for asked in 1..=9 {
        assert!(client(&live).up, "{asked}");
        live.on_registered(&[registered(START + 24 * SECOND)], WallNs(START + 100 * SECOND));
    }
    let shown = client(&live);
    assert!(!shown.up && shown.elsewhere);
    // Connected here again.
    live.on_connected(&web1(), "Web", &Host::default(), WallNs(START + 200 * SECOND));
    live.on_disconnected(&web1(), WallNs(START + 201 * SECOND));
    assert!(!client(&live).up && !client(&live).elsewhere);
}

#[test]
fn a_time_in_the_register_that_is_still_to_come_is_not_shown() {
    let live = Live::new();
    live.on_registered(&[registered(START + 1_000_000 * SECOND)], WallNs(START));
    assert_eq!(client(&live).last_seen.0, WallNs(START));
}

#[test]
fn a_client_that_was_forgotten_disappears_once_it_has_left() {
    let live = connected();
    let mut updates = live.subscribe();
    live.observe(&web1(), &frame(1, 5, START), WallNs(START));
    let forgotten = Registered { forgotten_ns: Some(WallNs(START)), ..registered(START) };
    live.on_registered(std::slice::from_ref(&forgotten), WallNs(START));
    assert!(client(&live).up, "it is still connected");
    live.on_disconnected(&web1(), WallNs(START));
    live.publish(WallNs(START));
    let _before = updates.try_recv().unwrap();
    live.on_registered(std::slice::from_ref(&forgotten), WallNs(START));
    assert_eq!(live.client(&web1()), None);
    assert!(live.snapshot().is_empty());
    live.publish(WallNs(START));
    let update: Value = serde_json::from_slice(&updates.try_recv().unwrap().json).unwrap();
    assert_eq!(update["gone"], json!(["web-1"]));
    live.expire(WallNs(START));
    assert_eq!(live.save().unwrap(), Live::new().save().unwrap(), "nothing of it is kept");
    live.on_connected(&web1(), "Web", &Host::default(), WallNs(START));
    assert!(client(&live).up && client(&live).nics.is_empty());
}

#[test]
fn a_connected_client_stays_however_silent_it_is() {
    let live = connected();
    live.expire(WallNs(START + 10 * GONE_NS));
    assert!(client(&live).up);
}

#[test]
fn the_inventory_says_what_a_nic_is() {
    let live = connected();
    let nic = Nic {
        name: NicName::new("eth0").unwrap(),
        kind: "physical".into(),
        speed_bits: 10_000_000_000,
        up: true,
        ..Nic::default()
    };
    live.on_inventory(&web1(), &Inventory { nics: vec![nic.clone()] });
    let shown = eth0(&live);
    assert_eq!((shown.kind.as_str(), shown.up, shown.stacked), ("physical", true, false));
    assert_eq!(shown.sample, None);
    live.on_inventory(&web1(), &Inventory { nics: vec![Nic { up: false, ..nic }] });
    assert!(!eth0(&live).up);
}

#[test]
fn only_a_medium_has_a_speed() {
    for (kind, speed) in [("physical", 10), ("bond", 10), ("veth", 0), ("tun", 0), ("bridge", 0)] {
        let live = connected();
        let (name, kind) = (NicName::new("eth0").unwrap(), kind.to_owned());
        let nic = Nic { name, kind, speed_bits: 10, ..Nic::default() };
        live.on_inventory(&web1(), &Inventory { nics: vec![nic] });
        assert_eq!(eth0(&live).speed_bits_per_second, speed, "{}", eth0(&live).kind);
    }
}

#[test]
fn a_nic_that_was_removed_disappears_after_five_minutes() {
    let live = connected();
    let nic = Nic { name: NicName::new("eth0").unwrap(), up: true, ..Nic::default() };
    live.on_inventory(&web1(), &Inventory { nics: vec![nic] });
    live.observe(&web1(), &frame(1, 1, START), WallNs(START));
    live.expire(WallNs(START + 10 * GONE_NS));
    assert!(eth0(&live).up, "listed");
    live.observe(&web1(), &frame(1, 2, START + 10 * GONE_NS), WallNs(START + 10 * GONE_NS));
    live.on_inventory(&web1(), &Inventory::default());
    live.expire(WallNs(START + 11 * GONE_NS));
    assert!(!eth0(&live).up);
    live.expire(WallNs(START + 11 * GONE_NS + 1));
    assert!(client(&live).nics.is_empty());
    // Its backlog doesn't bring it back.
    let later = START + 20 * GONE_NS;
    live.observe(&web1(), &frame(1, 3, START), WallNs(later));
    assert!(client(&live).nics.is_empty());
}

#[test]
fn a_sample_may_say_that_its_nic_is_stacked() {
    let live = connected();
    let mut stacked = frame(1, 1, START);
    stacked.samples[0].flags = flags::STACKED | flags::PARTIAL;
    live.observe(&web1(), &stacked, WallNs(START));
    assert!(eth0(&live).stacked);
    assert_eq!(eth0(&live).sample.unwrap().flags, ["stacked", "partial"]);
}

#[test]
fn a_subscriber_gets_what_changed_once() {
    let live = connected();
    let mut updates = live.subscribe();
    live.publish(WallNs(START));
    let update: Value = serde_json::from_slice(&updates.try_recv().unwrap().json).unwrap();
    assert_eq!(update["clients"][0]["client"], "web-1");
    live.publish(WallNs(START));
    assert!(updates.try_recv().is_err(), "nothing changed");
}

#[test]
fn a_slow_subscriber_loses_updates_and_holds_nobody_up() {
    let live = connected();
    let mut slow = live.subscribe();
    for seq in 1..1000 {
        live.observe(&web1(), &frame(1, seq, START + seq), WallNs(START));
        live.publish(WallNs(START));
    }
    assert!(matches!(slow.try_recv(), Err(tokio::sync::broadcast::error::TryRecvError::Lagged(_))));
}

#[test]
fn a_summary_adds_up_what_is_not_stacked_and_not_silent() {
    let live = connected();
    let mut report = frame(1, 1, START);
    let other = |name: &str| Sample { nic: NicName::new(name).unwrap(), ..report.samples[0] };
    let (eth1, bond0) = (other("eth1"), Sample { flags: flags::STACKED, ..other("bond0") });
    report.samples.extend([eth1, bond0]);
    for sample in &mut report.samples[..2] {
        (sample.late, sample.inexact) = (5, 2);
    }
    live.observe(&web1(), &report, WallNs(START));
    let summary = || -> Value {
        let event = live.snapshot_event(WallNs(START));
        assert_eq!(event.name, "snapshot");
        serde_json::from_slice::<Value>(&event.json).unwrap()["clients"][0].clone()
    };
    assert_eq!(summary()["rx"]["bytes_per_second"], 4000.0);
    assert_eq!(summary()["rx"]["peak_1ms_bytes_per_second"], 50_000);
    let lost = ["drops_total", "late_total", "inexact_total"];
    assert_eq!(lost.map(|name| summary()[name].clone()), [3, 10, 4]);
    // Only eth0 still sends.
    live.observe(&web1(), &frame(1, 2, START + 60 * SECOND), WallNs(START + 60 * SECOND));
    assert_eq!(summary()["rx"]["bytes_per_second"], 2000.0);
    assert_eq!(summary()["observed"], "2023-11-14T22:14:20Z");
}

/// The newest summary of the only client, from an update.
fn update(live: &Live, updates: &mut tokio::sync::broadcast::Receiver<PageEvent>) -> Value {
    live.publish(WallNs(START));
    let event = updates.try_recv().unwrap();
    let update: Value = serde_json::from_slice(&event.json).unwrap();
    update["clients"][0].clone()
}

/// A physical NIC of 8 Mbit/s, that is 1000 bytes in 1 ms.
fn slow_nic() -> Inventory {
    let name = NicName::new("eth0").unwrap();
    let kind = "physical".to_owned();
    Inventory { nics: vec![Nic { name, kind, speed_bits: 8_000_000, up: true, ..Nic::default() }] }
}

#[test]
fn what_stands_out_in_the_hour_is_told_with_its_time_and_again_only_when_it_changes() {
    let live = connected();
    live.on_inventory(&web1(), &slow_nic());
    let mut updates = live.subscribe();
    let mut burst = frame(1, 1, START);
    burst.samples[0].tx.peak_1ms_bytes = 950;
    burst.samples[0].tx.peak_10ms_bytes = 2500;
    live.observe(&web1(), &burst, WallNs(START + SECOND));
    let hour = update(&live, &mut updates)["hour"].clone();
    let moment = json!("2023-11-14T22:13:20Z");
    let peak = |rate: u64, share: f64| {
        json!({ "nic": "eth0", "direction": "tx", "bytes_per_second": rate, "share": share,
                "time": moment, "interval_ns": SECOND / 2 })
    };
    assert_eq!(hour["peak_1ms"], peak(950_000, 0.95));
    assert_eq!(hour["peak_10ms"], peak(250_000, 0.25));
    let lost = json!({ "packets": 1, "nic": "eth0", "time": moment, "interval_ns": SECOND / 2 });
    assert_eq!(hour["lost"], lost);
    // A quiet sample changes nothing; neither does the same one once more.
    let mut quiet = frame(1, 2, START + SECOND / 2);
    quiet.samples[0].drops = Packets(0);
    live.observe(&web1(), &quiet, WallNs(START + SECOND));
    live.observe(&web1(), &burst, WallNs(START + SECOND));
    let quiet = update(&live, &mut updates);
    assert_eq!((quiet.get("hour"), quiet.get("since")), (None, None));
    let snapshot: Value = serde_json::from_slice(&live.snapshot_event(WallNs(START)).json).unwrap();
    assert_eq!(snapshot["clients"][0]["hour"], hour);
    // An hour later, nothing of it is left.
    live.expire(WallNs(START + 61 * 60 * SECOND));
    let nothing = json!({ "peak_1ms": null, "peak_10ms": null, "lost": null });
    assert_eq!(update(&live, &mut updates)["hour"], nothing);
    live.on_disconnected(&web1(), WallNs(START + 5 * SECOND));
    assert_eq!(update(&live, &mut updates)["since"], "2023-11-14T22:13:25Z");
}

#[test]
fn utilisation_is_of_the_fullest_link_that_has_a_speed_and_tells_since_when_it_is_full() {
    let live = connected();
    let told = || {
        let event = live.snapshot_event(WallNs(START));
        let snapshot: Value = serde_json::from_slice(&event.json).unwrap();
        snapshot["clients"][0]["utilisation"].clone()
    };
    live.observe(&web1(), &frame(1, 1, START), WallNs(START));
    assert_eq!(told(), Value::Null, "not known yet");
    let inventory = slow_nic();
    let veth = Nic {
        kind: "veth".into(),
        name: NicName::new("veth0").unwrap(),
        ..inventory.nics[0].clone()
    };
    live.on_inventory(&web1(), &Inventory { nics: vec![inventory.nics[0].clone(), veth] });
    // 475,000 bytes in half a second, and 1000 packets with 24 bytes each around them: 99.8 %.
    for seq in 2..14 {
        let at = START + seq * SECOND / 2;
        let mut full = frame(1, seq, at);
        (full.samples[0].tx.bytes, full.samples[0].tx.packets) = (Bytes(475_000), Packets(1000));
        let more = Sample { nic: NicName::new("veth0").unwrap(), ..full.samples[0] };
        full.samples.push(more);
        live.observe(&web1(), &full, WallNs(at + SECOND / 2));
    }
    let expected = json!({ "nic": "eth0", "direction": "tx", "share": 0.998,
        "speed_bits_per_second": 8_000_000, "full_since": "2023-11-14T22:13:21Z" });
    assert_eq!(told(), expected);
    for seq in 14..17 {
        let at = START + seq * SECOND / 2;
        live.observe(&web1(), &frame(1, seq, at), WallNs(at + SECOND / 2));
    }
    assert_eq!(told()["full_since"], Value::Null);
}

#[test]
fn a_restarted_collector_has_the_last_hour_from_the_store() {
    let before = connected();
    before.observe(&web1(), &frame(1, 1, START), WallNs(START));
    let live = Live::new();
    live.restore(&before.save().unwrap(), WallNs(START + SECOND)).unwrap();
    let asked = live.wanting_minutes(WallNs(START + SECOND));
    let minute = START / (60 * SECOND) * 60 * SECOND;
    let expected = ClientRange {
        client: "web-1".to_owned(),
        from_ns: WallNs(minute - 60 * 60 * SECOND),
        to_ns: WallNs(minute + 60 * SECOND),
    };
    assert_eq!(asked, [expected]);
    let rx = PointCounts { bytes: Bytes(60_000), peak_1ms_bytes: 700, ..PointCounts::default() };
    let burst = Point {
        start_ns: WallNs(minute - 600 * SECOND),
        interval_ns: 60 * SECOND,
        rx,
        drops: Packets(9),
        ..Point::default()
    };
    let stored = StoredMinutes { client: "web-1".into(), nic: "eth0".into(), minutes: vec![burst] };
    live.on_minutes(&asked, &[stored], WallNs(START + SECOND));
    assert_eq!(live.wanting_minutes(WallNs(START + 2 * SECOND)), [], "answered");
    let snapshot: Value = serde_json::from_slice(&live.snapshot_event(WallNs(START)).json).unwrap();
    let hour = &snapshot["clients"][0]["hour"];
    assert_eq!(hour["peak_1ms"]["bytes_per_second"], 700_000);
    assert_eq!(
        (&hour["lost"]["packets"], &hour["lost"]["interval_ns"]),
        (&json!(9), &json!(60 * SECOND))
    );
    let overview = live.overview(WallNs(START));
    assert_eq!(overview.from.0.get(), minute - 60 * 60 * SECOND);
    assert_eq!(overview.clients[0].rx[50], Some(1000));
    assert_eq!(overview.clients[0].rx.iter().flatten().count(), 1);
    assert_eq!(overview.clients[0].lost, [[50, 9]]);
}

#[test]
fn who_follows_a_client_gets_each_of_its_samples_at_once() {
    let live = connected();
    let mut events = live.watch(&web1());
    let mut next = || {
        let event = events.try_recv().unwrap();
        (event.name, serde_json::from_slice::<Value>(&event.json).unwrap())
    };
    let mut report = frame(1, 1, START);
    report.samples.push(frame(1, 1, START + SECOND / 2).samples[0]);
    live.observe(&web1(), &report, WallNs(START + SECOND));
    let (name, told) = next();
    assert_eq!((name, told["samples"].as_array().unwrap().len()), ("samples", 2));
    assert_eq!(told["samples"][1]["nic"], "eth0");
    assert_eq!(told["samples"][1]["time"], "2023-11-14T22:13:20.5Z");
    assert_eq!(told["samples"][1]["rx"]["bytes"], 1000);
    live.publish(WallNs(START));
    let (name, told) = next();
    assert_eq!((name, &told["client"]["client"]), ("update", &json!("web-1")));
    live.on_disconnected(&web1(), WallNs(START));
    live.publish(WallNs(START));
    assert_eq!(next().1["client"]["up"], false);
    let forgotten = Registered { forgotten_ns: Some(WallNs(START)), ..registered(START) };
    live.on_registered(&[forgotten], WallNs(START));
    live.publish(WallNs(START));
    assert_eq!(next().1["client"], Value::Null);
    // Other clients are not reported.
    live.on_connected(&ClientId::new("db-1").unwrap(), "", &Host::default(), WallNs(START));
    live.publish(WallNs(START));
    assert!(events.try_recv().is_err());
}

/// The frames of an agent's run.
fn session(session: u64, frames: u64) -> impl Iterator<Item = Frame> {
    (1..=frames).map(move |seq| frame(session, seq, START + session * SECOND + seq))
}

#[test]
fn counters_go_on_after_a_restart_of_the_collector() {
    let before = connected();
    before.observe(&web1(), &frame(1, 5, START), WallNs(START));
    before.observe(&web1(), &frame(2, 1, START + SECOND), WallNs(START + SECOND));
    let saved = before.save().unwrap();
    // The saved state doesn't include this one.
    before.observe(&web1(), &frame(2, 2, START + 2 * SECOND), WallNs(START + 2 * SECOND));

    let live = Live::new();
    let now = START + 2 * GONE_NS;
    live.restore(&saved, WallNs(now)).unwrap();
    live.expire(WallNs(now));
    let shown = client(&live);
    assert_eq!(
        (shown.up, shown.alias.as_str(), shown.last_seen.0),
        (false, "Web", WallNs(START + SECOND))
    );
    assert!((eth0(&live).sample.unwrap().rx.bytes_per_second - 2000.0).abs() < 1e-9);
    live.on_connected(&web1(), "Web", &Host::default(), WallNs(now));
    live.observe(&web1(), &frame(2, 2, START + 2 * SECOND), WallNs(now));
    live.observe(&web1(), &frame(1, 5, START), WallNs(now));
    assert_eq!(eth0(&live).total.rx.bytes, Bytes(5000 + 2000));
    assert_eq!(eth0(&live).drops_total, Packets(3));
    assert!(live.restore(b"{", WallNs(now)).is_err());
}

#[test]
fn what_an_older_collector_saved_shows_once_the_client_is_heard_of() {
    let saved = br#"{"clients":[{"client":"web-1","seen":{"sessions":[]},"nics":[{"nic":"eth0",
        "counter":{"carried":{"rx":{"bytes":7,"packets":1},"tx":{"bytes":0,"packets":0}},
        "sessions":[]},"drops":2}]}]}"#;
    let live = Live::new();
    live.restore(saved, WallNs(START)).unwrap();
    assert!(live.snapshot().is_empty());
    live.on_connected(&web1(), "Web", &Host::default(), WallNs(START));
    live.observe(&web1(), &frame(1, 1, START), WallNs(START));
    assert_eq!((eth0(&live).total.rx.bytes, eth0(&live).drops_total), (Bytes(1007), Packets(3)));
}

#[test]
fn the_links_and_the_nics_of_a_dead_host_stay_over_restarts_and_those_of_a_living_one_expire() {
    let live = connected();
    let nic = |name: &str| Nic {
        name: NicName::new(name).unwrap(),
        kind: "physical".into(),
        speed_bits: 10_000_000_000,
        up: true,
        ..Nic::default()
    };
    live.on_inventory(&web1(), &Inventory { nics: vec![nic("eth0"), nic("eth1")] });
    live.observe(&web1(), &frame(1, 1, START), WallNs(START));
    live.on_inventory(&web1(), &Inventory { nics: vec![nic("eth0")] });
    live.on_disconnected(&web1(), WallNs(START));
    live.expire(WallNs(START + 10 * GONE_NS));
    let names = |live: &Live| client(live).nics.into_iter().map(|nic| nic.nic).collect::<Vec<_>>();
    assert_eq!(names(&live), ["eth0", "eth1"], "nobody knows");
    let again = Live::new();
    again.restore(&live.save().unwrap(), WallNs(START + 10 * GONE_NS)).unwrap();
    assert_eq!(client(&again).nics, client(&live).nics);
    again.on_connected(&web1(), "Web", &Host::default(), WallNs(START + 11 * GONE_NS));
    again.on_inventory(&web1(), &Inventory { nics: vec![nic("eth0")] });
    again.expire(WallNs(START + 12 * GONE_NS));
    assert_eq!(names(&again), ["eth0"]);
}

proptest! {
    #[test]
    fn counters_only_grow_and_end_at_the_truth_however_frames_arrive(
        lengths in prop::collection::vec(1_u64..20, 1..5),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..200),
        gone in any::<prop::sample::Index>(),
    ) {
        let frames: Vec<Frame> =
            (1..).zip(&lengths).flat_map(|(id, &length)| session(id, length)).collect();
        // Any of them, repeatedly, and at the end each at least once.
        let mut arrivals: Vec<&Frame> = order.iter().map(|index| index.get(&frames)).collect();
        arrivals.extend(&frames);
        let live = connected();
        let nic = Nic { name: NicName::new("eth0").unwrap(), ..Nic::default() };
        live.on_inventory(&web1(), &Inventory { nics: vec![nic] });
        let gone = gone.index(arrivals.len());
        let mut before = (Totals::default(), 0);
        for (index, frame) in arrivals.into_iter().enumerate() {
            if index == gone {
                live.on_disconnected(&web1(), WallNs(START));
                live.expire(WallNs(START + GONE_NS + 1));
                live.on_registered(&[registered(START)], WallNs(START));
                live.on_connected(&web1(), "Web", &Host::default(), WallNs(START));
            }
            live.observe(&web1(), frame, WallNs(START));
            let shown = eth0(&live);
            for (now, then) in [(shown.total.rx, before.0.rx), (shown.total.tx, before.0.tx)] {
                prop_assert!(now.bytes >= then.bytes && now.packets >= then.packets);
            }
            prop_assert!(shown.drops_total >= Packets(before.1));
            before = (shown.total, shown.drops_total.get());
        }
        let frames: u64 = lengths.iter().sum();
        prop_assert_eq!(before.0.rx.bytes, Bytes(1000 * frames));
        prop_assert_eq!(before.0.rx.packets, Packets(10 * frames));
        prop_assert_eq!(before.0.tx.bytes, Bytes(100 * frames));
        prop_assert_eq!(before.1, frames, "drops count once");
    }
}
