//! Which clients are shown, up or down, and from when to when.

use super::*;

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
