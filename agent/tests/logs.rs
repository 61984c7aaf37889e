//! An agent logs a lasting failure once, and again only after a success.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use testbed::{Pair, Running, Site, in_namespace, wait_until};

/// Number of log lines whose message and error start with these texts.
fn count(log: &str, message: &str, error: &str) -> usize {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let said = |line: &serde_json::Value, key: &str, text: &str| {
        line[key].as_str().unwrap_or_default().contains(text)
    };
    lines.filter(|line| said(line, "message", message) && said(line, "error", error)).count()
}

#[test]
fn of_collectors_that_fail_in_turn_each_is_told_once_and_again_after_a_success() {
    if !in_namespace() {
        return;
    }
    let (_pair, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    collector.stop();
    let mut command = site.agent(&["run", "--log-level", "agent=debug"]);
    command.env("NETMON_AGENT_SERVER__HOST", "nowhere-1.invalid");
    command.env("NETMON_AGENT_SERVER__FALLBACKS", "nowhere-2.invalid,127.0.0.1");
    command.env("NETMON_AGENT_SERVER__RETRY_INTERVAL", "100ms");
    let agent = Running::start(command, &site.dir().join("a.log"));
    let until = |what: &str, done: &dyn Fn(&str) -> bool| {
        wait_until(what, || done(&agent.log()));
    };
    let told = "not connected; measurements go to the spool";
    until("two rounds", &|log| count(log, "still not connected", "127.0.0.1") == 2);
    for server in ["nowhere-1.invalid", "nowhere-2.invalid", "127.0.0.1"] {
        assert_eq!(count(&agent.log(), told, server), 1, "{server}: {}", agent.log());
    }
    let collector = site.start_collector();
    until("a connection", &|log| log.contains("\"message\":\"connected\""));
    collector.stop();
    until("a failure told again", &|log| count(log, told, "nowhere-1.invalid") == 2);
    agent.stop();
}
