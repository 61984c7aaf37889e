//! What passes with time, without waiting for it.

use wire::frame::{Counts, Sample};
use wire::id::NicName;

use super::super::config::AlertsSection;
use super::*;
use crate::live::{SampleTap, TappedSample};
use crate::store::AlertSubject;

type Changes = mpsc::Receiver<Emitted>;

fn engine(rule: &str) -> (Arc<Engine>, Changes) {
    let section: AlertsSection =
        serde_json::from_str(&format!("{{\"rules\": {{\"a\": {{{rule}}}}}}}")).unwrap();
    Engine::new(AlertRules::of(&section).unwrap())
}

fn open(measure: &str, subject: AlertSubject) -> AlertIncident {
    AlertIncident {
        id: "00000000000000ab".into(),
        rule: "a".into(),
        measure: measure.into(),
        severity: "warning".into(),
        subject,
        since_ns: WallNs(1),
        fired_ns: WallNs(2),
        resolved_ns: None,
        value: 1.0,
        bound: 0.5,
        worst: 1.0,
        worst_ns: WallNs(2),
        detail: String::new(),
        muted: None,
        announced: true,
        ended: None,
    }
}

fn of_client(client: &str, nic: &str) -> AlertSubject {
    AlertSubject { client: client.into(), nic: nic.into(), ..AlertSubject::default() }
}

fn of_collector(name: &str) -> AlertSubject {
    AlertSubject { name: name.into(), ..AlertSubject::default() }
}

fn in_seconds(seconds: u64) -> Moment {
    let now = now();
    let (boot, wall_ns) = (
        now.boot + Duration::from_secs(seconds),
        now.wall_ns.saturating_add(seconds * 1_000_000_000),
    );
    Moment { boot, wall_ns }
}

/// How what was emitted ended, by the incident's id.
fn ends(changes: &mut Changes) -> Vec<(String, &'static str)> {
    let mut ends = Vec::new();
    while let Ok(emitted) = changes.try_recv() {
        match emitted.what {
            What::Resolve(firing, ended) => ends.push((firing.id.to_string(), ended)),
            other => panic!("{other:?}"),
        }
    }
    ends
}

const ID: &str = "00000000000000ab";

#[test]
fn silence_of_a_client_counts_from_when_it_is_no_longer_elsewhere() {
    let (engine, mut changes) = engine("\"measure\": \"utilisation\"");
    engine.sync(&[open("utilisation", of_client("web-1", "eth0"))], vec![]);
    // An hour at another collector, then it comes here.
    engine.tick_at(in_seconds(3600), |_| Judge::Elsewhere);
    engine.tick_at(in_seconds(3600 + 299), |_| Judge::Here);
    assert_eq!(ends(&mut changes), []);
    engine.tick_at(in_seconds(3600 + 302), |_| Judge::Here);
    assert_eq!(ends(&mut changes), [(ID.to_owned(), "no_data")]);
}

#[test]
fn a_collector_stands_behind_what_its_rules_are_about_and_not_behind_what_others_judge() {
    let (engine, mut changes) = engine("\"measure\": \"disk\"");
    let incidents = [open("disk", of_collector("collector old"))];
    for second in 0..3 {
        engine.sync(&incidents, vec![]);
        assert_eq!(engine.stands_behind(), Vec::<String>::new());
        engine.tick_at(in_seconds(second * 86_400), |_| Judge::Others);
        assert_eq!(engine.stands_behind(), Vec::<String>::new());
    }
    assert_eq!(ends(&mut changes), [], "it may just run elsewhere");
    engine.sync(&incidents, vec![]);
    engine.tick_at(in_seconds(1), |_| Judge::Here);
    assert_eq!(engine.stands_behind(), [ID]);
}

