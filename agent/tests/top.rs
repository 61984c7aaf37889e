//! `agent top` on a terminal of its own.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::process::{Command, Stdio};

use testbed::{Namespace, Terminal, in_namespace, sh};

#[test]
fn top_shows_a_nic_and_q_gives_the_terminal_back() {
    if !in_namespace("top_shows_a_nic_and_q_gives_the_terminal_back") {
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
