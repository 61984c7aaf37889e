//! Listening addresses on different kinds of hosts.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;

use testbed::{Namespace, Running, done, in_namespace, sh, wait_until};

/// The collector with its HTTP port open on all addresses.
fn collector(dir: &std::path::Path, args: &[&str]) -> Command {
    let mut command = Namespace::own().command(env!("CARGO_BIN_EXE_collector"));
    command.arg("--data-dir").arg(dir).args(args);
    command.env("NETMON_COLLECTOR_HTTP__HOST", "::");
    command.env("NETMON_COLLECTOR_HTTP__UNPROTECTED", "true");
    command
}

#[test]
fn all_addresses_are_those_of_ipv4_too_whatever_the_host_does_by_default() {
    if !in_namespace() {
        return;
    }
    sh("echo 1 > /proc/sys/net/ipv6/bindv6only");
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let running = Running::start(collector(dir, &["run"]), &dir.join("log"));
    wait_until("the collector", || testbed::http::is_ready("127.0.0.1:8083"));
    let mut agent = Command::new(testbed::program("agent"));
    agent.env("NETMON_AGENT_DATA_DIR", dir.join("agent"));
    let token = done(collector(dir, &["token"]).output().unwrap());
    let _told =
        done(agent.args(["enroll", token.trim(), "--server", "127.0.0.1"]).output().unwrap());
    // IPv4 addresses are shown as such.
    assert!(!running.log().contains("::ffff:"), "{}", running.log());
    running.stop();
}

#[test]
fn a_token_of_a_host_without_ipv4_names_addresses_that_are_listened_on() {
    if !in_namespace() {
        return;
    }
    sh("ip addr del 127.0.0.1/8 dev lo; ip addr add 2001:db8::7/128 dev lo nodad");
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let running = Running::start(collector(dir, &["run"]), &dir.join("log"));
    wait_until("the collector", || testbed::http::is_ready("[2001:db8::7]:8083"));
    let token = done(collector(dir, &["token"]).output().unwrap());
    let mut agent = Command::new(testbed::program("agent"));
    agent.env("NETMON_AGENT_DATA_DIR", dir.join("agent")).args(["enroll", token.trim()]);
    let told = done(agent.output().unwrap());
    assert!(told.contains("[2001:db8::7]:8082"), "{told}");
    running.stop();
}
