//! `bench reader`: the per-packet loop on blocks prepared in memory, without a kernel.

mod block;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::account::bank::bank;
use agent::account::clock::{Offset, WallReading};
use agent::account::interval::{Schedule, SharedSchedule};
use agent::capture::ring::BlockPackets;
use agent::capture::slot_counter::SlotCounter;
use clap::Args;
use crossbeam_channel::{Receiver, Sender};
use wire::{BootNs, WallNs};

use self::block::{Blocks, WALL_NS, mixed, uniform};
use super::process::pin;
use super::table::{Table, least};

/// Boot time of the first packet, nanoseconds.
const BOOT_NS: u64 = 1_000_000_000_000;

/// Blocks that a reader counts in one batch.
const BATCH: usize = 8;

/// Options of the benchmark.
#[derive(Debug, Args)]
pub struct Options {
    /// Measurements of each loop; loops take turns
    #[arg(long, default_value_t = 20)]
    rounds: u32,
}

/// Compares all accounting with plain sums.
///
/// # Errors
/// None.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let mut table =
        Table::new(&["", "sums only ns/packet", "all accounting", "ratio", "difference"]);
    let mut row = |name: &str, mut blocks: Blocks, writer: Option<&Writer>| {
        let (mut sums, mut all) = (Vec::new(), Vec::new());
        let accounting = || all_accounting(blocks.count(), blocks.block_ns);
        let mut accountings: Vec<_> = (0..options.rounds).map(|_| accounting()).collect();
        for accounting in &mut accountings {
            sums.push(timed(&mut blocks, writer, sum_lengths));
            all.push(timed(&mut blocks, writer, accounting));
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
    // On a single CPU, reader and writer take turns.
    let _unpinned = pin(1);
    let writer = Writer::start();
    for (place, blocks, writer) in [
        ("in the cache", BATCH, None),
        ("in a ring of 16 MiB", 2048, None),
        ("just written by another CPU", 16 * BATCH, Some(&writer)),
    ] {
        row(&format!("60 bytes UDP, {place}"), uniform(60, blocks), writer);
        row(&format!("1,500 bytes UDP, {place}"), uniform(1500, blocks), writer);
        row(&format!("mixed, both directions, {place}"), mixed(blocks), writer);
    }
    table.print();
    Ok(())
}

/// Runs a loop over all blocks until it has seen enough. Returns nanoseconds per packet.
#[allow(clippy::cast_precision_loss, reason = "far from 2^53")]
fn timed(blocks: &mut Blocks, writer: Option<&Writer>, mut pass: impl FnMut(&Blocks)) -> f64 {
    const PACKETS: u64 = 200_000;
    let passes = PACKETS.div_ceil(blocks.packets);
    let mut time = Duration::ZERO;
    for _ in 0..passes {
        if let Some(writer) = writer {
            writer.rewrite(blocks);
        }
        let start = Instant::now();
        pass(black_box(blocks));
        time += start.elapsed();
    }
    time.as_nanos() as f64 / (passes * blocks.packets) as f64
}

/// A thread on another CPU that writes blocks, as the kernel does.
#[derive(Debug)]
struct Writer {
    to_write: Sender<Blocks>,
    written: Receiver<Blocks>,
}

impl Writer {
    fn start() -> Self {
        let (to_write, blocks) = crossbeam_channel::bounded::<Blocks>(1);
        let (done, written) = crossbeam_channel::bounded(1);
        std::thread::spawn(move || {
            let _unpinned = pin(0);
            for mut blocks in blocks {
                blocks.rewrite();
                if done.send(blocks).is_err() {
                    return;
                }
            }
        });
        Self { to_write, written }
    }

    fn rewrite(&self, blocks: &mut Blocks) {
        let empty = uniform(60, 0);
        if self.to_write.send(std::mem::replace(blocks, empty)).is_ok() {
            *blocks = self.written.recv().unwrap_or_else(|_| unreachable!("it writes on"));
        }
    }
}

/// The minimal reader.
fn sum_lengths(blocks: &Blocks) {
    let mut bytes = 0;
    for block in blocks.after_status() {
        for packet in BlockPackets::of_block(block, true) {
            bytes += u64::from(packet.len);
        }
    }
    black_box(bytes);
}

/// The agent's reader. The same blocks return, as if time stood still.
fn all_accounting(blocks: usize, block_ns: u64) -> impl FnMut(&Blocks) + use<> {
    let at = |boot_ns: u64| WallReading {
        before_ns: BootNs(boot_ns),
        wall_ns: WallNs(boot_ns - BOOT_NS + WALL_NS),
        after_ns: BootNs(boot_ns),
    };
    // Nothing takes from this half, so nothing is sealed.
    let (writer, _taker) = bank(0, Vec::new());
    let schedule = Schedule::new(500_000_000, BootNs(BOOT_NS), Offset::new(at(BOOT_NS)));
    let schedule = Arc::new(SharedSchedule::new(schedule));
    let hold = Duration::from_millis(20);
    let mut counting = SlotCounter::new(writer, schedule, 0, at(BOOT_NS), hold, BootNs(BOOT_NS));
    let end = at(BOOT_NS + blocks as u64 * block_ns);
    move |blocks| {
        let mut left = blocks.after_status().peekable();
        while left.peek().is_some() {
            let mut batch = counting.batch(end);
            for block in left.by_ref().take(BATCH) {
                batch.count(BlockPackets::of_block(block, true));
            }
        }
    }
}
