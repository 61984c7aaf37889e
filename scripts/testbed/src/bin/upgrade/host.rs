//! A host with an agent and a collector, of either version, and traffic.

use std::fmt;
use std::path::{Path, PathBuf};

use testbed::http::{HTTP, is_ready};
use testbed::{Cluster, Pair, Running, Site, done, get, spool, wait_until};

/// Bytes of each portion of traffic: seconds of samples, and a fraction of a second to send.
const PORTION: u64 = 20_000_000;

/// Reasons of gaps in what was measured.
const LOSSES: [&str; 5] = ["spool_full", "spool_damaged", "forgotten", "forked", "misdated"];

/// What the collector stores in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Store {
    /// The embedded store.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
}

impl Store {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];

    /// As on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}

/// Which version of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The one that is upgraded.
    Old,
    /// This one.
    New,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Old => "old",
            Self::New => "new",
        })
    }
}

/// The host. Its programs end before its database.
#[derive(Debug)]
pub struct Host {
    old: PathBuf,
    collector: Option<Running>,
    agent: Option<Running>,
    starts: u32,
    site: Site,
    pair: Pair,
    _cluster: Option<Cluster>,
}

impl Host {
    /// Makes it, with nothing started.
    pub fn new(store: Store, old: &Path) -> Self {
        let cluster = (store == Store::Postgres).then(Cluster::start_plain);
        let site = |it: &Cluster| Site::with_database(&it.new_database());
        Self {
            old: old.to_owned(),
            collector: None,
            agent: None,
            starts: 0,
            site: cluster.as_ref().map_or_else(Site::new, site),
            pair: Pair::new(),
            _cluster: cluster,
        }
    }

    fn from(&self, version: Version) -> Option<PathBuf> {
        (version == Version::Old).then(|| self.old.clone())
    }

    /// A log of its own for each start.
    fn next_log(&mut self) -> PathBuf {
        self.starts += 1;
        self.site.dir().join(format!("{}.log", self.starts))
    }

    /// Starts a collector without waiting.
    fn launch_collector(&mut self, version: Version) -> Running {
        self.site.take_collector(self.from(version).as_deref());
        let log = self.next_log();
        Running::start(self.site.collector(&["run"]), &log)
    }

    /// Starts a collector and waits until it is ready.
    pub fn start_collector(&mut self, version: Version) {
        self.collector = Some(self.launch_collector(version));
        wait_until("a collector that is ready", || is_ready(HTTP));
    }

    /// Starts a collector that may find its store too new. Returns what it says then, and ends it; a
    /// collector that is ready returns `None` and stays.
    pub fn try_collector(&mut self, version: Version) -> Option<String> {
        let mut collector = self.launch_collector(version);
        let mut said = None;
        wait_until("a collector that is ready or says that its store is newer", || {
            if !collector.is_running() {
                said = Some(format!("ends: {}", last_line(&collector.log())));
            } else if let Some(answer) = get(HTTP, "/readyz").filter(|it| it.contains("newer")) {
                said = Some(format!("runs, /readyz says: {}", last_line(&answer)));
            }
            said.is_some() || is_ready(HTTP)
        });
        if said.is_none() {
            self.collector = Some(collector);
        }
        said
    }

    /// Stops the collector.
    pub fn stop_collector(&mut self) {
        self.collector.take().unwrap().stop();
    }

    /// Enrols the host.
    pub fn enroll(&self) {
        self.site.enroll();
    }

    fn launch_agent(&mut self, version: Version) -> Running {
        self.site.take_agent(self.from(version).as_deref());
        let log = self.next_log();
        Running::start(self.site.agent(&["run"]), &log)
    }

    /// Starts an agent and waits until it captures.
    pub fn start_agent(&mut self, version: Version) {
        assert_eq!(self.try_agent(version), None);
    }

    /// Starts an agent that may find its spool too new. Returns what it says then; an agent that
    /// captures returns `None` and stays.
    pub fn try_agent(&mut self, version: Version) -> Option<String> {
        let mut agent = self.launch_agent(version);
        let mut runs = true;
        wait_until("an agent that captures or ends", || {
            runs = agent.is_running();
            !runs || agent.log().contains("session begins")
        });
        if runs {
            self.agent = Some(agent);
            return None;
        }
        Some(format!("ends: {}", last_line(&agent.log())))
    }

    /// Stops the agent. Without a collector it keeps what it has not delivered; its time to stop may run
    /// out then.
    pub fn stop_agent(&mut self) {
        let _in_time = self.agent.take().unwrap().stops();
    }

    /// Warnings of the agent since its start.
    pub fn agents_warnings(&self) -> Vec<String> {
        let log = self.agent.as_ref().unwrap().log();
        log.lines().filter(|line| line.contains("WARN")).map(str::to_owned).collect()
    }

    /// Sends a portion of traffic to the host.
    pub fn send(&self) {
        self.pair.bulk(PORTION);
        self.pair.wait_for_silence();
    }

    /// Bytes and packets that were sent to the host, as the kernel counted them.
    pub fn sent(&self) -> (u64, u64) {
        self.pair.sent_there()
    }

    /// Bytes and packets in the store, which the collector proves.
    pub fn stored(&self) -> (u64, u64) {
        self.site.stored("here")
    }

    /// Waits until the store holds what was sent.
    pub fn wait_until_stored(&self) -> String {
        wait_until("all in the store", || self.stored() == self.sent());
        let (bytes, packets) = self.sent();
        format!("{bytes} bytes in {packets} packets sent and stored; fsck finds no fault")
    }

    /// Frames in the spool that no collector has committed.
    pub fn spooled(&self) -> i64 {
        let mut frames = None;
        wait_until("a look into the spool", || {
            frames = spool::look(&self.site.dir().join("agent/spool.sqlite"), |db| {
                let waiting = "SELECT count(*) FROM records JOIN sessions USING (session)
                               WHERE records.last_seq > committed_seq";
                db.query_row(waiting, [], |row| row.get(0))
            });
            frames.is_some()
        });
        frames.unwrap()
    }

    /// What a command of a collector prints; it may fail.
    pub fn ask_collector(&mut self, version: Version, args: &[&str]) -> String {
        self.site.take_collector(self.from(version).as_deref());
        let output = self.site.collector(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Rows of gaps that stand for lost samples.
    pub fn losses(&self) -> Vec<String> {
        let args = ["export", "--client", "host-1", "--nic", "here"];
        let rows = done(self.site.collector(&args).output().unwrap());
        let lost = rows.lines().filter(|row| LOSSES.iter().any(|reason| row.contains(reason)));
        lost.map(str::to_owned).collect()
    }
}

fn last_line(text: &str) -> &str {
    text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing")
}
