//! An agent that meets a hostile collector first and has a real one as fallback.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use super::python::python;
use crate::pair::Pair;
use crate::patience::{wait_for, wait_until};
use crate::process::{Running, done};
use crate::site::Site;

/// The behaviours of hostile collectors (`collector/tests/hostile/hostile_collector.py`).
pub const BEHAVIOURS: [&str; 5] = [
    "numbers_beyond_all",
    "acknowledges_what_was_never_sent",
    "a_megabyte_of_reasons",
    "never_answers",
    "commits_nothing",
];

/// UDP port of the real collector. The hostile one uses the default port.
const REAL: &str = "8085";

/// The outcome.
#[derive(Debug)]
pub struct FellBack {
    /// Time from the agent's Hello at the hostile collector until it reached the real one.
    pub after: Duration,
    /// True if everything that the agent saw is stored exactly once.
    pub all_kept: bool,
    /// Log of the agent.
    pub log: String,
}

/// Lets an agent meet a hostile collector and waits until everything is stored at the real one, which
/// it must reach within `patience`.
#[must_use]
pub fn fall_back(behaviour: &str, patience: Duration) -> FellBack {
    let pair = Pair::new();
    let site = Site::new().with_setting("SERVER__PORT", REAL);
    let collector = site.start_collector();
    let token = done(site.collector(&["token"]).output().unwrap());
    let mut enroll = site.agent(&["enroll", token.trim()]);
    let _report = done(enroll.env("NETMON_AGENT_SERVER__PORT", REAL).output().unwrap());
    let mut hostile = Hostile::start(&site, behaviour);
    let mut run = site.agent(&["run"]);
    run.env("NETMON_AGENT_SERVER__FALLBACKS", format!("127.0.0.1:{REAL}"));
    run.env("NETMON_AGENT_SERVER__MAX_RETRY", "1");
    let mut agent = Running::start(run, &site.dir().join("a.log"));
    wait_until("capture", || agent.log().contains("session begins"));
    pair.bulk(1_000_000);
    assert!(hostile.says().contains("greeted"), "{}", agent.log());
    let greeted = Instant::now();
    wait_for("the real collector", patience, || collector.log().contains("connected"));
    let after = greeted.elapsed();
    pair.bulk(1_000_000);
    pair.wait_for_silence();
    assert!(agent.is_running(), "{}", agent.log());
    let log = agent.log();
    agent.stop();
    collector.stop();
    let all_kept = site.stored("here") == pair.sent_there();
    FellBack { after, all_kept, log }
}

/// The hostile collector; it ends when dropped.
struct Hostile {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Hostile {
    fn start(site: &Site, behaviour: &str) -> Self {
        let mut command = python("hostile_collector.py");
        command.args([behaviour, "8082"]).arg(site.identity()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let mut hostile = Self { child, said };
        let ready = hostile.says();
        assert!(ready.contains("ready"), "{ready}");
        hostile
    }

    /// Reads its next line.
    fn says(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
