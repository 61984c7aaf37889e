//! `citus`: tests the store on a real Citus while nodes die, hang and lose packets, and proves that
//! nothing was lost or doubled. See `scripts/citus --help`.

mod faults;
mod feed;
mod guide;
mod lab;
mod migrate;
mod proxy;
mod truth;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use testbed::namespace;

/// Needs `NETMON_TEST_CITUS`: an installation of PostgreSQL with Citus.
#[derive(Debug, Parser)]
#[command(name = "citus")]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// `collector migrate` of an empty and of a filled database
    Migrate,
    /// Follow `deploy/citus/README.md` word for word on fresh nodes
    Guide(guide::Options),
    /// Inflict faults while two collectors commit
    Faults(faults::Options),
}

fn main() -> ExitCode {
    let args = Args::parse();
    // The lost packets are those of this namespace.
    if !namespace::is_inside() {
        let own: Vec<String> = std::env::args().skip(1).collect();
        let status = namespace::inside(&own).status().expect("unshare of util-linux is needed");
        return ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1));
    }
    let sound = match args.what {
        What::Migrate => migrate::run(),
        What::Guide(options) => guide::run(&options),
        What::Faults(options) => faults::run(&options),
    };
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