#[test]
fn what_its_rule_is_no_longer_about_ends_once_tags_are_known() {
    let (engine, mut changes) = engine("\"measure\": \"clock\", \"tags\": [\"site=ams\"]");
    engine.sync(&[open("clock", of_client("web-1", ""))], vec![]);
    engine.tick_at(in_seconds(1), |_| Judge::Here);
    assert_eq!(ends(&mut changes), [], "after a start tags are not known");
    let tags = |value: &str| {
        let tag = format!("site={value}").parse().unwrap();
        HashMap::from([("web-1".to_owned(), TagSet::new([tag]).unwrap())])
    };
    engine.set_tags(tags("ams"));
    engine.tick_at(in_seconds(2), |_| Judge::Here);
    assert_eq!(ends(&mut changes), []);
    engine.set_tags(tags("fra"));
    engine.tick_at(in_seconds(4), |_| Judge::Here);
    assert_eq!(ends(&mut changes), [(ID.to_owned(), "rule_changed")]);
}

fn lossy(nic: &str) -> TappedSample {
    let rx = Counts { bytes: wire::Bytes(500_000_000), ..Counts::default() };
    let sample = Sample {
        nic: NicName::new(nic).unwrap(),
        start_ns: now_ns(),
        interval_ns: 500_000_000,
        rx,
        ..Sample::default()
    };
    TappedSample { sample, speed_bits: 8_000_000_000, newest: true, fresh: true }
}

#[test]
fn what_is_held_of_nics_that_are_gone_is_forgotten() {
    let (engine, _changes) = engine("\"measure\": \"utilisation\", \"for\": \"1h\"");
    let client = ClientId::new("web-1").unwrap();
    for n in 0..100 {
        engine.on_samples(&client, &[lossy(&format!("veth{n}"))]);
    }
    let held = || -> usize {
        let states = |shard| lock(shard).values().map(|it| it.states.len()).sum::<usize>();
        engine.shards.iter().map(states).sum()
    };
    assert_eq!(held(), 100);
    engine.tick_at(in_seconds(302), |_| Judge::Here);
    assert_eq!(held(), 0);
    assert!(engine.shards.iter().all(|shard| lock(shard).is_empty()));
}

#[test]
fn samples_are_wanted_only_by_rules_about_them() {
    let (engine, _changes) = engine("\"measure\": \"host_down\"");
    assert!(!engine.wants_samples());
    let (with, _) = self::engine("\"measure\": \"loss\"");
    engine.replace(with.rules());
    assert!(engine.wants_samples());
    engine.replace(AlertRules::default());
    assert!(!engine.wants_samples());
}

/// What was emitted, as letters: fires, is announced, resolves; with the incident's id.
fn told(changes: &mut Changes) -> Vec<(char, IncidentId)> {
    let mut told = Vec::new();
    while let Ok(emitted) = changes.try_recv() {
        told.push(match emitted.what {
            What::Fire { firing, .. } => ('F', firing.id),
            What::Announce(firing) => ('A', firing.id),
            What::Resolve(firing, _) => ('R', firing.id),
        });
    }
    told
}

#[test]
fn new_rules_change_nothing_about_what_fires_by_the_same_rules_also_while_the_store_is_away() {
    let (engine, mut changes) = engine("\"measure\": \"utilisation\", \"for\": \"0s\"");
    let client = ClientId::new("web-1").unwrap();
    engine.on_samples(&client, &[lossy("eth0")]);
    let fired = told(&mut changes);
    assert_eq!(fired.iter().map(|it| it.0).collect::<String>(), "F");
    // One more rule, whose name comes first.
    let section: AlertsSection = serde_json::from_str(
        r#"{"rules": {"0": {"measure": "loss"}, "a": {"measure": "utilisation", "for": "0s", "clear_for": "5s"}}}"#,
    )
    .unwrap();
    engine.replace(AlertRules::of(&section).unwrap());
    engine.on_samples(&client, &[lossy("eth0")]);
    assert_eq!(told(&mut changes), [], "it fires already");
}

