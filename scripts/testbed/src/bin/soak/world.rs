//! The testbed: agents, and collectors in this namespace over one SQLite file or one PostgreSQL.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testbed::{Clock, Cluster, Namespace, Running, done, http, program, sh, wait_until};

use crate::agent::{Agent, log_of};
use crate::plan::{AGENTS, Parts};
use crate::stored::Row;

/// How far the collectors' clock is ahead, nanoseconds: what they pack, by the hour, is all that they have.
const AHEAD_NS: i64 = 2 * 3_600_000_000_000;

/// The least age of packed samples.
const HOT: &str = "1h";

/// The store that receives the measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Store {
    /// SQLite, with one collector.
    Sqlite,
    /// PostgreSQL, with two collectors.
    Postgres,
}

/// The whole testbed.
#[derive(Debug)]
pub struct World {
    store: Store,
    url: Option<String>,
    /// The database server.
    pub cluster: Option<Cluster>,
    /// The agents.
    pub agents: Vec<Agent>,
    /// True if clocks are wrong in this run.
    pub clocks: bool,
    /// The clocks of the collectors' host, as the collectors read them.
    clock: Clock,
    /// The longest graceful stop of a collector.
    pub slowest_stop: Duration,
    collectors: Vec<Option<Running>>,
    /// The paused collector.
    paused: Option<usize>,
    /// Dropped last: the other fields have files in it.
    dir: tempfile::TempDir,
}

impl World {
    /// Builds the testbed and starts everything, traffic last.
    #[must_use]
    pub fn new(store: Store, seed: u64, clocks: bool) -> Self {
        let dir = tempfile::Builder::new().prefix("netmon-soak-").tempdir().expect("a directory");
        let cluster = (store == Store::Postgres).then(Cluster::start);
        let url = cluster.as_ref().map(Cluster::new_database);
        let mut world = Self {
            store,
            url,
            cluster,
            agents: vec![],
            clocks,
            clock: Clock::new(dir.path(), "collectors"),
            slowest_stop: Duration::ZERO,
            collectors: vec![],
            paused: None,
            dir,
        };
        world.collectors.resize_with(world.parts().collectors, || None);
        world.start_collector(0);
        for number in 0..AGENTS {
            let agent = Agent::new(number, world.dir.path());
            let token = done(world.collector(0, &["token"]).output().expect("the collector"));
            let enrolled = agent.command(&["enroll", token.trim()]).output();
            let _report = done(enrolled.expect("the agent"));
            world.agents.push(agent);
        }
        for other in 1..world.collectors.len() {
            // Collectors behind one name share an identity.
            let [from, to] = [0, other].map(|number| world.collector_dir(number));
            sh(&format!(
                "mkdir -p {to} && cp -a {from}/identity {to}/",
                to = to.display(),
                from = from.display()
            ));
            world.start_collector(other);
        }
        // Not before: certificates would hold later only.
        world.set_clock(0);
        for (number, agent) in (0..).zip(&mut world.agents) {
            agent.start();
            agent.wait_for_capture(0);
            agent.start_traffic(seed ^ (number << 32));
        }
        world
    }

    /// The parts that faults can hit.
    #[must_use]
    pub const fn parts(&self) -> Parts {
        match self.store {
            Store::Sqlite => Parts { collectors: 1, database: false },
            Store::Postgres => Parts { collectors: 2, database: true },
        }
    }

    /// URL of the database server; `None` for SQLite.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// The kind of store.
    #[must_use]
    pub const fn store(&self) -> Store {
        self.store
    }

    /// The file of the embedded store.
    #[must_use]
    pub fn sqlite(&self) -> PathBuf {
        self.collector_dir(0).join("netmon.sqlite")
    }

    /// Runs SQL on the database server, if there is one.
    pub fn psql(&self, sql: &str) {
        if let (Some(cluster), Some(url)) = (&self.cluster, &self.url) {
            let _rows = cluster.psql(crate::stored::name(url), sql);
        }
    }

