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

/// Rates of several ways to store the same rows, taken in turns.
#[derive(Debug)]
struct Rates {
    /// What each does, ours first.
    ways: Vec<&'static str>,
    /// Of each round, the rate of each.
    rounds: Vec<Vec<f64>>,
}

impl Rates {
    const fn of(ways: Vec<&'static str>) -> Self {
        Self { ways, rounds: Vec::new() }
    }

    /// Prints the rates, ours as a ratio to each of the others, and the verdict on the first.
    fn print(&self, store: &str) {
        let mut table = Table::new(&[store, "rows/s", "ours is"]);
        let ratio =
            |way: usize| median(self.rounds.iter().map(|rates| rates[0] / rates[way]).collect());
        for (way, what) in self.ways.iter().enumerate() {
            let rate = median(self.rounds.iter().map(|rates| rates[way]).collect());
            let ratio = if way == 0 { String::new() } else { format!("{:.2}", ratio(way)) };
            table.row([(*what).to_owned(), format!("{rate:.0}"), ratio]);
        }
        table.print();
        println!("at least {TARGET} of the rows alone: {}\n", met(ratio(1) >= TARGET));
    }
}

/// Rows a second over so much time.
fn rate(rows: u64, time: Duration) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    let rows = rows as f64;
    rows / time.as_secs_f64()
}
