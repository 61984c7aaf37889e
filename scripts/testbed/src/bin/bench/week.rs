//! `bench week`: what the spool holds after a week without a collector.

use std::time::Duration;

use agent::ship::spool::{Now, Spool, SpoolLimits};
use anyhow::{Result, bail, ensure};
use wire::Seq;
use wire::codec::{self, Received};
use wire::message::SeqRange;

use super::offline::{self, NICS, SESSION};

/// Duration and spool size.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Hours without a collector.
    #[arg(long, default_value_t = 7 * 24)]
    hours: u64,
    /// `spool.max_size`, MiB.
    #[arg(long, default_value_t = 64)]
    size: u64,
}

/// Fills the spool, adds up its contents and prints both.
///
/// # Errors
/// Fails if the spool can't be written or its sums are wrong.
pub fn run(options: &Options) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("spool.sqlite");
    let limits = SpoolLimits {
        max_size: options.size << 20,
        max_age: Duration::from_secs(8 * 86_400),
        keep_committed: Duration::from_secs(600),
    };
    let left = offline::fill(&path, limits.clone(), options.hours)?;
    println!("{} h: {} samples in {} reports", options.hours, left.samples, left.reports);
    let (mut spool, _) = Spool::open(&path, limits, Now::default())?;
    let all = SeqRange { first: Seq(1), last: Seq(left.reports) };
    let records = spool.read(SESSION, all, usize::MAX)?;
    let (mut next, mut bytes, mut gaps) = (Seq::FIRST, [0; 2], 0);
    let mut by_length = [0_u64; 3];
    for record in &records {
        let Received::Frame(frame) = codec::decode(&record.frame)? else {
            bail!("a message in the spool");
        };
        ensure!(frame.first_seq == next, "{} follows {next}", frame.first_seq);
        next = frame.last_seq + 1;
        gaps += u64::from(frame.gap != 0);
        for sample in &frame.samples {
            by_length[match sample.interval_ns / 1_000_000 {
                0..1_000 => 0,
                1_000..11_000 => 1,
                _ => 2,
            }] += 1;
            for (sum, counts) in bytes.iter_mut().zip([sample.rx, sample.tx]) {
                *sum += counts.bytes.get();
            }
        }
    }
    let expected = left.bytes * NICS.len() as u64;
    ensure!(next == Seq(left.reports + 1), "numbers end at {next}");
    ensure!(bytes == [expected; 2], "{bytes:?} bytes are left of {expected}");
    let [exact, tens, minutes] = by_length;
    println!(
        "left in {} records: {exact} samples of 500 ms, {tens} of 10 s, {minutes} of 1 min, \
         {gaps} gaps; files at most {} KiB of {} MiB",
        records.len(),
        left.largest >> 10,
        options.size
    );
    println!("each sequence number is there once, and all {expected} bytes each way");
    Ok(())
}
