//! An agent that is stopped during traffic, compared with the sender's qdisc.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::UdpSocket;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testbed::{Namespace, Pair, in_namespace, wait_until};

/// Longer than the stall that a ring is designed for.
const STALL: Duration = Duration::from_millis(5200);

#[test]
fn a_ring_keeps_what_comes_while_its_reader_stands_still_for_five_seconds() {
    // The kernel hands over a nearly empty block with each timeout.
    if in_namespace() {
        stall(&[], Duration::from_millis(2));
    }
}

#[test]
fn so_does_a_small_ring_where_many_share_the_memory() {
    if in_namespace() {
        stall(&[(BLOCKS, "16"), (BLOCK_SIZE, "32KiB")], Duration::from_millis(9));
    }
}

#[test]
fn so_does_a_ring_that_is_configured_to_have_few_large_blocks() {
    if in_namespace() {
        stall(&[(BLOCKS, "256"), (BLOCK_SIZE, "64KiB")], Duration::from_millis(2));
    }
}

const BLOCKS: &str = "NETMON_AGENT_MONITOR__RING__BLOCKS";
const BLOCK_SIZE: &str = "NETMON_AGENT_MONITOR__RING__BLOCK_SIZE";

/// Stops an agent with the given settings during traffic of one packet per `gap`.
fn stall(settings: &[(&str, &str)], gap: Duration) {
    let pair = Pair::new();
    let before = pair.sent_here().1 + pair.sent_there().1;
    let mut watch = Namespace::own().command(env!("CARGO_BIN_EXE_agent"));
    watch.args(["watch", "--nic", "here", "--format", "json"]).envs(settings.iter().copied());
    let agent = watch.stdout(Stdio::piped()).spawn().unwrap();
    wait_until("a ring", || {
        let sockets = std::fs::read_to_string("/proc/net/packet").unwrap();
        let index = nix::net::if_::if_nametoindex("here").unwrap().to_string();
        // Columns Iface and R (running).
        sockets.lines().any(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            columns.get(4) == Some(&index.as_str()) && columns.get(5) == Some(&"1")
        })
    });
    let signal = |signal| kill(Pid::from_raw(agent.id().cast_signed()), signal).unwrap();
    signal(Signal::SIGSTOP);
    let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
    let start = Instant::now();
    while start.elapsed() < STALL {
        let _refused = socket.send_to(b"x", "10.9.0.2:9");
        std::thread::sleep(gap);
    }
    signal(Signal::SIGCONT);
    pair.wait_for_silence();
    let offered = pair.sent_here().1 + pair.sent_there().1 - before;
    signal(Signal::SIGINT);
    let printed = agent.wait_with_output().unwrap().stdout;
    let printed = String::from_utf8(printed).unwrap();
    let total: serde_json::Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
    let nic = &total["nics"]["here"];
    // 570 or more on a quiet machine. On a busy machine the sender sleeps longer than requested.
    assert!(offered > 100, "only {offered} packets during the stall");
    assert_eq!(nic["drops"], 0, "of {offered}: {total}");
    assert_eq!(nic["seen"], offered, "{total}");
}