#[test]
fn a_rule_about_other_clients_does_not_end_what_the_rule_of_another_collector_found() {
    let (engine, mut changes) = engine("\"measure\": \"host_down\", \"clients\": [\"db-*\"]");
    engine.sync(&[open("host_down", of_client("web-1", ""))], vec![]);
    // Down everywhere; then up here, which this collector's rule is not about either.
    engine.tick_at(in_seconds(1), |_| Judge::Each);
    engine.sync(&[open("host_down", of_client("web-1", ""))], vec![]);
    engine.tick_at(in_seconds(400), |_| Judge::Here);
    assert_eq!(ends(&mut changes), []);
    assert_eq!(engine.stands_behind(), Vec::<String>::new());
}

#[test]
fn what_was_held_goes_on_by_the_same_bounds_and_begins_anew_by_others() {
    let rules = |hold: &str| {
        let json = format!(r#"{{"rules": {{"a": {{"measure": "disk", "for": "{hold}"}}}}}}"#);
        AlertRules::of(&serde_json::from_str(&json).unwrap()).unwrap()
    };
    let (engine, _changes) = Engine::new(rules("1h"));
    let full = Value { value: 1.0, measured_ns: now_ns(), patience: PATIENCE };
    let owner = Owner::Collector("collector a".into());
    let held = || engine.shards.iter().map(|it| lock(it).len()).sum::<usize>();
    engine.observe(&owner, (Measure::Disk, None), &full, "");
    engine.replace(rules("1h"));
    engine.tick_at(in_seconds(1), |_| Judge::Here);
    assert_eq!(held(), 1);
    engine.replace(rules("2h"));
    engine.tick_at(in_seconds(1), |_| Judge::Here);
    assert_eq!(held(), 0);
}

#[test]
fn what_ended_before_new_rules_is_forgotten_once_the_store_has_it() {
    let (engine, mut changes) = engine("\"measure\": \"utilisation\", \"for\": \"0s\"");
    let client = ClientId::new("web-1").unwrap();
    engine.on_samples(&client, &[lossy("eth0")]);
    engine.tick_at(in_seconds(302), |_| Judge::Here);
    engine.replace(engine.rules());
    while let Ok(emitted) = changes.try_recv() {
        engine.on_stored(&emitted);
    }
    engine.tick_at(in_seconds(303), |_| Judge::Here);
    assert!(engine.shards.iter().all(|shard| lock(shard).is_empty()));
}

#[test]
fn a_direction_that_a_rule_is_no_longer_about_ends_at_once() {
    let (engine, mut changes) = engine("\"measure\": \"utilisation\", \"direction\": \"tx\"");
    let subject = AlertSubject { direction: "rx".into(), ..of_client("web-1", "eth0") };
    let incident = open("utilisation", subject);
    let (before, _) = self::engine("\"measure\": \"utilisation\"");
    let both = before.rules();
    let tx = engine.rules();
    engine.replace(both);
    engine.sync(&[incident], vec![]);
    engine.replace(tx);
    engine.tick_at(in_seconds(1), |_| Judge::Here);
    assert_eq!(ends(&mut changes), [(ID.to_owned(), "rule_changed")]);
}

#[test]
fn quiet_hours_that_join_end_together() {
    let quiet = "\"measure\": \"loss\", \"quiet\": [\"22:00-06:00\", \"Sat,Sun 00:00-24:00\"]";
    let (engine, _changes) = engine(quiet);
    let rules = engine.rules();
    let until = |time: &str| {
        let at: jiff::Timestamp = time.parse().unwrap();
        let at = WallNs(u64::try_from(at.as_nanosecond()).unwrap());
        let until = rules.rules[0].quiet_until(at, &jiff::tz::TimeZone::UTC);
        until.map(|it| jiff::Timestamp::from_nanosecond(it.get().into()).unwrap().to_string())
    };
    // A Saturday: through Sunday, to the end of the night.
    assert_eq!(until("2026-11-28T23:00:00Z").as_deref(), Some("2026-11-30T06:00:00Z"));
    assert_eq!(until("2026-11-26T23:00:00Z").as_deref(), Some("2026-11-27T06:00:00Z"));
    assert_eq!(until("2026-11-30T12:00:00Z"), None);
}
