//! The command line.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::world::Store;

/// Length of a short run, seconds.
const SHORT: u64 = 25;

/// Length of a run with wrong clocks, seconds.
const CLOCKS: u64 = 15;

/// Runs real agents (in network namespaces), collectors and databases while faults occur on a schedule
/// drawn from the seed: SIGKILL of every part, links down, packet loss, large packets swallowed, new
/// addresses, a crashed or paused database, a full disk. Afterwards the database must match the
/// kernel's counts to the byte, every loss must have its reason, and `collector fsck` must agree.
#[derive(Debug, Parser)]
#[command(name = "soak")]
pub struct Args {
    /// Minutes of faults in each run.
    #[arg(long, default_value_t = 2)]
    minutes: u64,
    /// Seed of the fault schedule.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One run for each of these seeds, such as 1..200.
    #[arg(long, value_parser = seeds, conflicts_with = "seed")]
    seeds: Option<RangeInclusive<u64>>,
    /// Runs of 25 s.
    #[arg(long, conflicts_with = "minutes")]
    short: bool,
    /// Instead: kill agents (SIGKILL) this many times in each run.
    #[arg(long, conflicts_with_all = ["minutes", "short"])]
    pub kills: Option<u64>,
    /// Instead: wrong clocks, sleeping hosts and restarts, for 15 s in each run. Needs programs built
    /// with `--features agent/clock-seam`.
    #[arg(long, conflicts_with_all = ["minutes", "short", "kills", "plant"])]
    pub clocks: bool,
    /// The store; default: seeds alternate.
    #[arg(long)]
    store: Option<Store>,
    /// Plants a delivery bug: the run must fail.
    #[arg(long)]
    pub plant: Option<Bug>,
    /// Keeps the data and logs of each failed run and prints where.
    #[arg(long)]
    pub keep: bool,
}

/// A bug planted from outside; the programs are unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Bug {
    /// Acknowledges without a commit: a trigger drops one sample of 500.
    AckBeforeCommit,
    /// Commits twice, as if nothing guarded the cursor: a trigger doubles one sample of 500.
    CursorUnguarded,
    /// Removes records from the spool before their commit, while the agent is down.
    SpoolEntryRemoved,
    /// Leaves a gap unrecorded: a trigger drops gap records.
    GapNotRecorded,
}

fn seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let number = |text: &str| text.parse::<u64>().ok();
    let range = text.split_once("..").and_then(|(from, to)| Some(number(from)?..=number(to)?));
    range.filter(|range| !range.is_empty()).ok_or_else(|| "two numbers, as in 1..200".to_owned())
}

impl Args {
    /// Length of a run.
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
