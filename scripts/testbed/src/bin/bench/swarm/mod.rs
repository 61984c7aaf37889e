//! `bench swarm`: many agents against one collector, from one process.
//!
//! The agents use the agent's own connection and delivery code; only their NICs and spools are
//! simulated. They share this machine with the collector and its database.

mod agents;
mod json;
mod pki;
mod shown;
mod spool;
pub mod traffic;

use std::path::Path;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use testbed::http::{HTTP, is_ready};
use testbed::{Cluster, Running, Site, wait_for, wait_until};

use self::agents::{Carried, Size, Swarm, client};
use self::pki::Pki;
use self::spool::Account;
use super::process::{cpu_ns, memory, own_cpu_ns};
use super::space::in_own_namespace;
use super::table::{met, quantiles};

/// Options of the benchmark.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Simulated agents
    #[arg(long, default_value_t = 500)]
    agents: u32,
    /// NICs of each
    #[arg(long, default_value_t = 2)]
    nics: u32,
    /// Milliseconds per sample
    #[arg(long, default_value_t = 500)]
    interval: u32,
    /// Milliseconds per report
    #[arg(long, default_value_t = 1000)]
    report: u32,
    /// Seconds to measure
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// The store of the collector
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["sqlite", "postgresql"])]
    store: Vec<Store>,
}

/// The store of the collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Store {
    Sqlite,
    Postgresql,
}

/// Longest wait for any step without its own limit.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs a swarm on each store, in its own network namespace.
///
/// # Errors
/// Fails if a program, a namespace or a database is missing.
pub fn run(options: &Options) -> anyhow::Result<()> {
    if !in_own_namespace()? {
        return Ok(());
    }
    let json = json::bytes_per_sample(options.nics, options.report / options.interval.max(1))?;
    for store in &options.store {
        one(options, *store, json)?;
    }
    Ok(())
}

fn one(options: &Options, store: Store, json: f64) -> anyhow::Result<()> {
    let site = Site::new();
    let cluster = (store == Store::Postgresql).then(Cluster::start);
    let url = cluster.as_ref().map(Cluster::new_database);
    let pki = Pki::new(&site.dir().join("pki"))?;
    let start = || -> anyhow::Result<Running> {
        let mut command = site.collector(&["run"]);
        configure(&mut command, &pki, url.as_deref())?;
        command.env("NETMON_COLLECTOR_LOG__LEVEL", "warn");
        let collector = Running::start(command, &site.dir().join("c.log"));
        wait_until("the collector", || is_ready(HTTP));
        Ok(collector)
    };
    let collector = start()?;
    let empty_store = stored_bytes(&site, cluster.as_ref(), url.as_deref());
    let size = Size {
        agents: options.agents,
        nics: options.nics,
        interval: Duration::from_millis(options.interval.into()),
        report: Duration::from_millis(options.report.into()),
    };
    let name = if store == Store::Sqlite { "SQLite" } else { "PostgreSQL (fsync = off)" };
    println!(
        "\n{name}: {} agents x {} NICs, a sample every {} ms, a report every {} ms",
        size.agents, size.nics, options.interval, options.report
    );

    let empty = memory(collector.pid()).resident();
    let begun = Instant::now();
    let before = cpu_of_all(&collector, cluster.as_ref());
    let swarm = Swarm::start(size, &pki)?;
    println!(
        "certificates of {} agents made in {:.1} s",
        size.agents,
        begun.elapsed().as_secs_f64()
    );
    let used = || cpu_of_all(&collector, cluster.as_ref());
    println!("first connection of all: {}", all_welcomed(&swarm, size.agents, before, used));
    std::thread::sleep(Duration::from_secs(3));

    let steady = steady(options, &collector, cluster.as_ref(), &swarm);
    let per_agent = memory(collector.pid()).resident().saturating_sub(empty);

    collector.kill();
    wait_for("all connections to break", PATIENCE, || swarm.welcomed() == 0);
    let collector = start()?;
    let used = || cpu_of_all(&collector, cluster.as_ref());
    let before = used();
    println!(
        "reconnection of all after a crash: {}",
        all_welcomed(&swarm, size.agents, before, used)
    );
    std::thread::sleep(Duration::from_secs(2));

    let account = swarm.finish(PATIENCE);
    let account =
        account.ok_or_else(|| anyhow::anyhow!("reports are undelivered:\n{}", collector.log()))?;
    collector.stop();
    steady.print(&account, per_agent, size, json);
    let grown = stored_bytes(&site, cluster.as_ref(), url.as_deref()).saturating_sub(empty_store);
    println!(
        "store: {} bytes per sample with rollups, mixes and indexes",
        grown / account.samples.max(1)
    );
    let mut fsck = site.collector(&["fsck"]);
    configure(&mut fsck, &pki, url.as_deref())?;
    let report = testbed::done(fsck.output()?);
    let nics = report.lines().filter(|line| line.contains(" eth"));
    // client nic: N bytes ...
    let stored: u64 =
        nics.filter_map(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok()).sum();
    println!(
        "{} samples made with {} bytes received; fsck finds {stored} stored: {}",
        account.samples,
        account.rx_bytes,
        met(stored == account.rx_bytes)
    );
    Ok(())
}

