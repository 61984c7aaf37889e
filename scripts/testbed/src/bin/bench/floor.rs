//! The minimal reader: the agent's ring, and a sum of the lengths.

use std::time::Instant;

use agent::capture::pace::{Gathered, pause};
use agent::capture::ring::{Ring, RingConfig};
use anyhow::Context;
use clap::Args;

/// Options of the reader.
#[derive(Debug, Args)]
pub struct Options {
    /// The NIC
    nic: String,
    /// Let packets gather as the agent does, instead of waking for every block
    #[arg(long)]
    gather: bool,
}

/// Reads until it is interrupted, then prints the packets seen and the packets that the ring lost.
///
/// # Errors
/// Those of the ring.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let interrupted = settings::interrupted().context("no signals")?;
    let mut ring = Ring::open(&options.nic, &RingConfig::default())?;
    let mut statistics = ring.statistics()?;
    let (mut packets, mut bytes) = (0u64, 0u64);
    let mut last = Instant::now();
    while !interrupted.try_recv().is_err_and(|error| error.is_disconnected()) {
        let mut gathered = Gathered::default();
        while let Some(block) = ring.next_block() {
            gathered.blocks += 1;
            gathered.packets += block.packet_count();
            for packet in block.packets() {
                packets += 1;
                bytes += u64::from(packet.len);
            }
        }
        gathered.within = last.elapsed();
        last += gathered.within;
        match pause(gathered, ring.block_count()).filter(|_| options.gather) {
            Some(pause) => std::thread::sleep(pause),
            None => ring.wait(100)?,
        }
    }
    println!("packets {packets} bytes {bytes} dropped {}", statistics.take()?.dropped);
    Ok(())
}
