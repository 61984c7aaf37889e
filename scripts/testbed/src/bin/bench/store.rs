//! `bench store`: what a row costs in PostgreSQL, and how fast rows get into both stores, beside
//! the fastest way that each has.

mod agents;
mod postgres;
mod sqlite;

use std::time::Instant;

use clap::Args;

use self::agents::Agents;
use super::table::{median, met};

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
    #[arg(long, default_value_t = 3)]
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

/// Rates of two ways to store the same rows, taken in turns.
#[derive(Debug, Default)]
struct Rates {
    ours: Vec<f64>,
    bare: Vec<f64>,
}

impl Rates {
    fn print(self, ours: &str, bare: &str) {
        let ratios = self.ours.iter().zip(&self.bare).map(|(ours, bare)| ours / bare).collect();
        let ratio = median(ratios);
        println!("{ours}: {:.0} rows/s", median(self.ours));
        println!("{bare}: {:.0} rows/s", median(self.bare));
        println!("ratio {ratio:.2}; at least {TARGET}: {}\n", met(ratio >= TARGET));
    }
}

/// Rows a second since `begun`.
fn rate(rows: u64, begun: Instant) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    let rows = rows as f64;
    rows / begun.elapsed().as_secs_f64()
}
