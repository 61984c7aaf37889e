//! `soak`: runs real agents, collectors and databases under random faults, and proves that nothing was
//! lost or doubled. See `scripts/soak --help`.

mod agent;
mod args;
mod faults;
mod plan;
mod planted;
mod random;
mod reached;
mod run;
mod stored;
mod traffic;
mod verdict;
mod world;

use std::process::ExitCode;

use clap::Parser;
use testbed::namespace;

use self::args::Args;
use self::reached::Reached;

fn main() -> ExitCode {
    let args = Args::parse();
    if !namespace::is_inside() {
        let own: Vec<String> = std::env::args().skip(1).collect();
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        let status = namespace::inside(&own).status().expect("unshare of util-linux is needed");
        return ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1));
    }
    let mut reached = Reached::default();
    let mut bad = Vec::new();
    for (seed, store) in args.runs() {
        if !run::run(seed, store, &args, &mut reached) {
            bad.push(format!("{seed} ({store:?})"));
        }
    }
    println!("\n{reached}");
    if bad.is_empty() {
        println!("{} runs: nothing lost, nothing doubled", args.runs().len());
        ExitCode::SUCCESS
    } else {
        println!("violations by seed: {}", bad.join(", "));
        ExitCode::FAILURE
    }
}