/// Size of the store on disk, bytes.
fn stored_bytes(site: &Site, cluster: Option<&Cluster>, url: Option<&str>) -> u64 {
    if let (Some(cluster), Some(url)) = (cluster, url) {
        let name = url.rsplit('=').next().unwrap_or_default();
        let size = cluster.psql(name, "SELECT pg_database_size(current_database())");
        return size.trim().parse().unwrap_or(0);
    }
    let len =
        |name| std::fs::metadata(site.dir().join("collector").join(name)).map_or(0, |it| it.len());
    len("netmon.sqlite") + len("netmon.sqlite-wal")
}

fn configure(
    command: &mut std::process::Command,
    pki: &Pki,
    url: Option<&str>,
) -> anyhow::Result<()> {
    let files = pki.collector()?;
    let set = |command: &mut std::process::Command, key: &str, value: &Path| {
        command.env(format!("NETMON_COLLECTOR_{key}"), value);
    };
    set(command, "TLS__CA", &files.ca);
    set(command, "TLS__CERT", &files.cert);
    set(command, "TLS__KEY", &files.key);
    if let Some(url) = url {
        command.env("NETMON_COLLECTOR_DATABASE__URL", url);
        command.env("NETMON_COLLECTOR_DATABASE__ALLOW_UNSAFE", "true");
    }
    Ok(())
}

/// Waits until all agents are welcomed. Says how long that took, and what each cost since `before`.
fn all_welcomed(
    swarm: &Swarm,
    agents: u32,
    before: [u64; 3],
    used: impl Fn() -> [u64; 3],
) -> String {
    let start = Instant::now();
    wait_for("all agents to be welcomed", PATIENCE, || swarm.welcomed() == agents as usize);
    let (took, after) = (start.elapsed().as_secs_f64(), used());
    #[allow(clippy::cast_precision_loss, reason = "far from 2^53")]
    let each = |part: usize| (after[part] - before[part]) as f64 / f64::from(agents) / 1e6;
    let [collector, database, own] = [0, 1, 2].map(each);
    // If the swarm had CPUs of its own.
    let alone = (collector + database) * 10_000.0 / 1000.0 / 2.0;
    format!(
        "{took:.2} s; CPU per agent: collector {collector:.2} ms, database {database:.2} ms, swarm \
         {own:.2} ms; so 10,000 take collector and database {alone:.1} s of two cores"
    )
}

/// CPU time of collector, database and this process so far, nanoseconds.
fn cpu_of_all(collector: &Running, cluster: Option<&Cluster>) -> [u64; 3] {
    let database = cluster.map_or(0, |cluster| cpu_ns(cluster.pid()));
    [cpu_ns(collector.pid()), database, own_cpu_ns()]
}

/// Measurements of a period in which only samples arrive.
struct Steady {
    from: Instant,
    until: Instant,
    carried: Carried,
    /// CPU time of collector, database and this process, nanoseconds.
    cpu_ns: [u64; 3],
    shown: Vec<f64>,
}

fn steady(
    options: &Options,
    collector: &Running,
    cluster: Option<&Cluster>,
    swarm: &Swarm,
) -> Steady {
    let used = || cpu_of_all(collector, cluster);
    let shown = shown::listen(HTTP, client(0));
    let (from, carried, before) = (Instant::now(), swarm.carried(), used());
    std::thread::sleep(Duration::from_secs(options.seconds.into()));
    let (until, after, now) = (Instant::now(), used(), swarm.carried());
    let cpu_ns = std::array::from_fn(|part| after[part].saturating_sub(before[part]));
    let carried =
        Carried { bytes: now.bytes - carried.bytes, datagrams: now.datagrams - carried.datagrams };
    Steady { from, until, carried, cpu_ns, shown: shown.stop() }
}

impl Steady {
    #[allow(clippy::cast_precision_loss, reason = "far from 2^53")]
    fn print(&self, account: &Account, per_agent: u64, size: Size, json: f64) {
        let seconds = (self.until - self.from).as_secs_f64();
        let commits = account.commits.iter().filter(|it| (self.from..self.until).contains(&it.at));
        let samples = commits.clone().map(|commit| commit.samples).sum::<usize>() as f64;
        let commits = commits.map(|commit| commit.took.as_secs_f64() * 1000.0).collect();
        let [collector, database, own] = self.cpu_ns.map(|ns| ns as f64);
        let core = |ns: f64| ns / seconds / 1e7;
        println!("committed: {:.0} samples/s", samples / seconds);
        println!(
            "CPU: collector {:.1} % of a core, database {:.1} %, swarm {:.1} %",
            core(collector),
            core(database),
            core(own)
        );
        println!(
            "CPU per sample: collector {:.1} us, database {:.1} us: {:.0} samples/s per core",
            collector / samples / 1000.0,
            database / samples / 1000.0,
            samples / (collector + database) * 1e9
        );
        println!(
            "collector's memory per agent: {:.1} KiB",
            per_agent as f64 / f64::from(size.agents) / 1024.0
        );
        println!("from making a report to its acknowledged commit, ms: {}", quantiles(commits));
        println!(
            "from the end of a sample until a page receives it, ms: {}",
            quantiles(self.shown.clone())
        );
        let wire = self.carried.bytes as f64 / samples;
        println!(
            "on the wire: {wire:.0} bytes per sample, both ways, IP headers included; as JSON by a \
             stream per report {json:.0}; ratio {:.2}, target at most 0.20: {}",
            wire / json,
            met(wire / json <= 0.20)
        );
        let behind = account.behind.as_secs_f64() * 1000.0;
        if behind > 200.0 {
            println!("the swarm itself fell behind by {behind:.0} ms: this machine is overloaded");
        }
    }
}
