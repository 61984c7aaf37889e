//! Citus: the rate of the same commits beside one PostgreSQL, by number of shards; the cost of a
//! commit, a shard and a row; and an estimate for more workers.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use collector::store::Commit;
use collector::store::postgres::{Authorities, PostgresConfig, PostgresStore};
use testbed::{Cluster, done, program};

use super::agents::Agents;
use super::postgres::FILLED;
use super::ways::Options;
use crate::process::cpu_ns_with_ended;
use crate::table::{Table, least, met};

/// Shards of each table.
const SHARDS: [u32; 3] = [4, 8, 32];

/// Samples of each NIC in a batch. The first is 20,000 rows of 100 clients, a full commit of a writer
/// on Citus. The second is small and shows what a commit costs without its rows.
const PLAIN: u64 = 100;
const LARGE: u64 = 400;
const SMALL: u64 = 2;

/// Lowest acceptable share of one PostgreSQL's rate on the same cores.
const TARGET: f64 = 0.6;

/// A PostgreSQL, or a Citus with this many shards.
struct Place {
    cluster: Cluster,
    name: String,
    store: PostgresStore,
    shards: u32,
    /// Each round opens new sessions.
    runs: u32,
}

/// Runs `collector migrate`, which makes the tables with this many shards.
fn migrate(url: &str, shards: u32) -> anyhow::Result<()> {
    let mut command = Command::new(program("collector"));
    command.env("NETMON_COLLECTOR_DATABASE__URL", url).arg("migrate");
    command.env("NETMON_COLLECTOR_DATABASE__CITUS__SHARDS", shards.to_string());
    let said = done(command.output()?);
    anyhow::ensure!(said.contains(&format!("{shards} shards")), "{said}");
    Ok(())
}

/// Cost of one row.
#[derive(Debug, Clone, Copy)]
struct Cost {
    /// Microseconds from first to last commit.
    time: f64,
    /// CPU of the coordinator, or of the server, microseconds.
    coordinator: f64,
    /// CPU of all workers, microseconds.
    workers: f64,
}

impl Place {
    fn new(cluster: Cluster, shards: u32) -> anyhow::Result<Self> {
        for node in cluster.workers().iter().chain([&cluster]) {
            let _set = node.psql("postgres", "ALTER SYSTEM SET max_wal_size = '8GB'");
            let _told = node.psql("postgres", "SELECT pg_reload_conf()");
        }
        let url = cluster.new_database();
        let name = url.rsplit('=').next().unwrap_or_default().to_owned();
        if shards > 0 {
            migrate(&url, shards)?;
        }
        let config = PostgresConfig::new(url.parse()?, Authorities::System)?.with_unsafe_commits();
        Ok(Self { cluster, name, store: PostgresStore::new(config), shards, runs: 0 })
    }

    fn cpu_ns(&self) -> [u64; 2] {
        let workers = self.cluster.workers().iter().map(|node| cpu_ns_with_ended(node.pid()));
        [cpu_ns_with_ended(self.cluster.pid()), workers.sum()]
    }

