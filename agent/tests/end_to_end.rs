//! The real programs together: what the wire carried is in the database, whatever happens to the
//! collector meanwhile.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use common::{Pair, in_namespace, sh, wait_until};

/// The collector's program, which the workspace builds beside the agent's.
fn collector_program() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_agent")).with_file_name("collector");
    assert!(path.exists(), "{} is missing; run: cargo build --bins", path.display());
    path
}

/// Agent and collector with their data in a directory. In a namespace of their own the usual
/// ports are free.
struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn collector(&self, args: &[&str]) -> Command {
        let mut command = Command::new(collector_program());
        command.arg("--data-dir").arg(self.dir.path().join("collector")).args(args);
        command
    }

    fn agent(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agent"));
        command.arg("--data-dir").arg(self.dir.path().join("agent")).args(args);
        command.env("NETMON_AGENT_SERVER__HOST", "127.0.0.1");
        command.env("NETMON_AGENT_SERVER__RETRY_INTERVAL", "500ms");
        command.env("NETMON_AGENT_MONITOR__SAMPLE_INTERVAL", "100ms");
        command.env("NETMON_AGENT_MONITOR__REPORT_INTERVAL", "200ms");
        command.env("NETMON_AGENT_CLIENT__ID", "host-1");
        command
    }

    fn start_collector(&self) -> Running {
        let running = Running::start(self.collector(&["run"]), &self.dir.path().join("c.log"));
        wait_until("the collector", || get("/readyz").is_some_and(|it| it.contains(" 200 ")));
        running
    }

    fn enroll(&self) {
        let token = done(self.collector(&["token"]).output().unwrap());
        done(self.agent(&["enroll", token.trim()]).output().unwrap());
    }

    fn start_agent(&self) -> Running {
        Running::start(self.agent(&["run"]), &self.dir.path().join("a.log"))
    }

    /// What the store holds of a NIC, received, after its proof: bytes and packets.
    fn stored(&self, nic: &str) -> (u64, u64) {
        let report = done(self.collector(&["fsck"]).output().unwrap());
        let line = report.lines().find(|line| line.starts_with(&format!("host-1 {nic}: ")));
        let line = line.unwrap_or_else(|| panic!("{nic} is not in the store:\n{report}"));
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[3].parse().unwrap(), words[6].parse().unwrap())
    }
}

fn done(output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A program at work, whose log is kept; it is killed if the test fails.
struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    fn start(mut command: Command, log: &Path) -> Self {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let child = command.stdout(Stdio::null()).stderr(file).spawn().unwrap();
        Self { child, log: log.to_owned() }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// SIGTERM; must end well within 10 s.
    fn stop(mut self) {
        sh(&format!("kill -TERM {}", self.child.id()));
        let mut status = None;
        wait_until("a graceful stop", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert!(status.unwrap().success(), "{}", self.log());
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}:\n{}", self.log.display(), self.log());
        }
    }
}

/// The collector's answer to an HTTP request, status line and all.
fn get(path: &str) -> Option<String> {
    use std::io::Write;
    let mut stream = TcpStream::connect("127.0.0.1:8083").ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Value of a metric of the collector, summed over its labels.
fn metric(name: &str) -> f64 {
    let text = get("/metrics").unwrap();
    let lines = text.lines().filter(|line| line.starts_with(name) && !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Sends bytes from the other namespace to this one by TCP.
fn bulk(pair: &Pair, bytes: u64) {
    let listener = TcpListener::bind("10.9.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let receiver = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::copy(&mut stream, &mut std::io::sink()).unwrap()
    });
    pair.there_sh(&format!("head -c {bytes} /dev/zero > /dev/tcp/10.9.0.1/{port}"));
    assert_eq!(receiver.join().unwrap(), bytes);
}

/// Waits until the agent captures and the collector has welcomed it.
fn wait_for_frames() {
    wait_until("frames", || metric("netmon_collector_frames_total") > 2.0);
}

#[test]
fn a_collector_that_is_killed_and_started_again_misses_and_doubles_nothing() {
    if !in_namespace("a_collector_that_is_killed_and_started_again_misses_and_doubles_nothing") {
        return;
    }
    let (pair, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    let agent = site.start_agent();
    wait_for_frames();
    bulk(&pair, 50_000_000);
    collector.kill();
    bulk(&pair, 50_000_000);
    std::thread::sleep(Duration::from_secs(1));
    let collector = site.start_collector();
    wait_for_frames();
    bulk(&pair, 50_000_000);
    pair.wait_for_silence();
    agent.stop();
    collector.stop();
    let sent = pair.sent_there();
    assert_eq!(site.stored("here"), sent, "bytes and packets in the store and on the wire");
}

#[test]
fn what_is_counted_while_no_collector_is_there_is_delivered_by_the_next_start() {
    if !in_namespace("what_is_counted_while_no_collector_is_there_is_delivered_by_the_next_start") {
        return;
    }
    let (pair, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    collector.stop();
    let agent = site.start_agent();
    wait_until("capture", || agent.log().contains("session begins"));
    bulk(&pair, 20_000_000);
    pair.wait_for_silence();
    agent.kill();
    let between = pair.sent_there();
    let agent = site.start_agent();
    let collector = site.start_collector();
    wait_for_frames();
    agent.stop();
    collector.stop();
    let (bytes, packets) = site.stored("here");
    assert!((bytes, packets) == between, "{:?}, {between:?}", (bytes, packets));
}

#[test]
fn the_api_and_metrics_tell_what_the_wire_carried() {
    if !in_namespace("the_api_and_metrics_tell_what_the_wire_carried") {
        return;
    }
    let (pair, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    let agent = site.start_agent();
    wait_for_frames();
    bulk(&pair, 30_000_000);
    pair.wait_for_silence();
    let (bytes, _) = pair.sent_there();
    let series = r#"netmon_nic_bytes_total{client="host-1",nic="here",direction="rx"}"#;
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    let expected = bytes as f64;
    wait_until("the counter", || (metric(series) - expected).abs() < 0.5);
    let clients = get("/api/v1/clients").unwrap();
    assert!(clients.contains(r#""client":"host-1""#) && clients.contains(r#""nic":"here""#));
    let body = || {
        let answer = get("/api/v1/series?client=host-1&nic=here").unwrap();
        let json = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
        serde_json::from_str::<serde_json::Value>(&json).unwrap()
    };
    let sum = |json: &serde_json::Value| -> u64 {
        let points = json["points"].as_array().unwrap();
        points.iter().map(|point| point["rx"]["bytes"].as_u64().unwrap()).sum()
    };
    wait_until("the rows", || sum(&body()) == bytes);
    let page = get("/").unwrap();
    assert!(page.contains(" 200 ") && page.contains("<html"), "{page}");
    agent.stop();
    collector.stop();
}
