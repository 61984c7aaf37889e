//! The testbed: agents in namespaces of their own, with two NICs each to a neighbour and a link to
//! the collectors; collectors in this namespace, over one SQLite file or one PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use testbed::pair::{End, join};
use testbed::{Cluster, Namespace, Running, done, http, program, sh, wait_until};

use crate::plan::{AGENTS, Parts};
use crate::stored::Row;
use crate::traffic::{Flow, Sent, now_ns};

/// NICs of an agent that are measured.
pub const NICS: [&str; 2] = ["d0", "d1"];

/// Size of an agent's data directory, MiB.
const DISK_MIB: u32 = 8;

/// Where what is measured ends up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Store {
    /// SQLite, with one collector.
    Sqlite,
    /// PostgreSQL, with two collectors.
    Postgres,
}

/// A time during which an agent measured nothing, nanoseconds since 1970 (UTC).
#[derive(Debug, Clone, Copy)]
pub struct Outage {
    /// What was not written to the spool by then is lost.
    pub from_ns: u64,
    /// When it was started again.
    pub to_ns: u64,
}

/// An agent with what belongs to it.
#[derive(Debug)]
pub struct Agent {
    number: usize,
    space: Namespace,
    neighbour: Namespace,
    dir: PathBuf,
    running: Option<Running>,
    /// Last number of its address.
    host: u8,
    flows: Vec<Flow>,
    /// When it was killed.
    pub outages: Vec<Outage>,
    /// Since when its disk has been full.
    pub full_since_ns: Option<u64>,
}

/// What a NIC was offered in one direction.
#[derive(Debug)]
pub struct Offered {
    /// Bytes by the sender's qdisc.
    pub bytes: u64,
    /// Every packet.
    pub journal: Vec<Sent>,
}

/// All of it.
#[derive(Debug)]
pub struct World {
    store: Store,
    url: Option<String>,
    /// The database server.
    pub cluster: Option<Cluster>,
    /// The agents.
    pub agents: Vec<Agent>,
    collectors: Vec<Option<Running>>,
    /// The collector that is stopped.
    paused: Option<usize>,
    /// Goes last: all the others have files in it.
    dir: tempfile::TempDir,
}

