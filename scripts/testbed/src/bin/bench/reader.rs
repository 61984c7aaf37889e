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
use agent::capture::talker_counter::{SharedHost, TalkerCounter};
use agent::talkers::flow_table::flow_tables;
use agent::talkers::host::OwnHost;
use agent::talkers::key::KeyAddress;
use agent::talkers::table::{Seed, TALKERS};
use clap::Args;
use crossbeam_channel::{Receiver, Sender};
use wire::{BootNs, WallNs};

use self::block::{Blocks, Spread, WALL_NS, mixed, talking, uniform};
use super::process::pin;
use super::table::Table;

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

/// Compares all accounting with plain sums, and with that of talkers.
///
/// # Errors
/// If the system has no random numbers.
pub fn run(options: &Options) -> anyhow::Result<()> {
    const IN_RING: usize = 2048;
    let seed = Seed::random()?;
    let mut table = Table::new(&[
        "",
        "sums only ns/packet",
        "all accounting",
        "ratio",
        "difference",
        "with talkers",
        "difference",
    ]);
    let mut row = |name: &str, mut blocks: Blocks, writer: Option<&Writer>| {
        let mut sums = Parts::default();
        let [mut all, mut talkers] = [Parts::default(), Parts::default()];
        let of = (blocks.count(), blocks.block_ns);
        let mut with_talkers = accounting(of, Some(seed));
        for _ in 0..options.rounds {
            sums.measure(&mut blocks, writer, sum_lengths);
            all.measure(&mut blocks, writer, accounting(of, None));
            talkers.measure(&mut blocks, writer, &mut with_talkers);
        }
        let [sums, all, talkers] = [sums, all, talkers].map(|it| it.least_ns(&blocks));
        table.row([
            name.to_owned(),
            format!("{sums:.2}"),
            format!("{all:.2}"),
            format!("{:.2}", all / sums),
            format!("+{:.2}", all - sums),
            format!("{talkers:.2}"),
            format!("+{:.2}", talkers - all),
        ]);
    };
    // On a single CPU, reader and writer take turns.
    let _unpinned = pin(1);
    let writer = Writer::start();
    for (place, blocks, writer) in [
        ("in the cache", BATCH, None),
        ("in a ring of 16 MiB", IN_RING, None),
        ("just written by another CPU", 16 * BATCH, Some(&writer)),
    ] {
        row(&format!("60 bytes UDP, {place}"), uniform(60, blocks), writer);
        row(&format!("1,500 bytes UDP, {place}"), uniform(1500, blocks), writer);
        row(&format!("mixed, both directions, {place}"), mixed(blocks), writer);
    }
    // More packets than a ring holds: else most of 500,000 talkers never come.
    for (name, spread, blocks) in [
        ("60 bytes UDP of 1,000 talkers", Spread::Senders(1000), IN_RING),
        ("60 bytes UDP of 500,000 talkers", Spread::Senders(500_000), 4 * IN_RING),
        ("SYN flood, each of a new talker", Spread::Flood, 4 * IN_RING),
        ("forwarded, 1,000 talkers to four", Spread::Forwarded(1000), IN_RING),
    ] {
        row(name, talking(spread, blocks), None);
    }
    table.print();
    Ok(())
}

/// The least time of each part of the blocks, nanoseconds: what else runs on the machine disturbs
/// parts of a pass, and not the same ones each time.
#[derive(Debug, Default)]
struct Parts(Vec<f64>);

impl Parts {
    /// Batches of a part: some 10 µs.
    const BATCHES: usize = 4;

    /// Runs a loop over all blocks until it has seen enough.
    #[allow(clippy::cast_precision_loss, reason = "far from 2^53")]
    fn measure(
        &mut self,
        blocks: &mut Blocks,
        writer: Option<&Writer>,
        mut count: impl FnMut(&mut dyn Iterator<Item = &[u8]>, bool),
    ) {
        const PACKETS: u64 = 200_000;
        for _ in 0..PACKETS.div_ceil(blocks.packets) {
            if let Some(writer) = writer {
                writer.rewrite(blocks);
            }
            let mut left = black_box(&*blocks).after_status().peekable();
            for part in 0.. {
                let start = Instant::now();
                count(&mut left.by_ref().take(BATCH * Self::BATCHES), false);
                let ns = start.elapsed().as_nanos() as f64;
                match self.0.get_mut(part) {
                    Some(least) => *least = least.min(ns),
                    None => self.0.push(ns),
                }
                if left.peek().is_none() {
                    break;
                }
            }
            count(&mut std::iter::empty(), true);
        }
    }

    /// Nanoseconds per packet.
    #[allow(clippy::cast_precision_loss, reason = "far from 2^53")]
    fn least_ns(&self, blocks: &Blocks) -> f64 {
        self.0.iter().sum::<f64>() / blocks.packets as f64
    }
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
fn sum_lengths(blocks: &mut dyn Iterator<Item = &[u8]>, _is_over: bool) {
    let mut bytes = 0;
    for block in blocks {
        for packet in BlockPackets::of_block(block, true) {
            bytes += u64::from(packet.len);
        }
    }
    black_box(bytes);
}

/// The agent's reader of so many blocks, and the time from one to the next; with talkers if there is a
/// seed. The same blocks return, as if time stood still.
fn accounting(
    (blocks, block_ns): (usize, u64),
    seed: Option<Seed>,
) -> impl FnMut(&mut dyn Iterator<Item = &[u8]>, bool) + use<> {
    let at = |boot_ns: u64| WallReading {
        before_ns: BootNs(boot_ns),
        wall_ns: WallNs(boot_ns - BOOT_NS + WALL_NS),
        after_ns: BootNs(boot_ns),
    };
    // All tables are one slot's: nothing seals it.
    let (writer, mut taker) =
        bank(0, seed.map(|seed| flow_tables(seed, TALKERS)).into_iter().collect());
    let schedule = Schedule::new(500_000_000, BootNs(BOOT_NS), Offset::new(at(BOOT_NS)));
    let schedule = Arc::new(SharedSchedule::new(schedule));
    let hold = Duration::from_millis(20);
    // The packets of one address are for this host.
    let host = OwnHost::new(vec![KeyAddress::v4([192, 0, 2, 2])], []);
    let shared = Arc::new(SharedHost::new(Arc::new(host)));
    let mut counting = SlotCounter::new(writer, schedule, 0, at(BOOT_NS), hold, BootNs(BOOT_NS))
        .with_talkers(seed.map(|_| TalkerCounter::new(shared)));
    let end = at(BOOT_NS + blocks as u64 * block_ns);
    move |blocks, is_over| {
        let mut left = blocks.peekable();
        while left.peek().is_some() {
            let mut batch = counting.batch(end);
            for block in left.by_ref().take(BATCH) {
                batch.count(BlockPackets::of_block(block, true));
            }
        }
        if is_over {
            // The next pass finds empty tables, as the next slot does.
            taker.take_talkers(0, |tables| {
                black_box(tables);
            });
        }
    }
}
