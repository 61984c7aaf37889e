//! Benchmarks: what capture, delivery, storage and views cost, beside others' or a bare minimum.
//!
//! Each sub-command prints a table, and the ratios that count: figures of different machines, or
//! of different minutes on a shared one, don't compare. All are bounded in time.

mod backlog;
mod capture;
mod cli;
mod floor;
mod hostile;
mod idle;
mod offline;
mod paced;
mod process;
mod reader;
mod scrape;
mod series;
mod space;
mod stall;
mod store;
mod swarm;
mod table;
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
