//! `bench store`: what a row costs in PostgreSQL, and how fast rows get into both stores, beside
//! the fastest way that each has: the same rows into the same table with the same indexes, in the
//! same order and as many in a transaction.

mod agents;
mod postgres;
mod sqlite;

use std::time::Duration;

use clap::Args;

use self::agents::Agents;
use super::table::{Table, median, met};

/// Options of the benchmark.
#[derive(Debug, Args)]
pub struct Options {
    /// Clients, with two NICs each
    #[arg(long, default_value_t = 100)]
    clients: u64,
    /// Minutes of samples, one each 500 ms; a whole day is 1440, and takes a while
    #[arg(long, default_value_t = 15)]
    minutes: u64,
    /// Rounds, of which the middle one counts
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

    fn median(&self, of: impl Fn(&[Taken]) -> f64) -> f64 {
        median(self.rounds.iter().map(|round| of(round)).collect())
    }

    /// Prints what each took, our rate as a ratio to each of the others, and the verdict on the
    /// first of them. CPU time tells of the work whatever else this machine does meanwhile.
    fn print(&self, store: &str, whose_cpu: &str) {
        let mut table = Table::new(&[store, "rows/s", whose_cpu, "our rate is", "by CPU"]);
        let rate = |way: usize| self.median(|it| it[0].rows_per_second / it[way].rows_per_second);
        let cpu = |way: usize| self.median(|it| it[way].cpu / it[0].cpu);
        for (way, what) in self.names.iter().enumerate() {
            let ratio = |ratio: f64| if way == 0 { String::new() } else { format!("{ratio:.2}") };
            table.row([
                (*what).to_owned(),
                format!("{:.0}", self.median(|it| it[way].rows_per_second)),
                format!("{:.2}", self.median(|it| it[way].cpu)),
                ratio(rate(way)),
                ratio(cpu(way)),
            ]);
        }
        table.print();
        println!("at least {TARGET} of the rows alone: {}\n", met(rate(1) >= TARGET));
    }
}
