//! A collector under attack: how much honest agents notice, and what the attack costs the collector.
//!
//! The attacks and one honest agent are Python programs that speak QUIC with aioquic
//! (`collector/tests/hostile/`). The other honest agent is the real one, on its own link.

mod fallback;
mod honest;
mod python;
mod watcher;

use serde_json::{Value, json};

pub use self::fallback::{BEHAVIOURS, FellBack, fall_back};
use self::honest::{Honest, Report};
use self::python::now;
pub use self::python::{aioquic, python};
use self::watcher::Watcher;
pub use self::watcher::{Ready, Use};
use crate::pair::Pair;
use crate::patience::wait_until;
use crate::process::{Running, done};
use crate::site::Site;

/// Bytes that the real agent sees before each attack, and again after it.
const BYTES: u64 = 100_000;

/// A collector, two honest agents, and the measurements of them. Runs in its own namespace.
#[derive(Debug)]
pub struct Siege {
    /// Directory of their data.
    pub site: Site,
    collector: Running,
    agent: Running,
    pair: Pair,
    honest: Honest,
    watcher: Watcher,
    /// When the first attack was prepared, and when it started.
    prepared: f64,
    began: f64,
    before: Use,
    said: Vec<Value>,
}

/// The cost of attacks.
#[derive(Debug)]
pub struct Cost {
    /// Milliseconds from making each report of the honest agent to its known commit, before the attack.
    pub quiet_ms: Vec<f64>,
    /// The same, from the start of the attack on.
    pub during_ms: Vec<f64>,
    /// Reports of the honest agent that never were committed.
    pub never: usize,
    /// What the collector used before the attack.
    pub before: Use,
    /// The largest of each figure since then.
    pub most: Use,
    /// CPU time of the collector since then, in cores.
    pub cores: f64,
    /// Answers of `/readyz` since then.
    pub ready: Ready,
    /// Output of the attacks.
    pub said: Vec<Value>,
    /// What the honest agents made, and how much of it is stored.
    pub kept: [Kept; 2],
    /// Output of `collector fsck`.
    pub fsck: String,
    /// True if both programs stopped in time when asked.
    pub stopped: bool,
    /// Log of the collector.
    pub log: String,
}

/// What an honest agent made, and how much of it is stored.
#[derive(Debug, PartialEq, Eq)]
pub struct Kept {
    /// Client and NIC.
    pub of: &'static str,
    /// Bytes received, as the agent made them.
    pub made: u64,
    /// Bytes received, as `collector fsck` reports them; `None` if it doesn't list the NIC.
    pub stored: Option<u64>,
}

impl Siege {
    /// Starts everything on a site and waits until both honest agents have delivered.
    #[must_use]
    pub fn begin(site: Site) -> Self {
        let pair = Pair::new();
        let collector = site.start_collector();
        site.enroll();
        let agent = site.start_agent();
        let honest = Honest::start(&site);
        let watcher = Watcher::start(collector.pid(), &site.collector_data());
        let goes_on = ["capturing", "connected"];
        wait_until("the real agent", || goes_on.iter().all(|it| agent.log().contains(it)));
        let before = watcher.now();
        let (prepared, began, said) = (f64::INFINITY, f64::INFINITY, Vec::new());
        Self { site, collector, agent, pair, honest, watcher, prepared, began, before, said }
    }

    /// Runs an attack for at most `seconds`. A `scale` of 1 is a real attacker's strength. Returns the
    /// attack's output.
    pub fn attack(&mut self, name: &str, seconds: f64, scale: f64) -> Value {
        self.prepared = self.prepared.min(now());
        self.pair.bulk(BYTES);
        let said = attack(&self.site, name, seconds, scale);
        if self.began.is_infinite() {
            self.began = said["began"].as_f64().unwrap();
            self.before = self.watcher.at(self.began);
        }
        self.pair.bulk(BYTES);
        self.said.push(said.clone());
        said
    }

    /// The running collector.
    #[must_use]
    pub const fn collector(&self) -> &Running {
        &self.collector
    }

    /// Stops everything once the honest agents have delivered everything.
    #[must_use]
    pub fn end(self) -> Cost {
        let Self { site, collector, agent, pair, honest, watcher, prepared, began, before, said } =
            self;
        let heard = honest.end();
        let (most, cores, ready) = watcher.since(began);
        pair.wait_for_silence();
        let agent_stopped = agent.stops();
        let (sent, _) = pair.sent_there();
        drop(watcher);
        let log = collector.log();
        let stopped = agent_stopped && collector.stops();
        let fsck = site.collector(&["fsck"]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fsck = text(&fsck.stdout) + &text(&fsck.stderr);
        let kept = [("honest eth0", heard.bytes), ("host-1 here", sent)].map(|(of, made)| {
            let line = fsck.lines().find_map(|line| line.strip_prefix(of)?.strip_prefix(": "));
            // received N bytes ...
            let stored = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
            Kept { of, made, stored }
        });
        let took = |from: f64, until: f64| {
            let within = |report: &&Report| from <= report.made && report.made < until;
            heard.reports.iter().filter(within).map(|report| report.took_ms).collect()
        };
        let never = heard.reports.iter().filter(|report| report.never).count();
        let (quiet_ms, during_ms) = (took(0.0, prepared), took(began, f64::INFINITY));
        Cost {
            quiet_ms,
            during_ms,
            never,
            before,
            most,
            cores,
            ready,
            said,
            kept,
            fsck,
            stopped,
            log,
        }
    }
}

impl Kept {
    fn client(&self) -> &str {
        self.of.split(' ').next().unwrap_or_default()
    }
}

impl Cost {
    /// True if nothing of the honest agents is missing or doubled, `collector fsck` finds no fault with
    /// them (it may with the attacker), and everything stopped when asked.
    #[must_use]
    pub fn all_kept(&self) -> bool {
        let accused = |line: &str| {
            self.kept.iter().any(|it| line.starts_with(&format!("client {},", it.client())))
        };
        self.never == 0
            && self.stopped
            && !self.fsck.lines().any(accused)
            && self.kept.iter().all(|it| it.stored == Some(it.made))
    }
}

/// Runs an attack on a collector and returns the attack's output.
#[must_use]
pub fn attack(site: &Site, name: &str, seconds: f64, scale: f64) -> Value {
    let collector = site.collector(&[]);
    let words = std::iter::once(collector.get_program()).chain(collector.get_args());
    let words: Vec<String> = words.map(|it| it.to_string_lossy().into_owned()).collect();
    let stage = json!({
        "host": "127.0.0.1", "port": 8082, "seconds": seconds, "scale": scale,
        "identity": site.identity(), "collector": words,
        "store": site.collector_data().join("netmon.sqlite"),
    });
    let mut attack = python("attacks.py");
    attack.args([name, &stage.to_string()]);
    attack.envs(collector.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let said = done(attack.output().unwrap());
    serde_json::from_str(said.trim()).unwrap_or_else(|error| panic!("{name}: {error}: {said}"))
}