    /// Keeps data, logs and stored rows, and returns their path.
    #[must_use]
    pub fn keep(&self, seed: u64, rows: &[Row]) -> PathBuf {
        let name = format!("soak-kept-{}-{seed}", std::process::id());
        let kept = std::env::temp_dir().join(name);
        sh(&format!("rm -rf {0} && cp -a {1} {0}", kept.display(), self.dir.path().display()));
        let rows: String = rows.iter().map(|row| format!("{row:?}\n")).collect();
        std::fs::write(kept.join("rows"), rows).expect("the directory is writable");
        kept
    }

    /// The data directory of a collector.
    #[must_use]
    pub fn collector_dir(&self, number: usize) -> PathBuf {
        self.dir.path().join(format!("collector-{number}"))
    }

    /// The logs of all collectors.
    #[must_use]
    pub fn collector_logs(&self) -> String {
        (0..self.collectors.len()).map(|one| log_of(&self.collector_dir(one))).collect()
    }

    /// A collector with arguments.
    #[must_use]
    pub fn collector(&self, number: usize, args: &[&str]) -> Command {
        let mut command = Namespace::own().command(program("collector"));
        command.arg("--data-dir").arg(self.collector_dir(number)).args(args);
        command.env("NETMON_COLLECTOR_SERVER__PORT", (8082 + 10 * number).to_string());
        command.env("NETMON_COLLECTOR_HTTP__PORT", (8083 + 10 * number).to_string());
        command.env("NETMON_COLLECTOR_RETENTION__HOT", HOT);
        if let Some(url) = &self.url {
            command.env("NETMON_COLLECTOR_DATABASE__URL", url);
            // The faults kill the server, not its host: writes survive in the kernel's memory.
            command.env("NETMON_COLLECTOR_DATABASE__ALLOW_UNSAFE", "true");
        }
        command
    }

    /// Starts a collector and waits until it listens.
    pub fn start_collector(&mut self, number: usize) {
        let log = self.collector_dir(number).with_extension("log");
        let mut command = self.collector(number, &["run"]);
        self.clock.apply(&mut command);
        let running = Running::start(command, &log);
        let address = self.http(number);
        wait_until("a collector", || http::get(&address, "/healthz").is_some());
        self.collectors[number] = Some(running);
    }

    /// Sets how far the collectors' clock is off in this run, nanoseconds.
    pub fn set_clock(&mut self, by: i64) {
        self.clock.set(AHEAD_NS + by);
    }

    /// Lets all collectors pack what they have: at a reload they don't wait for the next minute.
    pub fn pack(&self) {
        for running in self.collectors.iter().flatten() {
            running.signal(Signal::SIGHUP);
        }
    }

    /// HTTP address of a collector.
    #[must_use]
    pub fn http(&self, number: usize) -> String {
        format!("127.0.0.1:{}", 8083 + 10 * number)
    }

    /// True if a collector is paused or down.
    #[must_use]
    pub fn is_silent(&self, number: usize) -> bool {
        self.paused == Some(number) || self.collectors[number].is_none()
    }

    /// Pauses a collector (SIGSTOP) or resumes it.
    pub fn pause_collector(&mut self, number: usize, paused: bool) {
        let signal = if paused { Signal::SIGSTOP } else { Signal::SIGCONT };
        if let Some(running) = &self.collectors[number] {
            running.signal(signal);
            self.paused = paused.then_some(number);
        }
    }

    /// Kills a collector (SIGKILL).
    pub fn kill_collector(&mut self, number: usize) {
        if let Some(running) = self.collectors[number].take() {
            running.kill();
        }
    }

    /// Stops the collectors gracefully.
    pub fn stop_collectors(&mut self) {
        for running in self.collectors.iter_mut().filter_map(Option::take) {
            let told = Instant::now();
            running.stop();
            self.slowest_stop = self.slowest_stop.max(told.elapsed());
        }
    }
}
