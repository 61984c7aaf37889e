//! The command line of the benchmarks.

use clap::{Parser, Subcommand};

use super::{
    alerts, backlog, capture, floor, groups, hostile, idle, packed, packing, reader, scrape,
    search, series, stall, store, swarm, talkers, week,
};

#[derive(Debug, Parser)]
#[command(name = "bench", about, long_about = None, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Benchmark,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
    /// Cost per captured packet, beside a reader that only sums lengths, tcpdump and others
    Capture(capture::Options),
    /// Packets lost while the agent is stopped, by rate and duration, beside the capacity of the ring
    Stall(stall::Options),
    /// Cost per packet of the reader's loop, without a kernel
    Reader(reader::Options),
    /// Cost of a table of talkers, beside the crate datasketches
    Talkers(talkers::Options),
    /// Cost of the agent on a host whose NICs are silent
    Idle(idle::Options),
    /// Many agents against one collector: rates, latencies, CPU, memory, bytes on the wire
    Swarm(swarm::Options),
    /// Time of `/metrics` with many clients, and of frames that arrive meanwhile
    Scrape(scrape::Options),
    /// How fast a day's backlog drains, and how late live data is meanwhile
    Backlog(backlog::Options),
    /// What the spool holds after a week without a collector
    Week(week::Options),
    /// Size and cost of a row in PostgreSQL, and how fast both stores take rows
    Store(store::Options),
    /// A down-sampled week of one NIC, beside a plain SQL scan of its rows
    Series(series::Options),
    /// Sums of groups of many clients over months, from rows and from packed days
    Groups(groups::Options),
    /// Which hosts of 1,000 talked to an address in a night, in both stores
    Search(search::Options),
    /// How long an alert takes from its sample to its webhook, with its talkers and without
    Alerts(alerts::Options),
    /// Bytes and time that packed rows take in both stores, beside byte planes
    Packed(packed::Options),
    /// Packing samples and mixes in a store: bytes, CPU, commits meanwhile, reads before and after
    Packing(packing::Options),
    /// What attacks on a collector cost the collector and an honest agent
    Hostile(hostile::Options),
    /// The reader that only sums lengths, as `capture` starts it
    #[command(hide = true)]
    Floor(floor::Options),
}

impl Cli {
    /// Runs the benchmark.
    ///
    /// # Errors
    /// Fails if something can't be measured.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Benchmark::Capture(options) => capture::run(&options),
            Benchmark::Stall(options) => stall::run(&options),
            Benchmark::Reader(options) => reader::run(&options),
            Benchmark::Talkers(options) => talkers::run(&options),
            Benchmark::Idle(options) => idle::run(&options),
            Benchmark::Swarm(options) => swarm::run(&options),
            Benchmark::Scrape(options) => scrape::run(&options),
            Benchmark::Backlog(options) => backlog::run(&options),
            Benchmark::Week(options) => week::run(&options),
            Benchmark::Store(options) => store::run(&options),
            Benchmark::Series(options) => series::run(&options),
            Benchmark::Groups(options) => groups::run(&options),
            Benchmark::Search(options) => search::run(&options),
            Benchmark::Alerts(options) => alerts::run(&options),
            Benchmark::Packed(options) => packed::run(&options),
            Benchmark::Packing(options) => packing::run(&options),
            Benchmark::Hostile(options) => hostile::run(&options),
            Benchmark::Floor(options) => floor::run(&options),
        }
    }
}
