//! The real programs together: the database holds what the wire carried, even if the collector fails
//! meanwhile.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::process::{Command, Output};
use std::time::Duration;

use testbed::http::HTTP;
use testbed::{Pair, Running, Site, done, get, in_namespace, metric, spool, wait_until};
use testbed::{onto_closed_pipe, onto_full_disk};
use wire::codec::{self, Received};

/// Waits until the agent captures and the collector has welcomed it.
fn wait_for_frames() {
    wait_until("frames", || metric(HTTP, "netmon_collector_frames_total") > 2.0);
}

#[test]
fn a_collector_that_is_killed_and_started_again_misses_and_doubles_nothing() {
    if !in_namespace() {
        return;
    }
    let (pair, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    let agent = site.start_agent();
    wait_for_frames();
    pair.bulk(50_000_000);
    collector.kill();
    pair.bulk(50_000_000);
    std::thread::sleep(Duration::from_secs(1));
    let collector = site.start_collector();
    wait_for_frames();
    pair.bulk(50_000_000);
    pair.wait_for_silence();
    agent.stop();
    collector.stop();
    let sent = pair.sent_there();
    assert_eq!(site.stored("here"), sent, "bytes and packets in the store and on the wire");
}

/// Bytes and packets that a NIC received, by the agent's spool.
fn spooled(site: &Site, nic: &str) -> Option<(u64, u64)> {
    let frames = spool::look(&site.dir().join("agent/spool.sqlite"), |db| {
        let mut select = db.prepare("SELECT frame FROM records")?;
        select.query_map([], |row| row.get(0))?.collect::<Result<Vec<Vec<u8>>, _>>()
    })?;
    let frames = frames.iter().map(|frame| codec::decode(frame).unwrap());
    let samples = frames.flat_map(|it| match it {
        Received::Frame(frame) => frame.samples,
        Received::Message(other) => panic!("{other:?}"),
    });
    let own = samples.filter(|sample| sample.nic.to_string() == nic);
    Some(own.fold((0, 0), |sum, it| (sum.0 + it.rx.bytes.get(), sum.1 + it.rx.packets.get())))
}

#[test]
fn an_enrolment_that_can_not_be_told_of_is_made_all_the_same_and_the_exit_code_tells() {
    if !in_namespace() {
        return;
    }
    for (onto, code) in [(onto_closed_pipe as fn(&mut Command) -> Output, 141), (onto_full_disk, 1)]
    {
        let site = Site::new();
        let collector = site.start_collector();
        let token = done(site.collector(&["token"]).output().unwrap());
        let output = onto(&mut site.agent(&["enroll", token.trim()]));
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{output:?}");
        assert!(site.dir().join("agent/identity").read_dir().unwrap().count() > 1);
        collector.stop();
    }
}

#[test]
fn what_is_counted_while_no_collector_is_there_is_delivered_by_the_next_start() {
    if !in_namespace() {
        return;
    }
    let (pair, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    collector.stop();
    let agent = site.start_agent();
    wait_until("capture", || agent.log().contains("session begins"));
    pair.bulk(20_000_000);
    pair.wait_for_silence();
    let between = pair.sent_there();
    // What it is killed with before that is lost.
    wait_until("all of it in the spool", || spooled(&site, "here") == Some(between));
    agent.kill();
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
    if !in_namespace() {
        return;
    }
    let (pair, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    let agent = site.start_agent();
    wait_for_frames();
    pair.bulk(30_000_000);
    pair.wait_for_silence();
    let (bytes, _) = pair.sent_there();
    let series = r#"netmon_nic_bytes_total{client="host-1",nic="here",direction="rx"}"#;
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    let expected = bytes as f64;
    wait_until("the counter", || (metric(HTTP, series) - expected).abs() < 0.5);
    let clients = get(HTTP, "/api/v1/clients").unwrap();
    assert!(clients.contains(r#""client":"host-1""#) && clients.contains(r#""nic":"here""#));
    let body = || {
        let answer = get(HTTP, "/api/v1/series?client=host-1&nic=here").unwrap();
        let json = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
        serde_json::from_str::<serde_json::Value>(&json).unwrap()
    };
    let sum = |json: &serde_json::Value| -> u64 {
        let points = json["points"].as_array().unwrap();
        points.iter().map(|point| point["rx"]["bytes"].as_u64().unwrap()).sum()
    };
    wait_until("the rows", || sum(&body()) == bytes);
    let page = get(HTTP, "/").unwrap();
    assert!(page.contains(" 200 ") && page.contains("<html"), "{page}");
    agent.stop();
    collector.stop();
}

#[test]
fn an_agent_that_offers_a_session_of_another_client_is_refused_and_both_ends_say_so() {
    if !in_namespace() {
        return;
    }
    let (_pair, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    let agent = site.start_agent();
    wait_for_frames();
    agent.kill();
    // A host cloned with its spool, which then got its own certificate.
    let token = done(site.collector(&["token"]).output().unwrap());
    let clone = |args: &[&str]| site.agent_in("clone", "host-2", args);
    let _report = done(clone(&["enroll", token.trim()]).output().unwrap());
    let folder = site.dir().join("agent");
    for file in ["spool.sqlite", "spool.sqlite-wal"] {
        std::fs::copy(folder.join(file), site.dir().join("clone").join(file)).unwrap();
    }
    let clone = Running::start(clone(&["run"]), &site.dir().join("clone.log"));
    let refusals = || metric(HTTP, r#"netmon_collector_rejects_total{reason="refused"}"#);
    wait_until("the refusal", || refusals() > 0.0);
    wait_until("the agent's report", || clone.log().contains("belongs to client host-1"));
    assert!(collector.log().contains("belongs to client host-1, not to host-2"));
    clone.stop();
    collector.stop();
    let report = done(site.collector(&["fsck"]).output().unwrap());
    assert!(report.contains("host-1 here: ") && !report.contains("host-2 here: "), "{report}");
}

#[test]
fn the_quickstart_succeeds_only_if_its_own_run_stored_traffic() {
    if !in_namespace() {
        return;
    }
    let (pair, folder) = (Pair::new(), tempfile::tempdir().unwrap());
    for name in ["agent", "collector"] {
        let installed = folder.path().join(format!("netmon-{name}"));
        std::os::unix::fs::symlink(testbed::program(name), installed).unwrap();
    }
    let log = folder.path().join("log");
    let begin = || {
        let path = std::env::var("PATH").unwrap();
        let mut script =
            Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/quickstart"));
        script.args(["--for", "4s"]).stdout(std::fs::File::create(&log).unwrap());
        script.env("PATH", format!("{}:{path}", folder.path().display()));
        // Nothing is built there.
        script.env("CARGO_TARGET_DIR", folder.path());
        script.spawn().unwrap()
    };
    let said = || std::fs::read_to_string(&log).unwrap();
    let mut run = begin();
    wait_until("live rates", || said().contains("mean size"));
    pair.bulk(20_000_000);
    assert!(run.wait().unwrap().success(), "{}", said());
    let lines: Vec<String> = said().lines().map(str::to_owned).collect();
    let nics: Vec<&String> = lines.iter().filter(|line| line.starts_with("here ")).collect();
    assert!(nics.iter().any(|line| line.contains("Mbit/s") && line.contains(" B ")), "{nics:?}");
    assert!(!said().contains("start measuring"), "{}", said());
    let mut silent = begin();
    assert_eq!(silent.wait().unwrap().code(), Some(1), "{}", said());
}
