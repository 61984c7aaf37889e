//! `bench reader`: the per-packet loop on blocks prepared in memory, without a kernel.

mod block;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::account::clock::{Offset, Reading};
use agent::account::counters::Bank;
use agent::account::interval::{Schedule, SharedSchedule};
use agent::capture::counting::Counting;
use agent::capture::ring::Packets;
use clap::Args;

use self::block::{Blocks, mixed, uniform};
use super::table::{Table, least};

/// Boot time and wall time of the first packet, nanoseconds.
const BOOT_NS: u64 = 1_000_000_000_000;
const WALL_NS: u64 = 1_700_000_000_000_000_000;

/// Options of the benchmark.
#[derive(Debug, Args)]
pub struct Options {
    /// Times that each loop is measured, one after the other in turns
    #[arg(long, default_value_t = 20)]
    rounds: u32,
}

/// Measures all accounting against sums only.
///
/// # Errors
/// None so far.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let mut table =
        Table::new(&["", "sums only ns/packet", "all accounting", "ratio", "difference"]);
    let mut row = |name: &str, blocks: &Blocks| {
        let (mut sums, mut all) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            sums.push(timed(blocks, sum_lengths));
            all.push(timed(blocks, all_accounting(blocks)));
        }
        let (sums, all) = (least(&sums), least(&all));
        table.row([
            name.to_owned(),
            format!("{sums:.2}"),
            format!("{all:.2}"),
            format!("{:.2}", all / sums),
            format!("+{:.2}", all - sums),
        ]);
    };
    for (place, blocks) in [("in the cache", 1), ("in a ring of 16 MiB", 256)] {
        row(&format!("60 bytes UDP, {place}"), &uniform(60, blocks));
        row(&format!("1,500 bytes UDP, {place}"), &uniform(1500, blocks));
        row(&format!("mixed, both directions, {place}"), &mixed(blocks));
    }
    table.print();
    Ok(())
}

/// Runs a loop over all blocks until it has seen enough of them. Gives nanoseconds per packet.
#[allow(clippy::cast_precision_loss, reason = "far from 2^53")]
fn timed(blocks: &Blocks, mut pass: impl FnMut(&Blocks)) -> f64 {
    const PACKETS: u64 = 200_000;
    let passes = PACKETS.div_ceil(blocks.packets);
    let start = Instant::now();
    for _ in 0..passes {
        pass(black_box(blocks));
    }
    start.elapsed().as_nanos() as f64 / (passes * blocks.packets) as f64
}

/// What a minimal reader does.
fn sum_lengths(blocks: &Blocks) {
    let mut bytes = 0;
    for block in &blocks.blocks {
        for packet in Packets::of_block(block, true) {
            bytes += u64::from(packet.len);
        }
    }
    black_box(bytes);
}

/// What the agent does. The blocks come again and again, as if time stood still.
fn all_accounting(blocks: &Blocks) -> impl FnMut(&Blocks) {
    let at = |boot_ns: u64| Reading {
        before_ns: boot_ns,
        wall_ns: boot_ns - BOOT_NS + WALL_NS,
        after_ns: boot_ns,
    };
    let bank = Arc::new(Bank::new(0));
    let schedule = Schedule::new(500_000_000, BOOT_NS, Offset::new(at(BOOT_NS)));
    let schedule = Arc::new(SharedSchedule::new(schedule));
    let hold = Duration::from_millis(20);
    let mut counting = Counting::new(bank, schedule, 0, at(BOOT_NS), hold, BOOT_NS);
    let end = at(BOOT_NS + blocks.blocks.len() as u64 * blocks.block_ns);
    move |blocks| {
        for block in &blocks.blocks {
            counting.count(Packets::of_block(block, true), end);
        }
    }
}
