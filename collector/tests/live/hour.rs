//! The last hour: what stands out in it, and how full links are.

use super::*;

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
