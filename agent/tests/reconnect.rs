//! The connection on a changing network: a new address, a smaller path MTU, a dead collector and a
//! fallback. Nothing is lost, and live data stays live.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use testbed::http::HTTP;
use testbed::pair::{End, join};
use testbed::{
    Namespace, Running, Site, done, http, in_namespace, metric, program, sh, wait_until,
};

/// The collector is here at 10.1.0.1. The agent `host-1` is in its own namespace at 10.1.0.2 and
/// measures this link.
struct Remote {
    site: Site,
    space: Namespace,
    fallbacks: &'static str,
}

impl Remote {
    fn new(fallbacks: &'static str) -> Self {
        let space = Namespace::new();
        let net = "10.1.0";
        join(
            End { space: &Namespace::own(), dev: "m0", net, host: 1 },
            End { space: &space, dev: "mgmt", net, host: 2 },
        );
        Self { site: Site::new(), space, fallbacks }
    }

    fn log(&self) -> PathBuf {
        self.site.dir().join("a.log")
    }

    fn agent(&self, args: &[&str]) -> std::process::Command {
        let mut command = self.space.command(program("agent"));
        command.arg("--data-dir").arg(self.site.dir().join("agent")).args(args);
        for (key, value) in [
            ("SERVER__HOST", "10.1.0.1"),
            ("SERVER__FALLBACKS", self.fallbacks),
            ("SERVER__RETRY_INTERVAL", "500ms"),
            ("MONITOR__SAMPLE_INTERVAL", "100ms"),
            ("MONITOR__REPORT_INTERVAL", "200ms"),
            ("CLIENT__ID", "host-1"),
        ] {
            if !value.is_empty() {
                command.env(format!("NETMON_AGENT_{key}"), value);
            }
        }
        command
    }

    fn enroll_and_start(&self) -> Running {
        let token = done(self.site.collector(&["token"]).output().unwrap());
        let _report = done(self.agent(&["enroll", token.trim()]).output().unwrap());
        let agent = Running::start(self.agent(&["run"]), &self.log());
        wait_for_more();
        agent
    }
}

/// Waits until the collector has received more frames.
fn wait_for_more() {
    let frames = || metric(HTTP, "netmon_collector_frames_total");
    let before = frames();
    wait_until("more frames", || frames() > before + 3.0);
}

fn connections(log: &Path) -> usize {
    let log = std::fs::read_to_string(log).unwrap();
    log.lines().filter(|line| line.contains(r#""message":"connected""#)).count()
}

#[test]
fn a_connection_outlives_the_address_it_was_made_from() {
    if !in_namespace() {
        return;
    }
    let remote = Remote::new("");
    let collector = remote.site.start_collector();
    let agent = remote.enroll_and_start();
    remote.space.sh("ip addr del 10.1.0.2/24 dev mgmt && ip addr add 10.1.0.99/24 dev mgmt");
    wait_for_more();
    assert_eq!(connections(&remote.log()), 1, "it moved with the address");
    agent.stop();
    collector.stop();
    let _proof = done(remote.site.collector(&["fsck"]).output().unwrap());
}

#[test]
fn a_path_that_swallows_large_packets_delays_nothing_for_long() {
    if !in_namespace() {
        return;
    }
    let remote = Remote::new("");
    let collector = remote.site.start_collector();
    let agent = remote.enroll_and_start();
    // No ICMP reports that the path MTU is 1,240 bytes now, a little above the minimum for QUIC (1,200
    // bytes of payload; RFC 9000, section 14).
    sh("nft 'table inet hole { \
          chain input { type filter hook input priority 0; iifname m0 meta length > 1240 drop; }; \
          chain output { type filter hook output priority 0; oifname m0 meta length > 1240 drop; }; \
        }'");
    let committed = || metric(HTTP, "netmon_collector_batch_rows_sum");
    let before = committed();
    wait_until("rows through the smaller path", || committed() > before + 20.0);
    wait_for_more();
    agent.stop();
    collector.stop();
    let _proof = done(remote.site.collector(&["fsck"]).output().unwrap());
}

#[test]
fn the_next_collector_of_the_list_takes_over_and_the_first_is_tried_again() {
    if !in_namespace() {
        return;
    }
    let remote = Remote::new("10.1.0.1:8092");
    let collector = remote.site.start_collector();
    let agent = remote.enroll_and_start();
    collector.kill();
    // The same identity and store on another port acts as another collector.
    let second = |port: &str, log: &str| {
        let mut command = remote.site.collector(&["run"]);
        command.env("NETMON_COLLECTOR_SERVER__PORT", port);
        let running = Running::start(command, &remote.site.dir().join(log));
        wait_until("the collector", || http::is_ready(HTTP));
        running
    };
    let fallback = second("8092", "f.log");
    wait_for_more();
    assert!(agent.log().contains("10.1.0.1:8092"), "{}", agent.log());
    fallback.kill();
    let again = second("8082", "c.log");
    wait_for_more();
    agent.stop();
    again.stop();
    let _proof = done(remote.site.collector(&["fsck"]).output().unwrap());
}
