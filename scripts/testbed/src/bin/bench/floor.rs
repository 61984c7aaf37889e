//! The least that a reader can do: the agent's ring, and the sum of the lengths.

use agent::capture::ring::{Ring, RingConfig};
use anyhow::Context;
use clap::Args;

/// Options of the reader.
#[derive(Debug, Args)]
pub struct Options {
    /// The NIC
    nic: String,
}

/// Reads until it is told to end, then prints what it has seen and what the ring has lost.
///
/// # Errors
/// What the ring says.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let interrupted = settings::interrupted().context("no signals")?;
    let mut ring = Ring::open(&options.nic, &RingConfig::default())?;
    let mut statistics = ring.statistics()?;
    let (mut packets, mut bytes) = (0u64, 0u64);
    while !interrupted.try_recv().is_err_and(|error| error.is_disconnected()) {
        while let Some(block) = ring.next_block() {
            for packet in block.packets() {
                packets += 1;
                bytes += u64::from(packet.len);
            }
        }
        ring.wait(100)?;
    }
    println!("packets {packets} bytes {bytes} dropped {}", statistics.take()?.dropped);
    Ok(())
}
