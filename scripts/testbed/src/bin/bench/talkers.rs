//! `bench talkers`: the table of talkers, beside the crate `datasketches`.

use std::hint::black_box;
use std::time::Instant;

use agent::talkers::key::{Ends, KeyAddress, KeyedFlow};
use agent::talkers::table::{Seed, TALKERS, TalkerTable};
use clap::Args;
use datasketches::frequencies::FrequentItemsSketch;
use wire::{Bytes, Packets};

use super::table::{Table, least};

/// Packets of a stream.
const PACKETS: usize = 1 << 20;

/// Options of the benchmark.
#[derive(Debug, Args)]
pub struct Options {
    /// Measurements of each table; tables take turns
    #[arg(long, default_value_t = 7)]
    rounds: u32,
}

/// How a stream's packets belong to talkers.
#[derive(Debug, Clone, Copy)]
enum Spread {
    /// Talker n has a share of about 1/n.
    Zipf,
    /// All have the same.
    Even,
    /// Each packet is of another one.
    Flood,
}

/// A talker's number and a packet's bytes.
type Packet = (u32, u32);

/// Compares both tables on the same streams.
///
/// # Errors
/// Fails if the system has no random numbers, or the crate refuses its size.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let mut table = Table::new(&[
        "",
        "ns/packet",
        "datasketches",
        "ratio",
        "error, % of bytes",
        "datasketches, %",
    ]);
    for (spread, talkers) in [
        (Spread::Zipf, 1000),
        (Spread::Zipf, 99_000),
        (Spread::Zipf, 786_000),
        (Spread::Even, 1000),
        (Spread::Even, 500_000),
        (Spread::Flood, PACKETS),
    ] {
        let packets = stream(spread, talkers);
        let mut ours = TalkerTable::new(Seed::random()?);
        let mut theirs =
            FrequentItemsSketch::<[u64; 3]>::new((TALKERS * 4 / 3).next_power_of_two())?;
        let (mut our_ns, mut their_ns) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            ours.clear();
            our_ns.push(timed(&packets, |(talker, bytes)| {
                ours.add(&flow(*talker), Bytes(u64::from(*bytes)), Packets(1))
            }));
            theirs.reset();
            their_ns.push(timed(&packets, |(talker, bytes)| {
                theirs.update_with_count(key(*talker), u64::from(*bytes));
            }));
        }
        let (our_ns, their_ns) = (least(&our_ns), least(&their_ns));
        let share = |error: u64| {
            #[allow(clippy::cast_precision_loss, reason = "far from 2^53")]
            let share = 100.0 * error as f64 / ours.total().0.get() as f64;
            format!("{share:.4}")
        };
        table.row([
            format!("{spread:?}, {talkers} talkers"),
            format!("{our_ns:.1}"),
            format!("{their_ns:.1}"),
            format!("{:.2}", their_ns / our_ns),
            share(ours.offset().get()),
            share(theirs.maximum_error()),
        ]);
    }
    table.print();
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "far from 2^53")]
fn timed(packets: &[Packet], count: impl FnMut(&Packet)) -> f64 {
    let start = Instant::now();
    black_box(packets).iter().for_each(count);
    start.elapsed().as_nanos() as f64 / packets.len() as f64
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers of talkers"
)]
fn stream(spread: Spread, talkers: usize) -> Vec<Packet> {
    let mut state = 1u64;
    let mut random = || {
        // Knuth's linear congruential generator (MMIX).
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u32
    };
    let packet = |n: usize| {
        let talker = match spread {
            Spread::Zipf => {
                let uniform = f64::from(random() + 1) / f64::from(1u32 << 31);
                (talkers as f64).powf(uniform) as u32
            }
            Spread::Even => random() % talkers as u32,
            Spread::Flood => n as u32,
        };
        (talker, 60 + random() % 1455)
    };
    (0..PACKETS).map(packet).collect()
}

fn flow(talker: u32) -> KeyedFlow {
    let ends = Ends {
        far: KeyAddress::v4(talker.to_be_bytes()),
        near: KeyAddress::v4([192, 0, 2, 1]),
        far_port: 50_000,
        near_port: 443,
    };
    KeyedFlow::between_ports(6, ends, false)
}

/// The key as the crate gets it: as many bytes, as numbers.
fn key(talker: u32) -> [u64; 3] {
    [0, 0xFFFF << 32 | u64::from(talker), 6 << 16 | 443]
}
