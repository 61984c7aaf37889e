//! What the live table keeps over restarts, and that counters only grow.

use super::*;

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
