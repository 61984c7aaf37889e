//! `agent watch` as users and scripts run it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::process::{Command, Stdio};

use serde_json::Value;
use testbed::{Pair, in_namespace, sh, wait_until};

fn watch(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agent"));
    command.arg("watch").args(args);
    command
}

/// Runs `agent watch`, calls `act` once it captures, ends it with SIGTERM, and returns all lines.
fn watched(args: &[&str], act: impl FnOnce()) -> Vec<String> {
    let mut child = watch(args).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    // After the first sample it captures.
    for _ in 0..3 {
        out.read_line(&mut first).unwrap();
    }
    act();
    sh(&format!("kill -TERM {}", child.id()));
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert!(child.wait().unwrap().success());
    (first + &rest).lines().map(str::to_owned).collect()
}

#[test]
fn json_has_its_keys_and_ends_with_totals_that_are_the_sums_and_the_truth() {
    if !in_namespace() {
        return;
    }
    let pair = Pair::new();
    let args = ["--nic", "here", "--interval", "50ms", "--format", "json"];
    let lines = watched(&args, || {
        let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
        for _ in 0..500 {
            socket.send_to(&[0; 958], "10.9.0.2:9").unwrap();
        }
        pair.wait_for_silence();
    });
    let (last, samples) = lines.split_last().unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["total"], true);
    let total = &last["nics"]["here"];
    let (mut sums, mut whole) = ([0; 6], 0);
    for line in samples {
        let sample: Value = serde_json::from_str(line).unwrap();
        assert!(sample["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{line}");
        // After a standstill of the program, one sample covers several intervals.
        whole += usize::from(sample["interval_ns"].as_u64().unwrap() <= 50_000_000);
        assert_eq!(sample["nic"], "here");
        assert_eq!(sample["drops"], 0);
        let figures = ["rx", "tx"].into_iter().flat_map(|direction| {
            ["bytes", "packets", "captured"].map(|key| sample[direction][key].as_u64().unwrap())
        });
        sums.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
        assert!(sample["tx"]["peak_1ms_bytes"].is_u64());
    }
    assert!(2 * whole > samples.len(), "{whole} of {} samples are no longer", samples.len());
    let figure = |direction: &str, key: &str| total[direction][key].as_u64().unwrap();
    let totals = ["rx", "tx"]
        .into_iter()
        .flat_map(|direction| ["bytes", "packets", "captured"].map(|key| figure(direction, key)));
    assert_eq!(totals.collect::<Vec<_>>(), sums);
    assert_eq!((figure("tx", "bytes"), figure("tx", "packets")), pair.sent_here());
    assert_eq!((figure("rx", "bytes"), figure("rx", "packets")), pair.sent_there());
    assert_eq!(total["offered"].as_u64().unwrap(), total["seen"].as_u64().unwrap());
}

#[test]
fn text_has_units_in_its_heading_and_ends_with_a_total() {
    if !in_namespace() {
        return;
    }
    let _pair = Pair::new();
    let lines = watched(&["--nic", "here", "--interval", "50ms"], || {});
    assert!(lines[1].contains("rx bit/s") && lines[1].contains("drops"), "{lines:?}");
    assert!(lines[2].contains("here") && lines[2].contains("bit/s"), "{lines:?}");
    assert!(lines.last().unwrap().starts_with("total here: rx"), "{lines:?}");
}

#[test]
fn it_ends_by_itself_after_its_duration() {
    if !in_namespace() {
        return;
    }
    let _pair = Pair::new();
    let output = watch(&["--duration", "300ms", "--format", "json"]).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().last().unwrap().contains(r#""total":true"#), "{text}");
}

#[test]
fn what_can_not_be_watched_is_said_in_one_line_with_the_way_out() {
    if !in_namespace() {
        return;
    }
    let refused = |command: &mut Command| {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!(line.lines().count(), 1, "{line}");
        line
    };
    let line = refused(&mut watch(&["--nic", "nope"]));
    assert!(line.contains("\"nope\"") && line.contains("lo"), "{line}");
    let line = refused(&mut watch(&["--duration", "1s"]));
    assert!(line.contains("agent nics") && line.contains("--nic"), "{line}");
    let mut without = Command::new("setpriv");
    without.args(["--bounding-set=-net_raw", "--inh-caps=-all", env!("CARGO_BIN_EXE_agent")]);
    let line = refused(without.args(["watch", "--nic", "lo"]));
    assert!(line.contains("CAP_NET_RAW"), "{line}");
}

#[test]
fn what_a_stopped_reader_missed_is_counted_and_its_sample_marked() {
    if !in_namespace() {
        return;
    }
    let pair = Pair::new();
    let mut command = watch(&["--nic", "here", "--interval", "50ms", "--format", "json"]);
    command.env("NETMON_AGENT_MONITOR__RING__BLOCKS", "4");
    command.env("NETMON_AGENT_MONITOR__RING__BLOCK_SIZE", "16KiB");
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    out.read_line(&mut text).unwrap();
    let signal = |name: &str| sh(&format!("kill -{name} {}", child.id()));
    signal("STOP");
    let stat = format!("/proc/{}/stat", child.id());
    wait_until("the reader to stand still", || {
        std::fs::read_to_string(&stat).unwrap().contains(") T ")
    });
    let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
    for _ in 0..2000 {
        let _refused = socket.send_to(&[0; 100], "10.9.0.2:9");
    }
    pair.wait_for_silence();
    let (sent, received) = (pair.sent_here().1, pair.sent_there().1);
    signal("CONT");
    out.read_line(&mut text).unwrap();
    signal("TERM");
    out.read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success());
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (total, samples) = lines.split_last().unwrap();
    let total = &total["nics"]["here"];
    let figure = |key: &str| total[key].as_u64().unwrap();
    assert!(figure("drops") > 1000, "{total}");
    assert_eq!(figure("offered"), sent + received, "all packets were offered to the ring");
    assert_eq!(figure("seen") + figure("drops"), figure("offered"));
    assert_eq!(total["verdict"], format!("ring lost {}", figure("drops")));
    let lossy = |sample: &&Value| sample["drops"].as_u64().unwrap() > 0;
    let marked: Vec<&Value> = samples.iter().filter(lossy).collect();
    assert!(marked.iter().all(|sample| sample["freezes"].as_u64().unwrap() > 0), "{marked:?}");
    let drops: u64 = marked.iter().map(|sample| sample["drops"].as_u64().unwrap()).sum();
    assert_eq!(drops, figure("drops"), "drops are in the sample that noticed them");
}
