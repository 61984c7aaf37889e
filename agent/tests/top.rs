//! `agent top` on its own terminal.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use testbed::{Namespace, Pair, Terminal, in_namespace, pictures, sh, wait_for};

#[test]
fn top_shows_a_nic_and_q_gives_the_terminal_back() {
    if !in_namespace() {
        return;
    }
    sh("ip link set lo up");
    let mut top = Namespace::own().command(env!("CARGO_BIN_EXE_agent"));
    let terminal = Terminal::start(top.args(["top", "--nic", "lo"]), 100, 30);
    terminal.wait_for("lo: loopback, MTU 65536");
    terminal.press(&["Space"]);
    terminal.wait_for("PAUSED");
    terminal.resize(70, 20);
    terminal.wait_until("a narrow screen", |screen| {
        screen.contains("PAUSED") && screen.contains("rx, highest")
    });
    terminal.press(&["q"]);
    terminal.wait_for("ended with 0");
    assert!(!terminal.screen().contains("agent top"), "{}", terminal.screen());
}

#[test]
fn top_shows_what_a_nic_carries_and_what_the_traffic_is() {
    if !in_namespace() {
        return;
    }
    let pair = Pair::new();
    let mut top = Namespace::own().command(env!("CARGO_BIN_EXE_agent"));
    let terminal = Terminal::start(top.arg("top"), 110, 28);
    terminal.wait_for("here: veth");
    let listener = TcpListener::bind("10.9.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::copy(&mut stream, &mut std::io::sink())
    });
    // Bursts of bulk data with a small packet between them.
    let mut traffic = pair.there_spawn(&format!(
        "exec 3> /dev/tcp/10.9.0.1/{port}; while :; do \
         head -c $((500000 + RANDOM * 40)) /dev/zero >&3; \
         echo . > /dev/udp/10.9.0.1/9; sleep 0.0$((RANDOM % 10)); done"
    ));
    terminal.wait_until("the traffic", |screen| {
        screen.contains("Mbit/s") && screen.contains("TCP 99 %") && screen.contains("≤1518 B")
    });
    terminal.press(&["Enter"]);
    terminal.wait_until("the talker", |screen| {
        screen.contains("10.9.0.2") && screen.contains(&format!("{port}/tcp"))
    });
    terminal.press(&["Enter"]);
    if pictures().is_some() {
        wait_for("charts", Duration::from_secs(90), || {
            terminal
                .screen()
                .lines()
                .filter(|line| line.contains("│▁") || line.contains("│█"))
                .count()
                > 1
        });
        terminal.picture("agent-top");
    }
    traffic.kill().unwrap();
    let _reaped = traffic.wait();
    terminal.press(&["C-c"]);
    terminal.wait_for("ended with 0");
}

#[test]
fn top_without_a_terminal_says_what_to_use_instead() {
    let output = Command::new(env!("CARGO_BIN_EXE_agent"))
        .args(["top", "--nic", "lo"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("agent watch"), "{error}");
}
