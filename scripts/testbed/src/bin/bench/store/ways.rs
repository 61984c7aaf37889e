//! Ways to store the same rows, side by side.

use std::time::Duration;

use clap::Args;

use crate::table::{Table, least, met};

/// Options of the benchmark.
#[derive(Debug, Args)]
pub struct Options {
    /// Clients, with two NICs each
    #[arg(long, default_value_t = 100)]
    pub clients: u64,
    /// Minutes of samples, one every 500 ms; a whole day is 1440 and takes long
    #[arg(long, default_value_t = 15)]
    pub minutes: u64,
    /// Rounds; the best one counts
    #[arg(long, default_value_t = 5)]
    pub rounds: u32,
    /// Instead, compare one PostgreSQL with Citus. Needs NETMON_TEST_CITUS: an installation of
    /// PostgreSQL with Citus
    #[arg(long)]
    pub citus: bool,
}

/// Lowest acceptable share of the fastest way's rate.
const TARGET: f64 = 0.8;

/// Several ways to store the same rows, which take turns.
#[derive(Debug)]
pub struct Ways {
    /// Their names, ours first.
    pub names: Vec<&'static str>,
    /// Per round, the cost of each way.
    pub rounds: Vec<Vec<Taken>>,
}

/// Cost of storing some rows.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    pub rows_per_second: f64,
    /// CPU time of the storing process, microseconds per row.
    pub cpu: f64,
}

impl Taken {
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub fn new(rows: u64, time: Duration, cpu_ns: u64) -> Self {
        let rows = rows as f64;
        Self { rows_per_second: rows / time.as_secs_f64(), cpu: cpu_ns as f64 / 1000.0 / rows }
    }
}

impl Ways {
    pub const fn new(names: Vec<&'static str>) -> Self {
        Self { names, rounds: Vec::new() }
    }

    /// Prints the best round of each way, our rate as a ratio to each of the others, and the verdict on
    /// the first of them. The best round counts: other work on this machine only slows.
    pub fn print(&self, store: &str, whose_cpu: &str) {
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
