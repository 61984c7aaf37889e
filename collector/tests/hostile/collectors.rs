//! A hostile or broken collector costs an agent only time.

use std::time::Duration;

use testbed::in_namespace;
use testbed::siege::{FellBack, fall_back};

/// Longest time until an agent reaches its next collector.
const PATIENCE: Duration = Duration::from_secs(40);

/// Longest log line of an agent about a collector's message, bytes.
const LINE_MAX: usize = 4096;

/// Runs an agent that meets a hostile collector first and has a real one as fallback, until everything
/// is stored there. Returns the agent's log.
fn fallen_back(behaviour: &str) -> String {
    let FellBack { after, all_kept, log } = fall_back(behaviour, PATIENCE);
    println!("{behaviour}: at the next collector after {:.1} s", after.as_secs_f64());
    assert!(all_kept, "{log}");
    assert!(!log.contains("panicked"), "{log}");
    log
}

#[test]
fn a_collector_that_says_numbers_beyond_all_stops_no_agent() {
    if in_namespace() {
        let _log = fallen_back("numbers_beyond_all");
    }
}

#[test]
fn a_collector_that_acknowledges_what_was_never_sent_makes_an_agent_forget_nothing() {
    if in_namespace() {
        let _log = fallen_back("acknowledges_what_was_never_sent");
    }
}

#[test]
fn a_megabyte_of_reasons_is_logged_short_and_steers_no_terminal() {
    if !in_namespace() {
        return;
    }
    let log = fallen_back("a_megabyte_of_reasons");
    assert!(log.chars().all(|c| !c.is_control() || c == '\n'), "{log:.4000}");
    let longest = log.lines().map(str::len).max().unwrap();
    assert!(longest < LINE_MAX, "a line of {longest} bytes");
    assert!(!log.lines().any(|line| line.starts_with("<4>") || line.starts_with("forged")));
}
