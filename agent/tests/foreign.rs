//! NICs whose names or aliases aren't text or contain terminal escape sequences.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testbed::{Pair, done, in_namespace, sh, wait_until};

/// Runs `ip` with raw bytes in place of `NAME`.
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
    if !in_namespace() {
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

    let measured = |nic: &str| {
        let args = ["watch", "--nic", nic, "--duration", "300ms", "--interval", "100ms"];
        let said = done(agent(&args).args(["--format", "json"]).output().unwrap());
        assert!(said.chars().all(|c| !c.is_control() || c == '\n'), "{said:?}");
        let total = said.lines().last().unwrap().to_owned();
        let total: serde_json::Value = serde_json::from_str(&total).unwrap();
        total["nics"].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(measured("here"), ["here"]);
    assert_eq!(measured("bad\\xff"), ["bad\\xff"]);
    // By its displayed name and by its real name.
    assert_eq!(measured("esc\\u001b[2J\\n"), ["esc\u{1b}[2J\\n"]);
    assert_eq!(measured("esc\u{1b}[2J\\n"), ["esc\u{1b}[2J\\n"]);
    let refused = agent(&["watch", "--nic", "no\u{1b}[2J"]).output().unwrap();
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(why.contains("there is no NIC named") && !why.contains('\u{1b}'), "{why:?}");
}

#[test]
fn what_a_nic_carries_whose_name_is_no_text_is_counted() {
    const PACKETS: u64 = 500;
    if !in_namespace() {
        return;
    }
    sh("sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
    let (name, shown) = (b"bad\xff", "bad\\xff");
    ip("link add NAME type veth peer name peer", name);
    ip("link set NAME up", name);
    sh("ip link set peer up; ip addr add 10.77.0.1/24 dev peer; \
        ip neigh add 10.77.0.2 lladdr 02:00:00:00:00:02 dev peer");
    let index = nix::net::if_::if_nametoindex(&name[..]).unwrap().to_string();
    let mut watch = agent(&["watch", "--nic", shown, "--interval", "50ms", "--format", "json"]);
    let mut watch = watch.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines().map(Result::unwrap);
    wait_until("a ring", || {
        let rings = std::fs::read_to_string("/proc/net/packet").unwrap();
        // Columns Iface and R (running).
        rings.lines().any(|ring| {
            let columns: Vec<&str> = ring.split_whitespace().collect();
            columns.get(4) == Some(&index.as_str()) && columns.get(5) == Some(&"1")
        })
    });
    let socket = UdpSocket::bind("10.77.0.1:0").unwrap();
    for _ in 0..PACKETS {
        socket.send_to(b"x", "10.77.0.2:9").unwrap();
    }
    // A line each 50 ms, until all of them are counted.
    let mut counted = 0;
    wait_until("all packets", || {
        let sample: serde_json::Value = serde_json::from_str(&lines.next().unwrap()).unwrap();
        counted += sample["rx"]["captured"].as_u64().unwrap();
        counted += sample["tx"]["captured"].as_u64().unwrap();
        counted >= PACKETS
    });
    kill(Pid::from_raw(watch.id().cast_signed()), Signal::SIGINT).unwrap();
    let total: serde_json::Value = serde_json::from_str(&lines.last().unwrap()).unwrap();
    assert!(watch.wait().unwrap().success());
    assert_eq!(total["nics"][shown]["seen"], PACKETS, "{total}");
}
