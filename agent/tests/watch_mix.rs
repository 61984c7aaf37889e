//! The output of `agent watch --format json`: every sample with its mix, and all sums.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::UdpSocket;
use std::time::Duration;

use agent::capture::ring::RingConfig;
use agent::nic::choose::NicFilter;
use agent::sampler::CaptureConfig;
use agent::watch::{SampleFormat, WatchConfig, watch};
use serde_json::Value;
use testbed::{Pair, in_namespace, sh, wait_until};

#[test]
fn every_sample_has_its_mix_and_the_total_their_sum_and_a_verdict() {
    if !in_namespace() {
        return;
    }
    const SENT: u64 = 500;
    let pair = Pair::new();
    let interval = Duration::from_millis(20);
    let config = WatchConfig {
        capture: CaptureConfig {
            sample_interval: interval,
            mix_interval: Duration::from_secs(10),
            ring: RingConfig::default(),
            ring_memory: 512 << 20,
            rings_per_nic: 1,
            cpus: Vec::new(),
            talkers: None,
            filter: NicFilter::default(),
        },
        nics: vec!["here".into()],
        duration: None,
        format: SampleFormat::Json,
        mix: true,
        talkers: false,
        owners: false,
    };
    let (interrupt, interrupted) = crossbeam_channel::bounded(0);
    let watching = std::thread::spawn(move || {
        let mut out = Vec::new();
        watch(config, &interrupted, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    });
    // The ring receives packets once its socket's protocol is ETH_P_ALL; the probe's socket is on `lo`.
    let link = sh("ip -o link show here");
    let ifindex = link.split(':').next().unwrap();
    wait_until("capture", || {
        let sockets = sh("cat /proc/net/packet");
        let bound = |line: &str| line.split_whitespace().skip(3).take(2).eq(["0003", ifindex]);
        sockets.lines().any(bound)
    });
    let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
    for _ in 0..SENT {
        socket.send_to(&[7; 100], "10.9.0.2:9").unwrap();
    }
    pair.wait_for_silence();
    drop(interrupt);
    let text = watching.join().unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (total, samples) = lines.split_last().unwrap();
    let udp = |object: &Value| object["tx"]["mix"]["udp_packets"].as_u64().unwrap();
    assert!(samples.len() > 5);
    assert_eq!(samples.iter().map(udp).sum::<u64>(), SENT);
    let kernel = |object: &Value| object["kernel"]["tx_packets"].as_u64().unwrap();
    assert!(samples.iter().map(kernel).sum::<u64>() >= SENT);
    for sample in samples {
        assert_eq!((&sample["verdict"], &sample["freezes"]), (&"equal".into(), &0.into()));
        assert!(sample["flags"].as_array().unwrap().iter().all(|flag| flag == "partial"));
    }
    let here = &total["nics"]["here"];
    assert_eq!((udp(here), here["tx"]["packets"].as_u64()), (SENT, Some(SENT)));
    assert!(here["tx"]["peak_10ms_bytes"].as_u64().unwrap() >= 142);
    assert_eq!(here["verdict"], "equal");
}
