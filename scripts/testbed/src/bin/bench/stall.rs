//! `bench stall`: what a ring loses while its reader is stopped, by rate and duration.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agent::capture::ring::RingConfig;
use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testbed::{Pair, program};

use super::paced::{Paced, answer_nobody};
use super::space::in_own_namespace;
use super::table::{Table, met};
use super::tap::{Tap, Tapping};

/// The receiving NIC.
const NIC: &str = "here";

/// How long the agent is stopped, milliseconds.
const STALLS_MS: [u32; 3] = [500, 3000, 5000];

/// Packets per second, and the length of each. The last three nearly fill or overfill a default ring in
/// 5 s.
const RATES: [(u32, usize); 7] =
    [(10, 100), (100, 100), (500, 100), (2000, 1500), (9000, 1500), (17_000, 60), (15_000, 1500)];

/// Options of the benchmark.
#[derive(Debug, Args)]
pub struct Options {
    /// Another build of the agent, measured beside this one in the same run
    #[arg(long, value_name = "FILE")]
    beside: Option<PathBuf>,
}

/// Runs all measurements in its own network namespace.
///
/// # Errors
/// Fails if a program can't be started or its output can't be read.
pub fn run(options: &Options) -> anyhow::Result<()> {
    if !in_own_namespace()? {
        return Ok(());
    }
    let link = Pair::new();
    answer_nobody(&link);
    let ring = RingConfig::default();
    println!(
        "agent watch stopped (SIGSTOP) under a steady rate; its ring: {} MiB, {} blocks of {} KiB, \
         retire {} ms: {:.1} s of nearly empty blocks",
        ring.bytes() >> 20,
        ring.block_count,
        ring.block_size >> 10,
        ring.retire_ms,
        ring.lasts().as_secs_f64()
    );
    let mut columns = vec!["packets/s", "bytes each", "stall s", "offered", "ring's room", "lost"];
    columns.extend(options.beside.is_some().then_some("lost by the other agent"));
    let mut table = Table::new(&columns);
    let mut all_kept = true;
    for (rate, len) in RATES {
        for stall_ms in STALLS_MS {
            let load = Paced { len, packets: (rate * stall_ms).div_ceil(1000), rate };
            let room = ring.room(u32::try_from(len)?, Duration::from_millis(stall_ms.into()));
            let lost = lost(&program("agent"), load, stall_ms, &link)?;
            all_kept &= lost == 0 || u64::from(load.packets) > room;
            let mut row = vec![
                rate.to_string(),
                len.to_string(),
                format!("{:.1}", f64::from(stall_ms) / 1000.0),
                load.packets.to_string(),
                room.to_string(),
                lost.to_string(),
            ];
            if let Some(other) = &options.beside {
                row.push(self::lost(other, load, stall_ms, &link)?.to_string());
            }
            table.row(row);
        }
    }
    table.print();
    println!("packets that fit the ring are kept: {}", met(all_kept));
    Ok(())
}

/// Packets that the agent's ring lost out of those sent while it was stopped.
fn lost(agent: &Path, load: Paced, stall_ms: u32, link: &Pair) -> anyhow::Result<u64> {
    let tapping = Tapping::start(Tap::Agent, agent, NIC)?;
    let signal = |signal| kill(Pid::from_raw(tapping.pid().cast_signed()), signal);
    // Let it finish its start.
    std::thread::sleep(Duration::from_millis(200));
    signal(Signal::SIGSTOP)?;
    let sender = link.there_pid();
    let sent = std::thread::spawn(move || load.send_from(sender)).join();
    let took = sent.map_err(|_| anyhow::anyhow!("the sender panicked"))??;
    std::thread::sleep(Duration::from_millis(stall_ms.into()).saturating_sub(took));
    signal(Signal::SIGCONT)?;
    std::thread::sleep(Duration::from_millis(200));
    let (seen, lost) = tapping.stop()?;
    anyhow::ensure!(
        seen + lost == u64::from(load.packets),
        "{seen} seen and {lost} lost don't add up to {} sent",
        load.packets
    );
    Ok(lost)
}
