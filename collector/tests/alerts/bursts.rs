//! From packets to the message: the real agent and collector tell who made a burst.

use std::fs;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use serde_json::Value;
use testbed::http::HTTP;
use testbed::{Cgroups, Pair, Running, SLACK, Site, get, http, in_namespace, metric, wait_until};

use crate::receiver::{OK, Receiver, Request};

/// What an alert may take from the burst's first packet to the message that names who made it.
const IN_TIME: Duration = Duration::from_secs(5);

/// How long a burst is, and how long its parts of 30 packets of 1,000 bytes are: 24 Mbit/s.
const BURST: Duration = Duration::from_millis(300);
const PART: Duration = Duration::from_millis(10);

fn start(site: &Site, receiver: &Receiver) -> [Running; 2] {
    let config = site.dir().join("collector.yaml");
    let yaml = format!(
        "alerts:
  url: https://monitor.example.org/
  rules: {{burst: {{measure: rate, above: 5Mbit/s, for: 0s}}}}
  targets: {{ops: {{kind: webhook, url: \"{}\"}}}}",
        receiver.url()
    );
    fs::write(&config, yaml).unwrap();
    let command = site.collector(&["run", "-c", config.to_str().unwrap()]);
    let collector = Running::start(command, &site.dir().join("c.log"));
    wait_until("the collector", || http::is_ready(HTTP));
    site.enroll();
    let mut command = site.agent(&["run"]);
    command.env("NETMON_AGENT_MONITOR__TALKERS__ON__RATE", "5Mbit/s");
    let agent = Running::start(command, &site.dir().join("a.log"));
    wait_until("frames", || metric(HTTP, "netmon_collector_frames_total") > 5.0);
    [collector, agent]
}

/// The message about a direction, and how long after a time it came.
fn message(receiver: &Receiver, direction: &str, began: Instant) -> (Value, Duration) {
    let is_it = |it: &Request| it.json()["talkers"]["direction"] == direction;
    let mut found = None;
    wait_until("a message that names who made the burst", || {
        found = receiver.requests().into_iter().find(is_it);
        found.is_some()
    });
    let request = found.unwrap();
    (request.json(), request.at.saturating_duration_since(began))
}

/// The talkers that the page shows where a message's link leads.
fn shown(direction: &str, link: &str) -> Value {
    let at_ms: u64 = link.rsplit_once("&at=").unwrap().1.parse().unwrap();
    let at = format!("{}.{:03}", at_ms / 1000, at_ms % 1000);
    let path =
        format!("/api/v1/talkers?client=host-1&nic=here&direction={direction}&by=key&at={at}");
    let mut answer = Value::Null;
    wait_until("the record in the store", || {
        let text = get(HTTP, &path).unwrap();
        answer = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
        answer["kind"] == "moment"
    });
    answer
}

#[test]
fn a_burst_of_300_ms_is_told_with_its_sender_within_5_s() {
    if !in_namespace() {
        return;
    }
    let cgroups = Cgroups::new();
    let (site, receiver, pair) = (Site::new(), Receiver::start(OK), Pair::new());
    cgroups.enter("system.slice/ingest.service");
    let service = UdpSocket::bind("10.9.0.1:4000").unwrap();
    cgroups.leave();
    let [collector, agent] = start(&site, &receiver);

    // From another host to a service of this one.
    let began = Instant::now();
    pair.there_sh(&format!(
        "python3 -c \"import socket, time\n\
         s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         end = time.monotonic() + {}\n\
         while time.monotonic() < end:\n\
        \x20 for _ in range(30): s.sendto(b'x' * 1000, ('10.9.0.1', 4000))\n\
        \x20 time.sleep({})\"",
        BURST.as_secs_f64(),
        PART.as_secs_f64()
    ));
    let (told, took) = message(&receiver, "rx", began);
    println!("received: told after {took:?}: {}", told["text"]);
    assert!(took < IN_TIME + SLACK, "{took:?}");
    assert_eq!(told["talkers"]["kind"], "moment");
    let first = &told["talkers"]["top"][0];
    assert_eq!((&first["address"], &first["port"]), (&"10.9.0.2".into(), &4000.into()));
    assert_eq!(first["owner"]["name"], "ingest.service");
    let text = told["text"].as_str().unwrap();
    assert!(text.contains(": 10.9.0.2 to 4000/udp here, unit ingest.service"), "{text}");
    let page = shown("rx", told["link"].as_str().unwrap());
    assert_eq!(page["talkers"][0]["address"], "10.9.0.2");
    assert_eq!(page["talkers"][0]["owner"]["name"], "ingest.service");

    // From a unit of this host, with a socket that was made just before.
    cgroups.enter("system.slice/upload.service");
    let began = Instant::now();
    let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
    while began.elapsed() < BURST {
        for _ in 0..30 {
            socket.send_to(&[0; 1000], "10.9.0.2:9").unwrap();
        }
        std::thread::sleep(PART);
    }
    let (told, took) = message(&receiver, "tx", began);
    println!("sent: told after {took:?}: {}", told["text"]);
    assert!(took < IN_TIME + SLACK, "{took:?}");
    let text = told["text"].as_str().unwrap();
    assert!(text.contains(": 10.9.0.2 9/udp, unit upload.service"), "{text}");
    let page = shown("tx", told["link"].as_str().unwrap());
    assert_eq!(page["talkers"][0]["owner"]["name"], "upload.service");
    let inbox = get(HTTP, "/api/v1/alerts").unwrap();
    assert!(
        inbox.contains("unit ingest.service") && inbox.contains("unit upload.service"),
        "{inbox}"
    );

    drop(service);
    agent.stop();
    collector.stop();
}
