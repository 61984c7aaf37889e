//! Alerts about a NIC name who made the traffic: of that very sample, without the store.

use std::time::{Duration, Instant};

use collector::alerts::{AlertRules, AlertsSection};
use collector::store::AlertRange;
use collector::time::now_ns;
use testbed::SLACK;
use wire::frame::{Counts, Frame, Sample};
use wire::id::{NicName, SessionId};
use wire::talkers::{
    KeyKind, OwnerKind, Talker, TalkerKey, TalkerList, TalkerOwner, Talkers, TalkersKind,
    address_bytes,
};
use wire::{Bytes, Packets, Seq, WallNs};

use crate::parts::{Parts, client, section, store};
use crate::receiver::{OK, Receiver, Request};

const SECOND: u64 = 1_000_000_000;
const INTERVAL: u64 = SECOND / 2;

fn full(receiver: &Receiver) -> AlertsSection {
    section(&format!(
        "alerts:
  url: https://monitor.example.org/
  rules: {{full: {{measure: utilisation, for: 0s}}}}
  targets: {{ops: {{kind: webhook, url: \"{}\"}}}}",
        receiver.url()
    ))
}

/// Talkers of an interval: the larger the last byte of the address, the less it has.
fn talkers(kind: TalkersKind, start_ns: u64, interval_ns: u64, first: u8) -> Talkers {
    let talker = |n: u8| Talker {
        key: TalkerKey {
            kind: KeyKind::LocalService as u8,
            protocol: 6,
            port: 443,
            address: address_bytes([10, 1, 2, first + n].into()),
            other: [0; 16],
        },
        bytes: Bytes(60_000_000 >> n),
        packets: Packets(100),
        owner: u16::from(n == 0),
    };
    let rx = TalkerList {
        total_bytes: Bytes(120_000_000),
        total_packets: Packets(10_000),
        error_bytes: Bytes(7),
        unlisted_bytes: Bytes(8),
        distinct: 9,
        distinct_error: 0,
        talkers: (0..7).map(talker).collect(),
    };
    let owner = TalkerOwner {
        kind: OwnerKind::Unit as u8,
        name: "nginx\u{1b}[31m.service".into(),
        process: "nginx".into(),
    };
    let (nic, start_ns) = (NicName::new("eth0").unwrap(), WallNs(start_ns));
    Talkers {
        nic,
        start_ns,
        interval_ns,
        kind: kind as u8,
        rx,
        owners: vec![owner],
        ..Talkers::default()
    }
}

/// A record reaches the collector, as a frame of its own.
fn arrive(parts: &Parts, seq: u64, record: Talkers) {
    arrive_of(parts, "web-1", seq, record);
}

fn arrive_of(parts: &Parts, id: &str, seq: u64, record: Talkers) {
    let frame = Frame {
        session: SessionId::new(1),
        first_seq: Seq(seq),
        last_seq: Seq(seq),
        gap: 0,
        samples: vec![],
        mixes: vec![],
        talkers: vec![record],
    };
    parts.live.observe(&client(id), &frame, now_ns());
}

/// A sample that fills the link, starting at a time.
fn burst(parts: &mut Parts, start_ns: u64) {
    burst_of(parts, "web-1", start_ns);
}

fn burst_of(parts: &mut Parts, id: &str, start_ns: u64) {
    let rx = Counts { bytes: Bytes(62_000_000), ..Counts::default() };
    parts.report(id, |sample: &mut Sample| {
        (sample.rx, sample.start_ns) = (rx, WallNs(start_ns));
    });
}

async fn first(receiver: &Receiver) -> Request {
    let receiver = receiver.clone();
    tokio::task::spawn_blocking(move || receiver.wait(1)[0].clone()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_names_its_sender_though_the_record_comes_after_the_sample() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start(OK));
    let store = store(&folder);
    let mut parts = Parts::start(&full(&receiver), store.clone(), 1);
    parts.connect("web-1", "");
    let at = now_ns().get() - INTERVAL;
    // Those of the last minute, and of another moment, are there already.
    let minute = talkers(TalkersKind::Minute, at - 60 * SECOND, 60 * SECOND, 100);
    arrive(&parts, 1001, minute);
    arrive(&parts, 1002, talkers(TalkersKind::Moment, at - 10 * SECOND, INTERVAL, 50));
    let began = Instant::now();
    burst(&mut parts, at);
    arrive(&parts, 1003, talkers(TalkersKind::Moment, at, INTERVAL, 3));
    let request = first(&receiver).await;
    assert!(request.at - began < Duration::from_secs(5) + SLACK, "{:?}", request.at - began);
    let said = request.json();
    let told = &said["talkers"];
    assert_eq!((&told["kind"], &told["direction"]), (&"moment".into(), &"rx".into()));
    assert_eq!(
        (told["seconds"].as_f64(), told["total_bytes"].as_u64()),
        (Some(0.5), Some(120_000_000))
    );
    assert_eq!(told["error_bytes"], 7);
    let top = told["top"].as_array().unwrap();
    let shares: Vec<_> = top.iter().map(|it| it["percent"].as_f64().unwrap()).collect();
    assert_eq!(shares, [50.0, 25.0, 12.5, 6.3, 3.1], "the five largest");
    assert_eq!((&top[0]["address"], &top[0]["port"]), (&"10.1.2.3".into(), &443.into()));
    assert_eq!(top[0]["owner"]["name"], "nginx\u{1b}[31m.service");
    assert!(top[1]["owner"].is_null());
    // In the text, and in the inbox: nothing that a terminal would run.
    let line = "talkers of these 500ms: 10.1.2.3 to 443/tcp here, unit nginx\\u001b[31m.service (nginx) 50 %; \
                10.1.2.4 to 443/tcp here 25 %";
    let text = said["text"].as_str().unwrap();
    assert!(text.contains(line), "{text}");
    let page = store.alerts(&AlertRange::newest(9)).await.unwrap();
    assert!(page.incidents[0].detail.starts_with(line), "{:?}", page.incidents);
    // The link leads to them.
    let link = said["link"].as_str().unwrap();
    assert!(link.ends_with(&format!("&talkers=rx-host-rate&at={}", at / 1_000_000)), "{link}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_record_of_its_sample_an_alert_names_those_of_the_last_minute() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start(OK));
    let mut parts = Parts::start(&full(&receiver), store(&folder), 1);
    parts.connect("web-1", "");
    let at = now_ns().get() - INTERVAL;
    arrive(&parts, 1001, talkers(TalkersKind::Minute, at - 62 * SECOND, 60 * SECOND, 100));
    let began = Instant::now();
    burst(&mut parts, at);
    let request = first(&receiver).await;
    assert!(request.at - began < Duration::from_secs(5) + SLACK, "{:?}", request.at - began);
    let told = &request.json()["talkers"];
    assert_eq!(
        (&told["kind"], &told["top"][0]["address"]),
        (&"minute".into(), &"10.1.2.100".into())
    );
    let text = request.json()["text"].to_string();
    assert!(text.contains("talkers of the last minute: 10.1.2.100 "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_talkers_delays_its_alerts_by_little() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start(OK));
    let mut parts = Parts::start(&full(&receiver), store(&folder), 1);
    parts.connect("web-1", "");
    let began = Instant::now();
    burst(&mut parts, now_ns().get() - INTERVAL);
    let request = first(&receiver).await;
    assert!(request.at - began < Duration::from_secs(3) + SLACK, "{:?}", request.at - began);
    assert!(request.json()["talkers"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_peers_stay_in_the_house_if_messages_are_to_name_no_talkers() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start(OK));
    let store = store(&folder);
    let named = full(&receiver);
    let unnamed = AlertsSection { talkers: false, ..named.clone() };
    let mut parts = Parts::start(&unnamed, store.clone(), 1);
    parts.connect("web-1", "");
    let at = now_ns().get() - INTERVAL;
    arrive(&parts, 1001, talkers(TalkersKind::Moment, at, INTERVAL, 3));
    burst(&mut parts, at);
    let request = first(&receiver).await;
    assert!(request.json()["talkers"].is_null());
    let address = "10.1.2.3";
    assert!(!request.body.contains(address), "{}", request.body);
    let inbox = store.alerts(&AlertRange::newest(9)).await.unwrap();
    assert_eq!(inbox.incidents[0].detail, "");
    // A reload turns it on.
    parts.engine.replace(AlertRules::of(&named).unwrap());
    parts.connect("web-2", "");
    let at = now_ns().get() - INTERVAL;
    arrive_of(&parts, "web-2", 1001, talkers(TalkersKind::Moment, at, INTERVAL, 3));
    burst_of(&mut parts, "web-2", at);
    let all = {
        let receiver = receiver.clone();
        tokio::task::spawn_blocking(move || receiver.wait(2)).await.unwrap()
    };
    assert_eq!(all[1].json()["talkers"]["top"][0]["address"], address);
}