impl World {
    /// Builds it and starts everything, traffic last.
    #[must_use]
    pub fn new(store: Store, seed: u64) -> Self {
        let dir = tempfile::Builder::new().prefix("netmon-soak-").tempdir().expect("a directory");
        let cluster = (store == Store::Postgres).then(Cluster::start);
        let url = cluster.as_ref().map(Cluster::new_database);
        let mut world =
            Self { dir, store, url, cluster, agents: vec![], collectors: vec![], paused: None };
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
        for (number, agent) in (0..).zip(&mut world.agents) {
            agent.start();
            let log = agent.dir.with_extension("log");
            let captures = |nic| format!(r#""capturing","nic":"{nic}""#);
            wait_until("capture", || {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                NICS.iter().all(|nic| log.contains(&captures(nic)))
            });
            agent.start_traffic(seed ^ (number << 32));
        }
        world
    }

    /// What can go wrong here.
    #[must_use]
    pub const fn parts(&self) -> Parts {
        match self.store {
            Store::Sqlite => Parts { collectors: 1, database: false },
            Store::Postgres => Parts { collectors: 2, database: true },
        }
    }

    /// The URL of the database, if it isn't a file.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Which store it is.
    #[must_use]
    pub const fn store(&self) -> Store {
        self.store
    }

    /// The file of the embedded store.
    #[must_use]
    pub fn sqlite(&self) -> PathBuf {
        self.collector_dir(0).join("netmon.sqlite")
    }

    /// Runs SQL in the database, if it isn't a file.
    pub fn psql(&self, sql: &str) {
        if let (Some(cluster), Some(url)) = (&self.cluster, &self.url) {
            let _rows = cluster.psql(crate::stored::name(url), sql);
        }
    }

    /// Keeps the data, the logs and the rows of the store, and says where.
    #[must_use]
    pub fn keep(&self, rows: &[Row]) -> PathBuf {
        let kept = std::env::temp_dir().join(format!("soak-kept-{}", std::process::id()));
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

    /// Everything that collectors have said.
    #[must_use]
    pub fn collector_logs(&self) -> String {
        (0..self.collectors.len())
            .map(|one| read(&self.collector_dir(one).with_extension("log")))
            .collect()
    }

    /// A collector with arguments.
    #[must_use]
    pub fn collector(&self, number: usize, args: &[&str]) -> Command {
        let mut command = Namespace::own().command(program("collector"));
        command.arg("--data-dir").arg(self.collector_dir(number)).args(args);
        command.env("NETMON_COLLECTOR_SERVER__PORT", (8082 + 10 * number).to_string());
        command.env("NETMON_COLLECTOR_HTTP__PORT", (8083 + 10 * number).to_string());
        if let Some(url) = &self.url {
            command.env("NETMON_COLLECTOR_DATABASE__URL", url);
            // The server is killed, not its host: what it was told is in the kernel's memory.
            command.env("NETMON_COLLECTOR_DATABASE__ALLOW_UNSAFE", "true");
        }
        command
    }

    /// Starts a collector, and waits until it listens.
    pub fn start_collector(&mut self, number: usize) {
        let log = self.collector_dir(number).with_extension("log");
        let running = Running::start(self.collector(number, &["run"]), &log);
        let address = self.http(number);
        wait_until("a collector", || http::get(&address, "/healthz").is_some());
        self.collectors[number] = Some(running);
    }

    /// Where a collector answers over HTTP.
    #[must_use]
    pub fn http(&self, number: usize) -> String {
        format!("127.0.0.1:{}", 8083 + 10 * number)
    }

    /// True if a collector doesn't answer since it was stopped for a while, or isn't there.
    #[must_use]
    pub fn is_silent(&self, number: usize) -> bool {
        self.paused == Some(number) || self.collectors[number].is_none()
    }

    /// Stops a collector (SIGSTOP), or lets it go on.
    pub fn pause_collector(&mut self, number: usize, paused: bool) {
        let signal = if paused { Signal::SIGSTOP } else { Signal::SIGCONT };
        if let Some(running) = &self.collectors[number] {
            running.signal(signal);
            self.paused = paused.then_some(number);
        }
    }

    /// kill -9 of a collector.
    pub fn kill_collector(&mut self, number: usize) {
        if let Some(running) = self.collectors[number].take() {
            running.kill();
        }
    }

    /// Stops the collectors gracefully.
    pub fn stop_collectors(&mut self) {
        self.collectors.iter_mut().filter_map(Option::take).for_each(Running::stop);
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

impl Agent {
    fn new(number: usize, dir: &Path) -> Self {
        let (space, neighbour) = (Namespace::new(), Namespace::new());
        let dir = dir.join(format!("agent-{number}"));
        let net = format!("10.1.{number}");
        let link = format!("m{number}");
        join(
            End { space: &Namespace::own(), dev: &link, net: &net, host: 1 },
            End { space: &space, dev: "mgmt", net: &net, host: 2 },
        );
        for (nic, dev) in (0..).zip(NICS) {
            let net = format!("10.2.{}", 10 * number + nic);
            let far = format!("far{nic}");
            let ends = [(&space, dev, 1), (&neighbour, far.as_str(), 2)];
            let [a, b] = ends.map(|(space, dev, host)| End { space, dev, net: &net, host });
            join(a, b);
            for (space, dev, host) in ends {
                // Somebody whom both ends think behind the other, and who never answers.
                let peer = 3 - host;
                space.sh(&format!(
                    "sysctl -qw net.ipv4.ip_forward=0; \
                     ip neigh add {net}.77 lladdr 02:00:00:00:00:0{peer} dev {dev} nud permanent"
                ));
            }
        }
        let (sample, report, spool) = match number {
            0 => ("100ms", "200ms", "64MiB"),
            _ => ("10ms", "50ms", "1MiB"),
        };
        let place = dir.display();
        sh(&format!("mkdir {place} && mount -t tmpfs -o size={DISK_MIB}m,mode=700 tmpfs {place}"));
        let config = format!(
            "server: {{host: {net}.1, max_retry: 3, retry_interval: 500ms, fallbacks: ['{net}.1:8092']}}\n\
             client: {{id: host-{number}}}\n\
             monitor: {{sample_interval: {sample}, report_interval: {report}, nics: {{exclude: [mgmt]}}}}\n\
             spool: {{max_size: {spool}, max_age: 1m}}\ndata_dir: {place}\n"
        );
        std::fs::write(dir.with_extension("yaml"), config).expect("the directory is writable");
        let (outages, full_since_ns) = (vec![], None);
        Self {
            number,
            space,
            neighbour,
            dir,
            running: None,
            host: 2,
            flows: vec![],
            outages,
            full_since_ns,
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.space.command(program("agent"));
        command.arg("-c").arg(self.dir.with_extension("yaml")).args(args);
        command
    }

    /// The longest that a kill may cost, nanoseconds: the report that isn't written yet, and the
    /// time that a sample waits for late packets.
    #[must_use]
    pub const fn open_interval_ns(&self) -> u64 {
        let (sample_ms, report_ms) = if self.number == 0 { (100, 200) } else { (10, 50) };
        // The hold for late packets is 10 ms; the rest is for a machine with other work.
        (report_ms + sample_ms + 10 + 190) * 1_000_000
    }

    /// The file of its spool.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.dir.join("spool.sqlite")
    }

    /// What it has said.
    #[must_use]
    pub fn log(&self) -> String {
        read(&self.dir.with_extension("log"))
    }

    /// Its process, if it runs.
    pub const fn running(&self) -> Option<&Running> {
        self.running.as_ref()
    }

    /// Starts it.
    pub fn start(&mut self) {
        let log = self.dir.with_extension("log");
        self.running = Some(Running::start(self.command(&["run"]), &log));
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            let from_ns = self.full_since_ns.unwrap_or_else(now_ns);
            running.kill();
            self.outages.push(Outage { from_ns, to_ns: u64::MAX });
        }
    }

    /// Starts it after a kill.
    pub fn start_again(&mut self) {
        self.start();
        if let Some(outage) = self.outages.last_mut() {
            outage.to_ns = now_ns();
        }
    }

    /// Stops it gracefully. True if all it had is in the database.
    pub fn stop(&mut self) -> bool {
        let Some(running) = self.running.take() else { return false };
        let before = running.log().len();
        running.stop();
        !self.log()[before..].contains("the rest is delivered after the next start")
    }

    /// Fills its disk, or makes room again.
    pub fn fill_disk(&mut self, full: bool) {
        let file = self.dir.join("fill");
        let file = file.display();
        if full {
            self.full_since_ns = Some(now_ns());
            sh(&format!("dd if=/dev/zero of={file} bs=4k 2>/dev/null || true"));
        } else {
            self.full_since_ns = None;
            sh(&format!("rm -f {file}"));
        }
    }

    /// Gives it another address.
    pub fn change_address(&mut self) {
        let (net, old) = (format!("10.1.{}", self.number), self.host);
        self.host = if old < 250 { old + 1 } else { 2 };
        let new = self.host;
        self.space.sh(&format!(
            "ip addr del {net}.{old}/24 dev mgmt && ip addr add {net}.{new}/24 dev mgmt"
        ));
    }

    fn start_traffic(&mut self, seed: u64) {
        for nic in 0..NICS.len() {
            let net = format!("10.2.{}", 10 * self.number + nic);
            let flow = |space, host, salt: u64| {
                let (source, target) = (format!("{net}.{host}"), format!("{net}.77"));
                Flow::start(space, &source, &target, seed ^ ((nic as u64) << 16) ^ salt)
            };
            self.flows.extend([flow(&self.neighbour, 2, 1), flow(&self.space, 1, 2)]);
        }
    }

    /// Ends the traffic. Gives what each NIC was offered, received and transmitted.
    pub fn stop_traffic(&mut self) -> Vec<[Offered; 2]> {
        let mut journals = self.flows.drain(..).map(Flow::stop);
        let mut offered = Vec::new();
        for (nic, dev) in NICS.iter().enumerate() {
            let mut of = |space: &Namespace, dev: &str| {
                let journal = journals.next().unwrap_or_default();
                Offered { bytes: space.sent(dev).0, journal }
            };
            offered.push([of(&self.neighbour, &format!("far{nic}")), of(&self.space, dev)]);
        }
        offered
    }
}
