//! What pages that follow the live table are told.

use super::*;

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
