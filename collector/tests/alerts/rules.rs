//! Rules as operators write them: what is refused and how, and what fires.

use collector::alerts::Judge;
use collector::alerts::watch::look_at_tags;
use collector::store::{ClientTags, TaggedClient};
use settings::InFull;
use wire::tag::TagSet;
use wire::{Bytes, Packets};

use crate::parts::{Parts, SPEED, load, section, store};
use crate::receiver::{OK, Receiver};

#[test]
fn a_bad_rule_or_target_is_refused_with_its_key_and_the_way_out() {
    let target = "targets: {ops: {kind: webhook, url: \"http://127.0.0.1:1/\"}}";
    for (alerts, expected) in [
        ("rules: {a: {}}", "alerts.rules.a.measure: not set; choose one of host_down, loss"),
        ("rules: {a: {measure: speed}}", "\"speed\" is unknown; choose one of"),
        ("rules: {a: {measure: loss, abov: 1}}", "alerts.rules.a.abov: unknown key"),
        ("rules: {a: {measure: rate}}", "alerts.rules.a.above: not set; set above: 800Mbit/s"),
        ("rules: {a: {measure: rate, above: 5}}", "alerts.rules.a.above: \"5\" is not a rate, as"),
        (
            "rules: {a: {measure: disk, above: 1GiB}}",
            "alerts.rules.a.above: disk is watched for low",
        ),
        ("rules: {a: {measure: loss, below: 1}}", "alerts.rules.a.below: loss is watched for high"),
        (
            "rules: {a: {measure: rate, above: 5Mbit/s, clear: 6Mbit/s}}",
            "alerts.rules.a.clear: 6.00 Mbit/s is above the bound of 5.00 Mbit/s",
        ),
        ("rules: {a: {measure: loss, for: 31d}}", "alerts.rules.a.for: 31d is out of range"),
        ("rules: {a: {measure: loss, clear_for: 1s}}", "alerts.rules.a.clear_for: 1s is out of"),
        ("rules: {a: {measure: loss, direction: rx}}", "alerts.rules.a.direction: loss has none"),
        (
            "rules: {a: {measure: store, nics: [eth0]}}",
            "alerts.rules.a.nics: this rule is about no",
        ),
        (
            "rules: {a: {measure: loss, clients: [\"[\"]}}",
            "alerts.rules.a.clients: \"[\" is no pattern",
        ),
        (
            "rules: {a: {measure: loss, quiet: [night]}}",
            "alerts.rules.a.quiet: \"night\" is no time",
        ),
        (
            "rules: {a: {measure: loss, targets: [me]}}",
            "alerts.rules.a.targets: there is no target",
        ),
        (
            "rules: {a: {measure: store, tags: [site=ams]}}",
            "alerts.rules.a.tags: store is about no client",
        ),
        ("rules: {a: {measure: disk, clients: [web]}}", "alerts.rules.a.clients: disk is about no"),
        (
            "rules: {a: {measure: loss, tags: [ams]}}",
            "alerts.rules.a.tags: write a tag as key=value",
        ),
        (
            "rules: {a: {measure: loss, accounts: [transit]}}",
            "alerts.rules.a.accounts: loss is about no account",
        ),
        ("rules: {\"a b\": {measure: loss}}", "alerts.rules: \"a b\" is no name; use up to 64"),
        ("time_zone: Moon/Crater", "alerts.time_zone: \"Moon/Crater\" is no time zone known"),
        ("targets: {a: {kind: exec}}", "alerts.targets.a.kind: exec is refused on purpose"),
    ] {
        let yaml = format!(
            "alerts:\n  {alerts}\n  {}\n",
            if alerts.contains("targets: {a:") { "url: http://a" } else { target }
        );
        let error = load(&yaml).unwrap_err().in_full().to_string();
        assert!(error.contains(expected), "{alerts}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn utilisation_fires_per_direction_of_the_nics_and_clients_that_a_rule_names() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start(OK));
    let section = section(&format!(
        "alerts:
  url: https://monitor.example.org/
  time_zone: Europe/Berlin
  rules:
    full: {{measure: utilisation, for: 0s, clear_for: 5s, clients: [\"web-*\"], nics: [\"eth*\"], severity: critical}}
    tx: {{measure: utilisation, for: 0s, direction: tx}}
  targets: {{ops: {{kind: webhook, url: \"{}\"}}}}",
        receiver.url()
    ));
    let mut parts = Parts::start(&section, store(&folder), 1);
    for id in ["web-1", "db-1"] {
        parts.connect(id, "the <b>web</b> server");
        parts.load(id, 89);
        parts.load(id, 95);
    }
    let request = receiver.wait(1)[0].clone();
    assert_eq!(request.path, "/hook?key=a%20b");
    let said = request.json();
    for (key, value) in [
        ("state", "firing"),
        ("title", "web-1 eth0 rx: 95 % of the link, above 90 %"),
        ("rule", "full"),
        ("severity", "critical"),
        ("client", "web-1"),
        ("alias", "the <b>web</b> server"),
        ("nic", "eth0"),
        ("direction", "rx"),
        ("unit", "percent"),
    ] {
        assert_eq!(said[key], value, "{key}");
    }
    assert_eq!((said["value"].as_f64(), said["bound"].as_f64()), (Some(95.0), Some(90.0)));
    let id = said["id"].as_str().unwrap();
    assert_eq!(request.header("Idempotency-Key"), Some(id));
    assert_eq!(id, format!("{}-firing", said["incident"].as_str().unwrap()));
    let link = said["link"].as_str().unwrap();
    assert!(link.starts_with("https://monitor.example.org/#/client/web-1/eth0?from="), "{link}");
    let text = said["text"].as_str().unwrap();
    assert!(text.contains("worst: 95 % at 2") && text.contains(" CE"), "{text}");
    // The same again is no news.
    parts.load("web-1", 97);
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn loss_of_a_backlog_is_told_but_an_old_rate_is_not() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start(OK));
    let section = section(&format!(
        "alerts:
  rules:
    lost: {{measure: loss}}
    fast: {{measure: rate, above: 500Mbit/s, for: 0s}}
    burst: {{measure: peak_1ms, above: 900Mbit/s}}
  targets: {{ops: {{kind: webhook, url: \"{}\"}}}}",
        receiver.url()
    ));
    let mut parts = Parts::start(&section, store(&folder), 1);
    parts.connect("web-1", "");
    let late = parts.skip("web-1");
    parts.load("web-1", 10);
    // An hour old, and after the newest: no news about a rate.
    parts.report_as("web-1", late, |sample| {
        sample.start_ns -= 3_600_000_000_000;
        sample.rx.bytes = Bytes(SPEED);
        sample.drops = Packets(3);
    });
    parts.report("web-1", |sample| sample.tx.peak_1ms_bytes = 125_000);
    let said = receiver.wait(2);
    let mut titles: Vec<String> =
        said.iter().map(|it| it.json()["title"].as_str().unwrap().to_owned()).collect();
    titles.sort();
    assert_eq!(titles[0], "web-1 eth0 tx: peak of 1 ms 1.00 Gbit/s, above 900 Mbit/s");
    assert!(titles.iter().any(|it| it == "web-1 eth0: 3 packets lost"), "{titles:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_about_tags_follows_them() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start(OK));
    let section = section(&format!(
        "alerts:
  rules: {{full: {{measure: utilisation, for: 0s, clear_for: 5s, tags: [site=ams, role=cache]}}}}
  targets: {{ops: {{kind: webhook, url: \"{}\"}}}}",
        receiver.url()
    ));
    let mut parts = Parts::start(&section, store(&folder), 1);
    let tag = |parts: &Parts, tags: &[(&str, &str)]| {
        let tagged: Vec<TaggedClient> = tags
            .iter()
            .map(|(client, tags)| {
                let tags = tags.split(',').map(|tag| tag.parse().unwrap());
                let collector = TagSet::new(tags).unwrap();
                let tags = ClientTags { collector, ..ClientTags::default() };
                TaggedClient { client: (*client).to_owned(), tags }
            })
            .collect();
        parts.live.on_tagged(&tagged);
        look_at_tags(&parts.engine, &parts.live);
        parts.engine.tick(|_| Judge::Here);
    };
    ["web-1", "web-2"].into_iter().for_each(|id| parts.connect(id, ""));
    parts.load("web-1", 99);
    tag(&parts, &[("web-1", "site=ams"), ("web-2", "site=ams,role=cache")]);
    ["web-1", "web-2"].into_iter().for_each(|id| parts.load(id, 99));
    let said = receiver.wait(1)[0].json();
    assert_eq!((said["client"].as_str(), said["state"].as_str()), (Some("web-2"), Some("firing")));
    // The other way round.
    tag(&parts, &[("web-1", "site=ams,role=cache,rack=3"), ("web-2", "site=fra,role=cache")]);
    ["web-1", "web-2"].into_iter().for_each(|id| parts.load(id, 99));
    let said: Vec<_> = receiver.wait(3).iter().map(super::receiver::Request::json).collect();
    let mut told: Vec<_> = said[1..]
        .iter()
        .map(|it| (it["client"].as_str().unwrap(), it["title"].as_str().unwrap()))
        .collect();
    told.sort_unstable();
    assert_eq!(told[0], ("web-1", "web-1 eth0 rx: 99 % of the link, above 90 %"));
    assert_eq!(told[1], ("web-2", "web-2 eth0 rx: its rule no longer applies, so this alert ends"));
}
