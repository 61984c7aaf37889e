//! `agent doctor` on a host that can capture and isn't enrolled.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use agent::capture::ring::RingConfig;
use agent::doctor::{DoctorConfig, Level, doctor};
use agent::nic::choose::NicFilter;
use agent::sampler::CaptureConfig;
use testbed::in_namespace;

#[test]
fn a_host_that_is_not_enrolled_can_capture_and_is_told_how_to_enrol() {
    if !in_namespace() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let config = DoctorConfig {
        capture: CaptureConfig {
            sample_interval: Duration::from_millis(500),
            mix_interval: Duration::from_secs(10),
            ring: RingConfig::default(),
            ring_memory: 512 << 20,
            rings_per_nic: 1,
            cpus: Vec::new(),
            talkers: None,
            filter: NicFilter::default(),
        },
        owners: true,
        servers: Vec::new(),
        data_dir: dir.path().to_owned(),
        spool_max: 64 << 20,
        identity: dir.path().join("identity"),
        tls: None,
        other_identity: None,
    };
    let mut out = Vec::new();
    assert_eq!(doctor(&config, &mut out).unwrap(), Level::Fail);
    let text = String::from_utf8(out).unwrap();
    println!("{text}");
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap();
    line("ok    capability");
    line("ok    kernel");
    line("ok    ring memory");
    line("ok    open files");
    line("ok    owners");
    line("ok    processes");
    line("ok    spool");
    assert!(line("warn  NICs").contains("`agent nics`"), "only the loopback is there");
    assert!(line("fail  certificate").contains("agent enroll TOKEN"));
}
