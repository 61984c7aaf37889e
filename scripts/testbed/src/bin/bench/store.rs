//! `bench store`: what a row costs in PostgreSQL, and how fast rows get into both stores, beside
//! the fastest way that each has: the same rows into the same table with the same indexes, in the
//! same order and as many in a transaction.

mod agents;
mod postgres;
mod sqlite;

use std::time::Duration;

use clap::Args;

use self::agents::Agents;
use super::table::{Table, least, met};

/// Options of the benchmark.
#[derive(Debug, Args)]
pub struct Options {
    /// Clients, with two NICs each
    #[arg(long, default_value_t = 100)]
    clients: u64,
    /// Minutes of samples, one each 500 ms; a whole day is 1440, and takes a while
    #[arg(long, default_value_t = 15)]
    minutes: u64,
    /// Rounds, of which the best counts
    #[arg(long, default_value_t = 5)]
    rounds: u32,
}

/// Least share of the fastest way's rate.
const TARGET: f64 = 0.8;

/// Fills stores of its own.
///
/// # Errors
/// Says why a store fails.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let rows = Agents::rows(options.clients, options.minutes);
    println!(
        "{} clients, 2 NICs each, {} minutes at 500 ms: {rows} rows\n",
        options.clients, options.minutes
    );
    runtime.block_on(async {
        postgres::sizes(options).await?;
        postgres::rates(options).await?;
        sqlite::rates(options).await
    })
}

/// Several ways to store the same rows, taken in turns.
#[derive(Debug)]
struct Ways {
    /// What each does, ours first.
    names: Vec<&'static str>,
    /// Of each round, what each took.
    rounds: Vec<Vec<Taken>>,
}

/// What storing some rows took.
#[derive(Debug, Clone, Copy)]
struct Taken {
    rows_per_second: f64,
    /// CPU time of who stores, microseconds a row.
    cpu: f64,
}

impl Taken {
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    fn new(rows: u64, time: Duration, cpu_ns: u64) -> Self {
        let rows = rows as f64;
        Self { rows_per_second: rows / time.as_secs_f64(), cpu: cpu_ns as f64 / 1000.0 / rows }
    }
}

impl Ways {
    const fn new(names: Vec<&'static str>) -> Self {
        Self { names, rounds: Vec::new() }
    }

    /// Prints the best of each over all rounds, since what else this machine does only makes it
    /// worse, ours as a ratio to each of the others, and the verdict on the first of them.
    fn print(&self, store: &str, whose_cpu: &str) {
        let best = |of: fn(&Taken) -> f64, way: usize| {
            least(&self.rounds.iter().map(|round| of(&round[way])).collect::<Vec<_>>())
        };
        let seconds = |way| best(|taken| 1.0 / taken.rows_per_second, way);
        let cpu = |way| best(|taken| taken.cpu, way);
        let mut table = Table::new(&[store, "rows/s", whose_cpu, "our rate is", "by CPU"]);
        for (way, what) in self.names.iter().enumerate() {
            let ratio = |of: &dyn Fn(usize) -> f64| {
                if way == 0 { String::new() } else { format!("{:.2}", of(way) / of(0)) }
            };
            table.row([
                (*what).to_owned(),
                format!("{:.0}", 1.0 / seconds(way)),
                format!("{:.2}", cpu(way)),
                ratio(&seconds),
                ratio(&cpu),
            ]);
        }
        table.print();
        let verdict = met(seconds(1) / seconds(0) >= TARGET);
        println!("at least {TARGET} of the rate of rows alone: {verdict}\n");
    }
}
