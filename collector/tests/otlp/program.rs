//! The real collector with a receiver.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use collector::live::Live;
use collector::time::now_ns;
use testbed::http::HTTP;
use testbed::{Site, get, in_namespace, metric, wait_until};
use tokio::runtime::Runtime;

use crate::receiver::{Receiver, Reply};
use crate::shown::{exported, observe, scraped};

/// A collector that exports every second to port 4318, with two clients that its predecessor knew.
fn site() -> Site {
    let site = Site::new()
        .with_setting("EXPORT__OTLP__URL", "http://127.0.0.1:4318")
        .with_setting("EXPORT__OTLP__INTERVAL", "1s");
    let live = Live::new();
    observe(&live, "web-1", &["eth0", "eth1"], 3, now_ns());
    observe(&live, "web-2", &["eth0"], 1, now_ns());
    fs::create_dir(site.collector_data()).unwrap();
    let file = site.collector_data().join("counters.json");
    fs::write(&file, live.save().unwrap()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(site.collector_data(), fs::Permissions::from_mode(0o700)).unwrap();
    site
}

#[test]
fn the_collector_exports_what_it_shows_and_stops_in_time() {
    if !in_namespace() {
        return;
    }
    let runtime = Runtime::new().unwrap();
    let receiver = runtime.block_on(Receiver::start_at("127.0.0.1:4318", vec![], None));
    let site = site();
    let collector = site.start_collector();
    wait_until("an export", || metric(HTTP, "netmon_collector_otlp_points_total") > 0.0);
    let scraped = scraped(&get(HTTP, "/metrics").unwrap());
    let mut exported = exported([&receiver.taken()[0].request]);
    exported.retain(|(name, _), _| name.starts_with("netmon_"));
    assert_eq!(exported, scraped);
    let before = receiver.taken().len();
    let doctor = site.collector(&["doctor"]).output().unwrap();
    let doctor = String::from_utf8(doctor.stdout).unwrap();
    assert!(doctor.contains("http://127.0.0.1:4318/v1/metrics takes metrics"), "{doctor}");
    collector.stop();
    assert!(receiver.taken().len() >= before + 2, "the doctor's and the last");
}

#[test]
fn a_receiver_in_trouble_disturbs_nothing_else() {
    if !in_namespace() {
        return;
    }
    let runtime = Runtime::new().unwrap();
    let replies = vec![Reply::Silence; 100];
    let receiver = runtime.block_on(Receiver::start_at("127.0.0.1:4318", replies, None));
    let site = site();
    let collector = site.start_collector();
    wait_until("a request", || !receiver.taken().is_empty());
    assert!(testbed::http::is_ready(HTTP));
    assert!(get(HTTP, "/metrics").unwrap().contains("client=\"web-1\""));
    collector.stop();
    let doctor = site.with_setting("EXPORT__OTLP__URL", "http://127.0.0.1:4319");
    let doctor = doctor.collector(&["doctor"]).output().unwrap();
    let doctor = String::from_utf8(doctor.stdout).unwrap();
    let line = doctor.lines().find(|line| line.contains("OTLP")).unwrap();
    assert!(line.starts_with("warn") && line.contains("refused"), "{line}");
}

#[test]
fn headers_that_everybody_can_read_keep_the_collector_from_starting() {
    let site = site();
    let file = site.dir().join("headers");
    fs::write(&file, "Authorization: Bearer hunter2\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let site = site.with_setting("EXPORT__OTLP__HEADERS_FILE", &file.display().to_string());
    for command in ["run", "check-config"] {
        let output = site.collector(&[command]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(line.contains("EXPORT__OTLP__HEADERS_FILE: export.otlp.headers_file: "), "{line}");
        assert!(line.trim_end().ends_with(&format!("chmod 640 {}", file.display())), "{line}");
        assert!(!line.contains("hunter2"));
    }
}
