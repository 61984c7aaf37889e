//! `collector doctor` without a collector, beside another program, and beside a running collector.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use testbed::{in_namespace, wait_until};

fn collector(dir: &Path, ports: [u16; 2], command: &str) -> Command {
    let [server, http] = ports;
    let config = format!(
        "data_dir: {}\nserver: {{host: 127.0.0.1, port: {server}}}\nhttp: {{port: {http}}}\n",
        dir.join("data").display()
    );
    let file = dir.join("collector.yaml");
    std::fs::write(&file, config).unwrap();
    let mut collector = Command::new(env!("CARGO_BIN_EXE_collector"));
    collector.args([command, "-c"]).arg(file);
    collector
}

/// Two ports that are free now, and stay so in a namespace of the test's own.
fn free_ports() -> [u16; 2] {
    let sockets = [0; 2].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
    sockets.map(|socket| socket.local_addr().unwrap().port())
}

fn doctor(dir: &Path, ports: [u16; 2]) -> (Output, String) {
    let output = collector(dir, ports, "doctor").output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    println!("{text}");
    (output, text)
}

fn line<'a>(text: &'a str, start: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(start)).unwrap()
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

#[test]
fn a_new_collector_is_well_and_nothing_is_made() {
    if !in_namespace() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (output, text) = doctor(dir.path(), free_ports());
    assert!(output.status.success());
    for start in ["data", "disk space", "agents' port", "HTTP port", "database", "certificate"] {
        line(&text, &format!("ok    {start}"));
    }
    assert!(!dir.path().join("data").exists());
}

#[test]
fn a_port_that_another_program_has_is_told_by_its_key() {
    if !in_namespace() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let [_, http] = free_ports();
    let (output, text) = doctor(dir.path(), [other.local_addr().unwrap().port(), http]);
    assert_eq!(output.status.code(), Some(1));
    assert!(line(&text, "fail  agents' port").contains("server.port"));
}

#[test]
fn a_collector_that_runs_is_asked_how_it_is() {
    if !in_namespace() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let ports = free_ports();
    let run =
        collector(dir.path(), ports, "run").stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _running = Running(run.unwrap());
    let mut text = String::new();
    wait_until("a service that is ready", || {
        let (output, said) = doctor(dir.path(), ports);
        text = said;
        output.status.success() && text.contains("ok    service        runs and is ready")
    });
    line(&text, "ok    database");
    line(&text, "ok    CA");
    assert!(line(&text, "ok    certificate").contains("valid from"));
    assert!(line(&text, "ok    clients").contains("none of 0"));
    // Its database is deleted.
    std::fs::remove_file(dir.path().join("data/netmon.sqlite")).unwrap();
    wait_until("word of it", || {
        let (output, text) = doctor(dir.path(), ports);
        let found = text.lines().find(|line| line.starts_with("fail  service"));
        let deleted = "was deleted while the collector had it open";
        let told = found.is_some_and(|line| line.contains(deleted));
        assert!(!told || output.status.code() == Some(1), "{output:?}");
        told
    });
}

#[test]
fn an_export_of_a_range_that_ends_before_it_begins_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut export = collector(dir.path(), free_ports(), "export");
    export.args(["--client", "web-1", "--from", "2026-11-02T00:00:00Z"]);
    let output = export.args(["--to", "2026-11-01T00:00:00Z"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("command line: --from: 2026-11-02T00:00:00Z must be before --to"),
        "{said}"
    );
}
