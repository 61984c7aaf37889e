//! What ends, and what doesn't, where collectors of one database have different rules, and rules change.

use std::time::{Duration, Instant};

use collector::alerts::measure::Measure;
use collector::alerts::state::Value;
use collector::alerts::{AlertRules, AlertsSection, Judge, Owner};
use collector::store::AlertRange;
use collector::time::now_ns;

use crate::parts::{Parts, client, section, store};
use crate::receiver::{OK, Receiver};

fn down(clients: &str, targets: &str) -> AlertsSection {
    section(&format!(
        "alerts:
  rules: {{down: {{measure: host_down, for: 0s, clear_for: 5s, clients: [\"{clients}\"]}}}}
  targets: {{{targets}}}"
    ))
}

/// What each collector does every second, of a host that is down.
async fn look_for(both: [&Parts; 2], length: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < length {
        for parts in both {
            let patience = Duration::from_secs(60);
            let value = Value { value: 1.0, measured_ns: now_ns(), patience };
            let owner = Owner::Client(client("web-1"));
            parts.engine.observe(&owner, (Measure::HostDown, None), &value, "");
            parts.engine.tick(|_| Judge::Each);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_no_rule_of_any_collector_is_about_ends_and_those_who_were_told_are_told() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start(OK));
    let store = store(&folder);
    // Each look confirms.
    let confirm = Duration::from_millis(500);
    let start = |run, clients, targets: &str| {
        Parts::confirming(&down(clients, targets), store.clone(), run, confirm)
    };
    let ops = format!("ops: {{kind: webhook, url: \"{}\"}}", receiver.url());
    // One has the target: claims in a file are those of a single collector.
    let (one, other) = (start(1, "web-*", &ops), start(2, "db-*", ""));
    // Three looks of each: the other one sees an incident that its own rule isn't about.
    look_for([&one, &other], Duration::from_secs(7)).await;
    let states = || -> Vec<String> {
        let all = receiver.requests();
        all.iter().map(|it| it.json()["state"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(states(), ["firing"]);
    assert_eq!(store.alerts(&AlertRange::firing(9)).await.unwrap().incidents.len(), 1);
    one.engine.replace(AlertRules::default());
    let begun = Instant::now();
    while states().len() < 2 && begun.elapsed() < Duration::from_secs(60) {
        look_for([&one, &other], Duration::from_millis(500)).await;
    }
    assert_eq!(states(), ["firing", "resolved"]);
    let said = receiver.requests()[1].json();
    assert_eq!(said["title"], "web-1: its rule is gone, so this alert ends");
    assert_eq!(said["incident"], receiver.requests()[0].json()["incident"]);
}
