//! The orders in which both programs are upgraded, and the way back.

use std::fmt;
use std::time::{Duration, Instant};

use crate::host::{Host, Version};

/// How long a newer agent may try an older collector: several of its attempts.
const ATTEMPTS: Duration = Duration::from_secs(10);

/// The order of an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Order {
    /// As the documentation recommends.
    CollectorFirst,
    /// The other way round.
    AgentFirst,
}

impl Order {
    /// Both.
    pub const ALL: [Self; 2] = [Self::CollectorFirst, Self::AgentFirst];

    /// As on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CollectorFirst => "collector-first",
            Self::AgentFirst => "agent-first",
        }
    }

    /// Upgrades both programs in this order, tries the way back, and goes on with the newer ones.
    pub fn run(self, host: &mut Host) {
        fill(host);
        match self {
            Self::CollectorFirst => collector_first(host),
            Self::AgentFirst => agent_first(host),
        }
        way_back(host);
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CollectorFirst => "collector first",
            Self::AgentFirst => "agent first",
        })
    }
}

fn report(what: &str, result: &str) {
    println!("{what:<52} {result}");
}

/// Fills store and spool by the older programs. The agent runs on; the collector is stopped.
fn fill(host: &mut Host) {
    host.start_collector(Version::Old);
    host.enroll();
    host.start_agent(Version::Old);
    host.send();
    report("old collector, old agent", &host.wait_until_stored());
    host.stop_collector();
    fill_spool(host);
}

/// Sends traffic without a collector.
fn fill_spool(host: &Host) {
    host.send();
    let (stored, sent) = (host.stored(), host.sent());
    let frames = host.spooled();
    assert!(
        stored.0 < sent.0 && frames > 0,
        "{stored:?} of {sent:?} are stored, {frames} frames spooled"
    );
    let missing = sent.0 - stored.0;
    report(
        "collector stopped",
        &format!("{missing} bytes more wait in the spool, in {frames} frames"),
    );
}

fn collector_first(host: &mut Host) {
    let plan = host.ask_collector(Version::New, &["migrate", "--check"]);
    report("new migrate --check on the old store", plan.lines().next().unwrap());
    host.start_collector(Version::New);
    report("new collector on the old store, old agent", &host.wait_until_stored());
    host.send();
    report("  and more traffic", &host.wait_until_stored());
    host.stop_collector();
    fill_spool(host);
    host.stop_agent();
    host.start_agent(Version::New);
    host.start_collector(Version::New);
    report("new collector, new agent on the old spool", &host.wait_until_stored());
    host.send();
    report("  and more traffic", &host.wait_until_stored());
}

fn agent_first(host: &mut Host) {
    host.stop_agent();
    host.start_agent(Version::New);
    host.start_collector(Version::Old);
    host.send();
    let begun = Instant::now();
    while host.stored() != host.sent() && begun.elapsed() < ATTEMPTS {
        std::thread::sleep(Duration::from_millis(200));
    }
    let what = "old collector, new agent on the old spool";
    if host.stored() == host.sent() {
        report(what, &host.wait_until_stored());
    } else {
        let warnings = host.agents_warnings();
        assert!(!warnings.is_empty(), "the agent doesn't say why nothing is stored");
        report(what, "refused; the agent says:");
        warnings.iter().for_each(|line| println!("  {line}"));
    }
    host.stop_collector();
    fill_spool(host);
    host.start_collector(Version::New);
    report("new collector on the old store, new agent", &host.wait_until_stored());
    host.send();
    report("  and more traffic", &host.wait_until_stored());
}

/// Starts the older programs on what the newer ones wrote, and then the newer ones again.
fn way_back(host: &mut Host) {
    host.stop_collector();
    fill_spool(host);
    host.stop_agent();
    let refusal = host.try_collector(Version::Old);
    report("back: old collector on the new store", refusal.as_deref().unwrap_or("works"));
    if refusal.is_none() {
        host.stop_collector();
    }
    let refusal = host.try_agent(Version::Old);
    report("back: old agent on the new spool", refusal.as_deref().unwrap_or("works"));
    if refusal.is_none() {
        host.send();
        host.stop_agent();
    }
    host.start_agent(Version::New);
    host.start_collector(Version::New);
    host.send();
    report("forth: new collector, new agent", &host.wait_until_stored());
    host.stop_agent();
    host.stop_collector();
    assert_eq!(host.stored(), host.sent(), "after both have stopped");
    assert_eq!(host.losses(), Vec::<String>::new());
}
