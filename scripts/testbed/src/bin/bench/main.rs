//! Benchmarks: what capture, delivery, storage and views cost, beside others' or a bare minimum.
//!
//! Each sub-command prints a table, and the ratios that count: figures of different machines, or
//! of different minutes on a shared one, don't compare. All are bounded in time.

mod capture;
mod floor;
mod idle;
mod process;
mod reader;
mod scrape;
mod space;
mod swarm;
mod table;
mod tap;

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
    /// Cost per packet of the reader's loop, without a kernel
    Reader(reader::Options),
    /// What the agent costs a host whose NICs are silent
    Idle(idle::Options),
    /// Many agents against one collector: rates, latencies, CPU, memory, bytes on the wire
    Swarm(swarm::Options),
    /// `/metrics` of many clients, and frames that come meanwhile
    Scrape(scrape::Options),
    /// The reader that only sums lengths, as `capture` starts it
    #[command(hide = true)]
    Floor(floor::Options),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Benchmark::Capture(options) => capture::run(&options),
        Benchmark::Reader(options) => reader::run(&options),
        Benchmark::Idle(options) => idle::run(&options),
        Benchmark::Swarm(options) => swarm::run(&options),
        Benchmark::Scrape(options) => scrape::run(&options),
        Benchmark::Floor(options) => floor::run(&options),
    }
}
