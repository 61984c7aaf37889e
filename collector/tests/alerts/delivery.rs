//! How messages get to their targets: in time, once, and when something is in the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use collector::alerts::measure::Measure;
use collector::alerts::state::Value;
use collector::alerts::{Judge, Owner};
use collector::store::postgres::{Authorities, PostgresConfig, PostgresStore};
use collector::store::{AlertRange, AlertSilence, Database};
use collector::time::now_ns;
use testbed::{Cluster, SLACK, until};

use crate::parts::{Parts, client, section, store};
use crate::receiver::{OK, Receiver, Reply};

fn full(receiver: &Receiver, more: &str) -> collector::alerts::AlertsSection {
    section(&format!(
        "alerts:
  rules: {{full: {{measure: utilisation, for: 0s, clear_for: 5s{more}}}}}
  targets: {{ops: {{kind: webhook, url: \"{}\"}}}}",
        receiver.url()
    ))
}

/// Each of 200 clients breaks the rule once, one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn an_alert_leaves_within_five_seconds_of_the_sample_that_broke_the_rule() {
    const ALERTS: usize = 200;
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start(OK));
    let mut parts = Parts::start(&full(&receiver, ""), store(&folder), 1);
    let mut began = Vec::new();
    for n in 0..ALERTS {
        let id = format!("web-{n}");
        parts.connect(&id, "");
        began.push(Instant::now());
        parts.load(&id, 99);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let got = tokio::task::spawn_blocking(move || receiver.wait(ALERTS)).await.unwrap();
    let mut latencies: Vec<Duration> = got
        .iter()
        .map(|request| {
            let client = request.json()["client"].as_str().unwrap().to_owned();
            let n: usize = client.strip_prefix("web-").unwrap().parse().unwrap();
            request.at - began[n]
        })
        .collect();
    latencies.sort();
    let at = |share: usize| latencies[(ALERTS * share / 100).min(ALERTS - 1)];
    println!("from sample to receiver: median {:?}, p99 {:?}, max {:?}", at(50), at(99), at(100));
    assert!(at(100) < Duration::from_secs(5) + SLACK, "{:?}", at(100));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_target_refuses_is_tried_again_with_the_same_id_and_redirects_are_not_followed() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), Receiver::start(OK));
    let receiver = Receiver::start(Reply::With("503 Service Unavailable"));
    let mut parts = Parts::start(&full(&receiver, ""), store(&folder), 1);
    parts.connect("web-1", "");
    parts.load("web-1", 99);
    let waiting = receiver.clone();
    tokio::task::spawn_blocking(move || waiting.wait(1)).await.unwrap();
    let location = format!("302 Found\r\nLocation: http://{}/", elsewhere.address);
    receiver.reply(Reply::With(Box::leak(location.into_boxed_str())));
    let waiting = receiver.clone();
    tokio::task::spawn_blocking(move || waiting.wait(2)).await.unwrap();
    receiver.reply(OK);
    let waiting = receiver.clone();
    let got = tokio::task::spawn_blocking(move || waiting.wait(3)).await.unwrap();
    let ids: Vec<_> = got.iter().map(|it| it.json()["id"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(elsewhere.requests().len(), 0);
    // Waits double: 1 s, then 2 s.
    assert!(got[1].at - got[0].at >= Duration::from_millis(900));
    assert!(got[2].at - got[1].at >= Duration::from_millis(1900));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_collectors_of_one_database_tell_of_one_incident_once_and_that_it_is_over_once() {
    let cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let url = tokio::task::block_in_place(|| cluster.new_database());
    let config = PostgresConfig::new(url.parse().unwrap(), Authorities::System).unwrap();
    let config = config.with_unsafe_commits();
    let receiver = Receiver::start(OK);
    let section = section(&format!(
        "alerts:
  rules: {{down: {{measure: host_down, for: 0s, clear_for: 5s}}}}
  targets: {{ops: {{kind: webhook, url: \"{}\"}}}}",
        receiver.url()
    ));
    let stores: Vec<Arc<dyn Database>> =
        (0..2).map(|_| Arc::new(PostgresStore::new(config.clone())) as Arc<dyn Database>).collect();
    stores[0].ready().await.unwrap();
    let both: Vec<Parts> =
        (1..).zip(&stores).map(|(run, store)| Parts::start(&section, store.clone(), run)).collect();
    let done = Arc::new(AtomicBool::new(false));
    let down = Arc::new(AtomicBool::new(true));
    // Both look every 20 ms at 20 hosts.
    let looks: Vec<_> = both
        .iter()
        .map(|parts| {
            let (engine, done, down) = (parts.engine.clone(), done.clone(), down.clone());
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    let value = if down.load(Ordering::Relaxed) { 1.0 } else { 0.0 };
                    let patience = Duration::from_secs(60);
                    let value = Value { value, measured_ns: now_ns(), patience };
                    for n in 0..20 {
                        let owner = Owner::Client(client(&format!("web-{n}")));
                        engine.observe(&owner, (Measure::HostDown, None), &value, "");
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
        })
        .collect();
    let waiting = receiver.clone();
    tokio::task::spawn_blocking(move || waiting.wait(20)).await.unwrap();
    down.store(false, Ordering::Relaxed);
    let waiting = receiver.clone();
    tokio::task::spawn_blocking(move || waiting.wait(40)).await.unwrap();
    // The second one has seen the end, too.
    let range = AlertRange::firing(100);
    until("the end of all incidents", async || {
        stores[1].alerts(&range).await.unwrap().incidents.is_empty()
    })
    .await;
    done.store(true, Ordering::Relaxed);
    for look in looks {
        look.await.unwrap();
    }
    let got = receiver.requests();
    let mut ids: Vec<String> =
        got.iter().map(|it| it.json()["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((got.len(), ids.len()), (40, 40));
    for n in 0..20 {
        let client = format!("web-{n}");
        let of = got.iter().map(super::receiver::Request::json).filter(|it| it["client"] == client);
        let states: Vec<_> = of.map(|it| it["state"].as_str().unwrap().to_owned()).collect();
        assert_eq!(states, ["firing", "resolved"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_mutes_until_it_ends_and_then_what_still_fires_is_told() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start(OK));
    let store = store(&folder);
    let silence = AlertSilence {
        id: "abc".into(),
        rule: String::new(),
        client: "web-*".into(),
        nic: String::new(),
        tag: String::new(),
        from_ns: now_ns() - 1_000_000_000,
        until_ns: now_ns() + 3_600_000_000_000,
        by: "me".into(),
        reason: "new switch".into(),
    };
    store.add_silence(&silence).await.unwrap();
    let mut parts = Parts::start(&full(&receiver, ""), store.clone(), 1);
    parts.connect("web-1", "");
    parts.connect("db-1", "");
    let range = AlertRange::newest(10);
    let shown = async |client: &str| {
        let incidents = store.alerts(&range).await.unwrap().incidents;
        incidents.into_iter().find(|it| it.subject.client == client)
    };
    // The silence is known within seconds of the start.
    tokio::time::sleep(Duration::from_millis(300)).await;
    parts.load("web-1", 99);
    parts.load("db-1", 99);
    let waiting = receiver.clone();
    tokio::task::spawn_blocking(move || waiting.wait(1)).await.unwrap();
    until("the muted incident", async || shown("web-1").await.is_some()).await;
    assert_eq!(
        shown("web-1").await.unwrap().muted.as_deref(),
        Some("silence abc of me: new switch")
    );
    let clients = || -> Vec<_> {
        receiver
            .requests()
            .iter()
            .map(|it| it.json()["client"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(clients(), ["db-1"]);
    store.end_silence("abc", now_ns()).await.unwrap();
    until("the message after the silence", async || {
        parts.engine.tick(|_| Judge::Elsewhere);
        clients().len() == 2
    })
    .await;
    assert_eq!(clients(), ["db-1", "web-1"]);
}
