//! What gets out while the store hangs.

use std::time::{Duration, Instant};

use collector::store::AlertRange;
use testbed::{SLACK, until};

use crate::parts::{Parts, section, store};
use crate::receiver::{OK, Receiver, Reply, Request};

/// Waits for this many requests, beside the parts.
async fn wait(receiver: &Receiver, number: usize) -> Vec<Request> {
    let receiver = receiver.clone();
    tokio::task::spawn_blocking(move || receiver.wait(number)).await.unwrap()
}

fn of(request: &Request, key: &str) -> String {
    request.json()[key].as_str().unwrap().to_owned()
}

/// Another process holds the file's lock: a write of the collector takes 5 s, and fails then.
#[tokio::test(flavor = "multi_thread")]
async fn alerts_leave_a_collector_whose_store_hangs_and_are_recorded_later_with_the_same_ids() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start(OK));
    let section = section(&format!(
        "alerts:
  rules: {{full: {{measure: utilisation, for: 0s, clear_for: 5s}}}}
  targets: {{ops: {{kind: webhook, url: \"{}\"}}}}",
        receiver.url()
    ));
    let store = store(&folder);
    let mut parts = Parts::start(&section, store.clone(), 1);
    ["web-1", "web-2"].into_iter().for_each(|id| parts.connect(id, ""));
    let other = rusqlite::Connection::open(folder.path().join("netmon.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    let mut began = Vec::new();
    for (n, id) in ["web-1", "web-2"].into_iter().enumerate() {
        // The second one comes while the write of the first one hangs.
        began.push(Instant::now());
        parts.load(id, 99);
        let got = wait(&receiver, n + 1).await;
        let took = got[n].at - began[n];
        println!("{id}: sent after {took:?}");
        assert_eq!(of(&got[n], "client"), id);
        assert!(took < Duration::from_secs(4) + SLACK, "{took:?}");
    }
    // That one is over, is told with the incident's id, too.
    let calm = Instant::now();
    while calm.elapsed() < Duration::from_millis(5500) {
        parts.load("web-1", 10);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let got = wait(&receiver, 3).await;
    assert_eq!(
        (of(&got[2], "state"), of(&got[2], "incident")),
        ("resolved".into(), of(&got[0], "incident"))
    );
    assert!(store.alerts(&AlertRange::newest(9)).await.unwrap().incidents.is_empty());

    other.execute_batch("ROLLBACK").unwrap();
    until("the record", async || {
        let page = store.alerts(&AlertRange::newest(9)).await.unwrap();
        page.incidents.len() == 2 && page.deliveries.len() == 3
    })
    .await;
    let page = store.alerts(&AlertRange::newest(9)).await.unwrap();
    let mut recorded: Vec<String> = page.incidents.iter().map(|it| it.id.clone()).collect();
    let mut sent = vec![of(&got[0], "incident"), of(&got[1], "incident")];
    recorded.sort();
    sent.sort();
    assert_eq!(recorded, sent);
    assert!(page.deliveries.iter().all(|it| it.state == "sent"), "{:?}", page.deliveries);
    // Each came once.
    until("the outbox to have looked", async || {
        tokio::time::sleep(Duration::from_millis(2500)).await;
        true
    })
    .await;
    assert_eq!(receiver.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_too_nobody_hears_of_an_end_before_the_beginning() {
    let busy = "503 Service Unavailable";
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start(Reply::With(busy)));
    let section = section(&format!(
        "alerts:
  rules: {{full: {{measure: utilisation, for: 0s, clear_for: 5s}}}}
  targets: {{ops: {{kind: webhook, url: \"{}\"}}}}",
        receiver.url()
    ));
    let mut parts = Parts::start(&section, store(&folder), 1);
    parts.connect("web-1", "");
    let other = rusqlite::Connection::open(folder.path().join("netmon.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    parts.load("web-1", 99);
    wait(&receiver, 1).await;
    // It is over while the target still refuses what fires; then 2 s pass until it would be told.
    let calm = Instant::now();
    while calm.elapsed() < Duration::from_secs(9) {
        parts.load("web-1", 10);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let refused = receiver.requests();
    assert!(refused.iter().all(|it| of(it, "state") == "firing"), "{refused:?}");
    receiver.reply(OK);
    let got = wait(&receiver, refused.len() + 2).await;
    let states: Vec<String> = got[refused.len()..].iter().map(|it| of(it, "state")).collect();
    assert_eq!(states, ["firing", "resolved"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_too_people_get_many_alerts_as_one_message() {
    const ALERTS: usize = 20;
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start(OK));
    let section = section(&format!(
        "alerts:
  rules: {{full: {{measure: utilisation, for: 0s, clear_for: 5s}}}}
  targets: {{ops: {{kind: slack, url: \"{}\"}}}}",
        receiver.url()
    ));
    let store = store(&folder);
    let mut parts = Parts::start(&section, store.clone(), 1);
    let other = rusqlite::Connection::open(folder.path().join("netmon.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for n in 0..ALERTS {
        let id = format!("web-{n:02}");
        parts.connect(&id, "");
        parts.load(&id, 99);
    }
    let told = || -> String { receiver.requests().iter().map(|it| of(it, "text")).collect() };
    until("all to be told", async || (0..ALERTS).all(|n| told().contains(&format!("web-{n:02}"))))
        .await;
    let requests = receiver.requests().len();
    assert!(requests < ALERTS / 2, "{requests} messages");
    // A target's messages are sent one after another: with the next one, what came of these is noted.
    parts.connect("last", "");
    parts.load("last", 99);
    until("the next to be told", async || told().contains("last")).await;
    other.execute_batch("ROLLBACK").unwrap();
    until("the record", async || {
        let page = store.alerts(&AlertRange::newest(ALERTS + 1)).await.unwrap();
        page.deliveries.iter().filter(|it| it.state == "sent").count() == ALERTS + 1
    })
    .await;
    let texts: Vec<String> = receiver.requests().iter().map(|it| of(it, "text")).collect();
    for id in (0..ALERTS).map(|n| format!("web-{n:02}")) {
        assert_eq!(texts.iter().filter(|it| it.contains(&id)).count(), 1, "{id} was told once");
    }
}