    /// Commits `minutes` minutes of the agents, in batches of `samples` samples of each NIC.
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    async fn commits(&mut self, clients: u64, minutes: u64, samples: u64) -> anyhow::Result<Cost> {
        self.runs += 1;
        let agents = Agents::new(&self.store, clients, self.runs.into(), false).await?;
        let batches = agents.batches_of(minutes, samples).collect::<anyhow::Result<Vec<_>>>()?;
        let (begun, before) = (Instant::now(), self.cpu_ns());
        for batch in batches {
            self.store.commit(&batch).await?;
        }
        let (time, after) = (begun.elapsed(), self.cpu_ns());
        for table in FILLED {
            let _emptied = self.cluster.psql(&self.name, &format!("TRUNCATE {table}"));
        }
        for node in self.cluster.workers().iter().chain([&self.cluster]) {
            let _written = node.psql("postgres", "CHECKPOINT");
        }
        let rows = Agents::rows(clients, minutes) as f64;
        let each = |ns: u64| ns as f64 / 1000.0 / rows;
        Ok(Cost {
            time: micros(time) / rows,
            coordinator: each(after[0].saturating_sub(before[0])),
            workers: each(after[1].saturating_sub(before[1])),
        })
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The least of each figure over all rounds: other work on this machine only adds.
fn best(rounds: &[Cost]) -> Cost {
    let of = |figure: fn(&Cost) -> f64| least(&rounds.iter().map(figure).collect::<Vec<_>>());
    Cost {
        time: of(|cost| cost.time),
        coordinator: of(|cost| cost.coordinator),
        workers: of(|cost| cost.workers),
    }
}

/// Measures all places in turns, and prints their rates and the estimate.
pub async fn rates(options: &Options, programs: &Path) -> anyhow::Result<()> {
    let mut places = vec![Place::new(Cluster::start_plain(), 0)?];
    for shards in SHARDS {
        places.push(Place::new(Cluster::start_citus(programs, &[]), shards)?);
    }
    let ways: Vec<(usize, u64)> =
        (0..places.len()).flat_map(|at| [(at, PLAIN), (at, LARGE)]).collect();
    let mut rounds: Vec<Vec<Cost>> = vec![vec![]; ways.len()];
    let mut small: Vec<Vec<Cost>> = vec![vec![]; places.len()];
    for _ in 0..options.rounds {
        for ((at, samples), costs) in ways.iter().zip(&mut rounds) {
            costs.push(places[*at].commits(options.clients, options.minutes, *samples).await?);
        }
        for (place, costs) in places.iter_mut().zip(&mut small) {
            costs.push(place.commits(options.clients, 1, SMALL).await?);
        }
    }
    let costs: Vec<Cost> = rounds.iter().map(|rounds| best(rounds)).collect();
    let small: Vec<Cost> = small.iter().map(|rounds| best(rounds)).collect();
    print_rates(options, &places, &ways, &costs);
    print_costs(options, &places, &costs, &small);
    print_growth(&costs[0], &costs[3]);
    Ok(())
}

/// The name of a place in tables.
fn name(place: &Place) -> String {
    match (place.shards, place.cluster.workers().len()) {
        (_, 0) => "one PostgreSQL".to_owned(),
        (shards, workers) => format!("Citus, {workers} workers, {shards} shards"),
    }
}

fn print_rates(options: &Options, places: &[Place], ways: &[(usize, u64)], costs: &[Cost]) {
    let columns = [
        "commits on the same cores",
        "rows each",
        "rows/s",
        "of PostgreSQL",
        "CPU us/row: coordinator",
        "workers",
    ];
    let mut table = Table::new(&columns);
    for ((at, samples), cost) in ways.iter().zip(costs) {
        table.row([
            name(&places[*at]),
            (samples * options.clients * 2).to_string(),
            format!("{:.0}", 1e6 / cost.time),
            format!("{:.2}", costs[0].time / cost.time),
            format!("{:.2}", cost.coordinator),
            format!("{:.2}", cost.workers),
        ]);
    }
    table.print();
    let ratio = costs[0].time / costs[3].time;
    println!(
        "as writers do, 4 shards: at least {TARGET} of one PostgreSQL: {}\n",
        met(ratio >= TARGET)
    );
}

#[allow(clippy::cast_precision_loss, reason = "small numbers")]
fn print_costs(options: &Options, places: &[Place], costs: &[Cost], small: &[Cost]) {
    let rows = |samples: u64| (samples * options.clients * 2) as f64;
    // Two sizes of commit separate the cost of a row from the cost of a commit without rows.
    let row = |at: usize| {
        let (large, least) = (costs[2 * at + 1].time * rows(LARGE), small[at].time * rows(SMALL));
        (large - least) / (rows(LARGE) - rows(SMALL))
    };
    let commit = |at: usize| small[at].time * rows(SMALL) - row(at) * rows(SMALL);
    let mut table = Table::new(&["what it costs", "a commit, ms", "per shard, ms", "a row, us"]);
    let last = places.len() - 1;
    let more = f64::from(places[last].shards - places[1].shards);
    let shard = (commit(last) - commit(1)) / more;
    for (at, place) in places.iter().enumerate() {
        let shard = if at == 0 { String::new() } else { format!("{:.2}", shard / 1000.0) };
        let cells =
            [name(place), format!("{:.1}", commit(at) / 1000.0), shard, format!("{:.2}", row(at))];
        table.row(cells);
    }
    table.print();
    println!();
}

/// By CPU alone: several collectors commit at once, so none waits idly for an answer.
fn print_growth(plain: &Cost, citus: &Cost) {
    let server = plain.coordinator;
    let mut table = Table::new(&["estimate: separate nodes", "times one PostgreSQL", "bound by"]);
    for workers in [1, 2, 4, 8, 16] {
        let coordinator = server / citus.coordinator;
        let rows = f64::from(workers) * server / citus.workers;
        let bound = if coordinator < rows { "the coordinator" } else { "the workers" };
        table.row([
            format!("a coordinator, {workers} workers"),
            format!("{:.1}", coordinator.min(rows)),
            bound.to_owned(),
        ]);
    }
    table.print();
    println!();
}
