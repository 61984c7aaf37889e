//! What passes with time, without waiting for it.

use wire::frame::{Counts, Sample};
use wire::id::NicName;

use super::super::config::AlertsSection;
use super::*;
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
    engine.tick_at(in_seconds(3600), |_| true);
    engine.tick_at(in_seconds(3600 + 299), |_| false);
    assert_eq!(ends(&mut changes), []);
    engine.tick_at(in_seconds(3600 + 302), |_| false);
    assert_eq!(ends(&mut changes), [(ID.to_owned(), "no_data")]);
}

#[test]
fn an_incident_about_a_collector_that_is_gone_ends() {
    let (engine, mut changes) = engine("\"measure\": \"disk\"");
    engine.sync(&[open("disk", of_collector("collector old"))], vec![]);
    engine.tick_at(in_seconds(86_400), |_| true);
    assert_eq!(ends(&mut changes), [], "it may just run elsewhere");
    engine.on_gone(&[ID.to_owned()]);
    engine.tick_at(in_seconds(86_401), |_| true);
    assert_eq!(ends(&mut changes), [(ID.to_owned(), "collector_gone")]);
}

#[test]
fn what_its_rule_is_no_longer_about_ends_once_tags_are_known() {
    let (engine, mut changes) = engine("\"measure\": \"host_down\", \"tags\": [\"site=ams\"]");
    engine.sync(&[open("host_down", of_client("web-1", ""))], vec![]);
    engine.tick_at(in_seconds(1), |_| true);
    assert_eq!(ends(&mut changes), [], "after a start tags are not known");
    let tags = |value: &str| {
        let tag = format!("site={value}").parse().unwrap();
        HashMap::from([("web-1".to_owned(), TagSet::new([tag]).unwrap())])
    };
    engine.set_tags(tags("ams"));
    engine.tick_at(in_seconds(2), |_| true);
    assert_eq!(ends(&mut changes), []);
    engine.set_tags(tags("fra"));
    engine.tick_at(in_seconds(3), |_| true);
    assert_eq!(ends(&mut changes), [], "the collector where it is knows newer tags");
    engine.tick_at(in_seconds(4), |_| false);
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
    engine.tick_at(in_seconds(302), |_| false);
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
