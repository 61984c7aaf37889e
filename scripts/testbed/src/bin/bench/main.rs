//! Benchmarks: what capture, delivery, storage and views cost, beside others' or a bare minimum.
//!
//! Each sub-command prints a table, and the ratios that count: figures of different machines, or
//! of different minutes on a shared one, don't compare. All are bounded in time.

mod backlog;
mod capture;
mod floor;
mod idle;
mod offline;
mod process;
mod series;
mod table;
mod tap;
mod week;

use anyhow::Context;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "bench", about, long_about = None, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Benchmark,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
    /// Cost per captured packet beside a reader that only sums lengths, tcpdump and others
    Capture(capture::Options),
    /// What the agent costs a host whose NICs are silent
    Idle(idle::Options),
    /// How fast a day's backlog drains, and how late live data is meanwhile
    Backlog(backlog::Options),
    /// What a week without a collector leaves in the spool
    Week(week::Options),
    /// A week of one NIC's samples down-sampled, beside a bare scan of the rows in SQL
    Series(series::Options),
    /// The reader that only sums lengths, as `capture` starts it
    #[command(hide = true)]
    Floor(floor::Options),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Benchmark::Capture(options) => capture::run(&options),
        Benchmark::Idle(options) => idle::run(&options),
        Benchmark::Backlog(options) => backlog::run(&options),
        Benchmark::Week(options) => week::run(&options),
        Benchmark::Series(options) => series::run(&options),
        Benchmark::Floor(options) => floor::run(&options),
    }
}

/// The arguments that this program was started with.
fn arguments() -> Vec<String> {
    std::env::args().skip(1).collect()
}

/// Runs this program once more, as given, to its end.
fn again(command: &mut std::process::Command) -> anyhow::Result<()> {
    let status = command.status().context("unshare of util-linux is needed")?;
    // It has said itself what is wrong.
    if status.success() { Ok(()) } else { std::process::exit(status.code().unwrap_or(1)) }
}
