//! Hosts with a wrong clock: a shim shifts the time that the real programs read.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use agent::clocks::wall_ns;
use testbed::http::HTTP;
use testbed::{Clock, Pair, Running, Site, in_namespace, metric, wait_until};

const SECOND: i64 = 1_000_000_000;

/// The agent with arguments and its own clock.
fn agent(site: &Site, clock: &Clock, args: &[&str]) -> std::process::Command {
    let mut command = site.agent(args);
    clock.apply(&mut command);
    command
}

#[test]
fn clocks_that_differ_are_told_in_the_log_once_and_by_doctor() {
    if !in_namespace() {
        return;
    }
    let (_link, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    let mut clock = Clock::new(site.dir(), "host");
    let examine = |clock: &Clock| {
        // It warns of other things too, so ignore the exit code.
        let output = agent(&site, clock, &["doctor"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let report = examine(&clock);
    assert!(report.lines().any(|line| line.starts_with("ok    clocks")), "{report}");
    clock.set(3 * SECOND);
    let report = examine(&clock);
    let line = report.lines().find(|line| line.starts_with("warn  clocks"));
    assert!(line.unwrap_or(&report).contains("3.0 s ahead of the collector's"), "{report}");

    let running = Running::start(agent(&site, &clock, &["run"]), &site.dir().join("a.log"));
    let told = || running.log().matches("ahead of the collector's").count();
    // The collector asks every 10 s.
    wait_until("the agent's report", || told() > 0);
    clock.set(0);
    let agree = || running.log().contains("agree again");
    wait_until("the agent's report of its end", agree);
    assert_eq!(told(), 1, "{}", running.log());
    running.stop();
    collector.stop();
}

#[test]
fn a_clock_that_is_set_by_days_and_a_host_that_sleeps_lose_and_repeat_nothing() {
    if !in_namespace() {
        return;
    }
    let (_link, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    let mut clock = Clock::new(site.dir(), "host");
    // A boot without a battery-backed clock: NTP corrects the time later.
    clock.set(-site_age_ns());
    let running = Running::start(agent(&site, &clock, &["run"]), &site.dir().join("a.log"));
    wait_until("the first report", || running.log().contains("session begins"));
    std::thread::sleep(Duration::from_secs(2));
    clock.set(0);
    wait_until("frames", || metric(HTTP, "netmon_collector_frames_total") > 2.0);
    clock.set(2 * 86_400 * SECOND);
    std::thread::sleep(Duration::from_secs(1));
    clock.sleep(26 * 3600 * SECOND);
    std::thread::sleep(Duration::from_secs(1));
    clock.set(0);
    let frames = metric(HTTP, "netmon_collector_frames_total");
    wait_until("more frames", || metric(HTTP, "netmon_collector_frames_total") > frames + 3.0);
    let log = running.log();
    assert!(!log.contains("damaged") && log.lines().count() < 100, "{log}");
    running.stop();
    collector.stop();
    let _counted = site.stored("here");
}

/// The time since 1970, minus a minute.
fn site_age_ns() -> i64 {
    wall_ns().to_column() - 60 * SECOND
}
