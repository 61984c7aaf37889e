//! A collector that is hostile, or broken, loses an agent its time and nothing else.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use testbed::siege::python;
use testbed::{Pair, Running, Site, done, wait_for, wait_until};

use crate::inside;

/// UDP port of the real collector; the hostile one has the usual port.
const REAL: &str = "8085";

/// How long an agent may take until it is at its next collector.
const PATIENCE: Duration = Duration::from_secs(40);

/// Longest line that an agent may log of what it was told, bytes.
const LINE_MAX: usize = 4096;

/// An agent that goes to a hostile collector first and has a real one to fall back to, until all
/// is stored there. What the agent has logged.
fn fallen_back(behaviour: &str) -> String {
    let pair = Pair::new();
    let site = Site::new().with_setting("SERVER__PORT", REAL);
    let collector = site.start_collector();
    let token = done(site.collector(&["token"]).output().unwrap());
    let mut enroll = site.agent(&["enroll", token.trim()]);
    let _report = done(enroll.env("NETMON_AGENT_SERVER__PORT", REAL).output().unwrap());
    let _hostile = Hostile::start(&site, behaviour);
    let mut run = site.agent(&["run"]);
    run.env("NETMON_AGENT_SERVER__FALLBACKS", format!("127.0.0.1:{REAL}"));
    run.env("NETMON_AGENT_SERVER__MAX_RETRY", "1");
    let mut agent = Running::start(run, &site.dir().join("a.log"));
    wait_until("capture", || agent.log().contains("session begins"));
    pair.bulk(1_000_000);
    wait_for("the real collector", PATIENCE, || collector.log().contains("connected"));
    pair.bulk(1_000_000);
    pair.wait_for_silence();
    assert!(agent.is_running(), "{}", agent.log());
    let log = agent.log();
    agent.stop();
    collector.stop();
    assert_eq!(site.stored("here"), pair.sent_there(), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    log
}

/// The hostile collector, until it is dropped.
struct Hostile(Child);

impl Hostile {
    fn start(site: &Site, behaviour: &str) -> Self {
        let mut command = python("hostile_collector.py");
        command.args([behaviour, "8082"]).arg(site.identity()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
        assert!(ready.contains("ready"), "{ready}");
        Self(child)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn a_collector_that_says_numbers_beyond_all_stops_no_agent() {
    if inside(module_path!(), "a_collector_that_says_numbers_beyond_all_stops_no_agent") {
        let _log = fallen_back("numbers_beyond_all");
    }
}

#[test]
fn a_collector_that_acknowledges_what_was_never_sent_makes_an_agent_forget_nothing() {
    let test = "a_collector_that_acknowledges_what_was_never_sent_makes_an_agent_forget_nothing";
    if inside(module_path!(), test) {
        let _log = fallen_back("acknowledges_what_was_never_sent");
    }
}

#[test]
fn a_megabyte_of_reasons_is_logged_short_and_steers_no_terminal() {
    if !inside(module_path!(), "a_megabyte_of_reasons_is_logged_short_and_steers_no_terminal") {
        return;
    }
    let log = fallen_back("a_megabyte_of_reasons");
    assert!(log.chars().all(|c| !c.is_control() || c == '\n'), "{log:.4000}");
    let longest = log.lines().map(str::len).max().unwrap();
    assert!(longest < LINE_MAX, "a line of {longest} bytes");
    assert!(!log.lines().any(|line| line.starts_with("<4>") || line.starts_with("forged")));
}
