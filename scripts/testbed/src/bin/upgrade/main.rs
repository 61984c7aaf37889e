//! `upgrade`: upgrades a filled store and a filled spool of an older version, and proves that nothing
//! was lost or doubled. See `scripts/upgrade --help`.
#![allow(clippy::unwrap_used, reason = "what fails here fails the run, and says why")]

mod host;
mod orders;

use std::path::PathBuf;
use std::process::{ExitCode, Stdio};

use clap::Parser;
use testbed::namespace;

use self::host::{Host, Store};
use self::orders::Order;

/// Runs both orders of an upgrade over both stores, at the same time, each in its own network namespace
/// with real traffic that the kernel counts.
#[derive(Debug, Parser)]
#[command(name = "upgrade")]
struct Args {
    /// Folder of the older `agent` and `collector`.
    #[arg(long)]
    old: PathBuf,
    /// Only this store.
    #[arg(long)]
    store: Option<Store>,
    /// Only this order.
    #[arg(long)]
    order: Option<Order>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if namespace::is_inside() {
        let (store, order) = (args.store.unwrap(), args.order.unwrap());
        order.run(&mut Host::new(store, &args.old));
        return ExitCode::SUCCESS;
    }
    let stores = args.store.map_or_else(|| Store::ALL.to_vec(), |it| vec![it]);
    let orders = args.order.map_or_else(|| Order::ALL.to_vec(), |it| vec![it]);
    let mut runs = Vec::new();
    for (&store, &order) in stores.iter().flat_map(|it| orders.iter().map(move |of| (it, of))) {
        let mut own =
            namespace::inside(&["--store", store.name(), "--order", order.name(), "--old"]);
        let run = own.arg(&args.old).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        runs.push((store, order, run.expect("unshare of util-linux is needed")));
    }
    let mut sound = true;
    for (store, order, run) in runs {
        let output = run.wait_with_output().unwrap();
        println!("\n== {store}, {order}\n{}", String::from_utf8_lossy(&output.stdout).trim_end());
        let passed = output.status.success();
        if !passed {
            println!("{}", String::from_utf8_lossy(&output.stderr));
        }
        println!("{}", if passed { "sound: nothing lost, nothing doubled" } else { "VIOLATION" });
        sound &= passed;
    }
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
