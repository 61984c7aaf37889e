//! Benchmarks: the cost of capture, delivery, storage and views, beside other programs or a bare
//! minimum.
//!
//! Each sub-command prints a table and ratios. Compare ratios: figures from different machines, or from
//! different minutes on a shared machine, don't compare. All are bounded in time.

mod alerts;
mod backlog;
mod capture;
mod cli;
mod floor;
mod groups;
mod hostile;
mod idle;
mod offline;
mod paced;
mod packed;
mod packing;
mod process;
mod reader;
mod scrape;
mod search;
mod series;
mod space;
mod stall;
mod store;
mod swarm;
mod table;
mod talkers;
mod tap;
mod week;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
