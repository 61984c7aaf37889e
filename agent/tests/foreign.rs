//! NICs with names and aliases that are no text, or that would steer a terminal.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use testbed::{Pair, done, in_namespace};

/// `ip` with an argument of bytes at the place of `NAME`.
fn ip(args: &str, name: &[u8]) {
    let mut command = Command::new("ip");
    for arg in args.split(' ') {
        command.arg(if arg == "NAME" { OsStr::from_bytes(name) } else { OsStr::new(arg) });
    }
    let _said = done(command.output().unwrap());
}

fn agent(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agent"));
    command.env_clear().args(args);
    command
}

#[test]
fn a_nic_whose_name_or_alias_is_no_text_stops_nothing_and_is_shown_escaped() {
    if !in_namespace("a_nic_whose_name_or_alias_is_no_text_stops_nothing_and_is_shown_escaped") {
        return;
    }
    let _pair = Pair::new();
    ip("link set dev here alias NAME", b"caf\xe9 \x1b[2J");
    let names: [&[u8]; 3] = [b"bad\xff", b"esc\x1b[2J\\n", b"\xff\xff\xff\xff\xff\xff"];
    for (name, peer) in names.into_iter().zip(["p1", "p2", "p3"]) {
        ip(&format!("link add NAME type veth peer name {peer}"), name);
        ip("link set NAME up", name);
        ip("link set NAME up", peer.as_bytes());
    }

    let listed = done(agent(&["nics"]).output().unwrap());
    assert!(listed.chars().all(|c| !c.is_control() || c == '\n'), "{listed:?}");
    for name in ["here", "bad\\xff", "esc\\u001b[2J\\n", "\\xff\\x~"] {
        let lines = listed.lines().filter(|line| line.starts_with(name)).count();
        assert_eq!(lines, 1, "{name}: {listed}");
    }

    let reasons = listed.lines().filter(|line| line.contains("no: its name is not UTF-8"));
    assert_eq!(reasons.count(), 2, "{listed}");

    let measured = |nic: &str| {
        let args = ["watch", "--nic", nic, "--duration", "300ms", "--interval", "100ms"];
        let said = done(agent(&args).args(["--format", "json"]).output().unwrap());
        assert!(said.chars().all(|c| !c.is_control() || c == '\n'), "{said:?}");
        let total = said.lines().last().unwrap().to_owned();
        let total: serde_json::Value = serde_json::from_str(&total).unwrap();
        total["nics"].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(measured("here"), ["here"]);
    // As it is shown, and as it is.
    assert_eq!(measured("esc\\u001b[2J\\n"), ["esc\u{1b}[2J\\n"]);
    assert_eq!(measured("esc\u{1b}[2J\\n"), ["esc\u{1b}[2J\\n"]);
    let refused = agent(&["watch", "--nic", "no\u{1b}[2J"]).output().unwrap();
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(why.contains("there is no NIC named") && !why.contains('\u{1b}'), "{why:?}");
}
