//! The command line.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::world::Store;

/// Length of a short run, seconds.
const SHORT: u64 = 25;

/// Length of a run with wrong clocks, seconds.
const CLOCKS: u64 = 15;

/// Runs real agents (in network namespaces), collectors and databases for a while, during which
/// everything goes wrong by a schedule that the seed decides: kill -9 of every part, links down,
/// lossy or swallowing large packets, new addresses, a crashed or paused database, a full disk.
/// Afterwards what the kernel carried must be in the database, to the byte; what was lost must
/// have its reason; `collector fsck` must agree.
#[derive(Debug, Parser)]
#[command(name = "soak")]
pub struct Args {
    /// How long faults go on in each run.
    #[arg(long, default_value_t = 2)]
    minutes: u64,
    /// Decides which faults, and when.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A run for each of these seeds: 1..200.
    #[arg(long, value_parser = seeds, conflicts_with = "seed")]
    seeds: Option<RangeInclusive<u64>>,
    /// Runs of 25 s.
    #[arg(long, conflicts_with = "minutes")]
    short: bool,
    /// In place of all that: kill -9 of agents, so many times in each run.
    #[arg(long, conflicts_with_all = ["minutes", "short"])]
    pub kills: Option<u64>,
    /// In place of all that: wrong clocks, sleeping hosts and restarts, for 15 s in each run. Needs
    /// programs built with `--features agent/clock-seam`.
    #[arg(long, conflicts_with_all = ["minutes", "short", "kills", "plant"])]
    pub clocks: bool,
    /// Which store; default: seeds take turns.
    #[arg(long)]
    store: Option<Store>,
    /// Breaks delivery on purpose: the run must fail.
    #[arg(long)]
    pub plant: Option<Bug>,
    /// Keeps the data and logs of each run that fails, and says where.
    #[arg(long)]
    pub keep: bool,
}

/// A bug that is planted from outside: the programs are as ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Bug {
    /// Acknowledged, and not committed: a trigger drops one sample of 500.
    AckBeforeCommit,
    /// Committed twice, as by a cursor that nobody guards: a trigger doubles one sample of 500.
    CursorUnguarded,
    /// Removed from the spool before it was committed: done while the agent is down.
    SpoolEntryRemoved,
    /// A gap that is not recorded: a trigger drops gap records.
    GapNotRecorded,
}

fn seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let number = |text: &str| text.parse::<u64>().ok();
    let range = text.split_once("..").and_then(|(from, to)| Some(number(from)?..=number(to)?));
    range.filter(|range| !range.is_empty()).ok_or_else(|| "two numbers, as in 1..200".to_owned())
}

impl Args {
    /// The length of a run.
    #[must_use]
    pub const fn length(&self) -> Duration {
        Duration::from_secs(match (self.clocks, self.short) {
            (true, _) => CLOCKS,
            (_, true) => SHORT,
            _ => 60 * self.minutes,
        })
    }

    /// Seed and store of each run.
    #[must_use]
    pub fn runs(&self) -> Vec<(u64, Store)> {
        let seeds = self.seeds.clone().unwrap_or(self.seed..=self.seed);
        let turn = |seed: u64| if seed.is_multiple_of(2) { Store::Sqlite } else { Store::Postgres };
        seeds.map(|seed| (seed, self.store.unwrap_or_else(|| turn(seed)))).collect()
    }
}
