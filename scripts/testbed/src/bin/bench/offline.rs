//! The spool of an agent that had no collector: two samples a second on two NICs, in simulated time.

use std::path::Path;

use agent::ship::framer::Framer;
use agent::ship::spool::{Now, Spool, SpoolLimits};
use anyhow::Result;
use wire::frame::{Counts, Mix, Sample};
use wire::id::{NicName, SessionId};
use wire::{BootNs, Seq, WallNs};
use wire::{Bytes, Packets};

/// Length of a sample, nanoseconds.
const SAMPLE_NS: u64 = 500_000_000;

/// Length of a report, nanoseconds.
pub const REPORT_NS: u64 = 1_000_000_000;

/// Samples between two mixes.
const MIX: u64 = 20;

/// Samples between two checks of the spool's limits: ten minutes, to keep the benchmark short.
const MAINTENANCE: u64 = 1200;

/// The session.
pub const SESSION: SessionId = SessionId::new(0xbac_109);

/// Its NICs.
pub const NICS: [&str; 2] = ["eth0", "eth1"];

/// What the spool was given.
#[derive(Debug)]
pub struct Left {
    /// Reports made.
    pub reports: u64,
    /// Samples in them.
    pub samples: u64,
    /// Bytes per NIC and direction.
    pub bytes: u64,
    /// Largest size of the spool's files, bytes.
    pub largest: u64,
}

/// Writes a spool whose last sample ends now.
///
/// # Errors
/// The spool can't be written.
pub fn fill(path: &Path, limits: SpoolLimits, hours: u64) -> Result<Left> {
    let count = hours * 3_600_000_000_000 / SAMPLE_NS;
    let now_ns = agent::clocks::wall_ns();
    let begin_ns = now_ns / SAMPLE_NS * SAMPLE_NS - count * SAMPLE_NS;
    let begin = Now { wall_ns: WallNs(begin_ns), boot_ns: BootNs(begin_ns), ..Now::default() };
    let (mut spool, _) = Spool::open(path, limits, begin)?;
    spool.begin(SESSION, begin)?;
    let mut framer = Framer::new(SESSION, Seq(0), REPORT_NS);
    let mut left = Left { reports: 0, samples: 0, bytes: 0, largest: 0 };
    let mut frames = Vec::new();
    for n in 0..count {
        let start_ns = begin_ns + n * SAMPLE_NS;
        let (samples, mixes) = interval(n, start_ns, &mut left.bytes);
        left.samples += samples.len() as u64;
        frames.extend(framer.add(samples, mixes));
        if n + 1 == count {
            frames.extend(framer.finish());
        }
        if n % MAINTENANCE == MAINTENANCE - 1 || n + 1 == count {
            left.reports += frames.len() as u64;
            spool.append(&frames, BootNs(start_ns))?;
            spool.maintain(SESSION, BootNs(start_ns))?;
            frames.clear();
            left.largest = left.largest.max(size(path));
        }
    }
    spool.end(SESSION)?;
    Ok(left)
}

fn interval(n: u64, start_ns: u64, total: &mut u64) -> (Vec<Sample>, Vec<Mix>) {
    let nics = NICS.map(|nic| NicName::new(nic).expect("a name of a NIC"));
    let bytes = 1_000_000 + n * 7919 % 100_000;
    *total += bytes;
    let (packets, total_packets) = (1000, (n + 1) * 1000);
    let rx = Counts {
        bytes: Bytes(bytes),
        packets: Packets(packets),
        captured: Packets(packets),
        peak_1ms_bytes: 9000,
        peak_10ms_bytes: 30_000,
        total_bytes: Bytes(*total),
        total_packets: Packets(total_packets),
    };
    let sample = |nic| Sample {
        nic,
        start_ns: WallNs(start_ns),
        interval_ns: SAMPLE_NS,
        rx,
        tx: rx,
        ..Sample::default()
    };
    let mix = |nic| Mix {
        nic,
        start_ns: WallNs(start_ns - (MIX - 1) * SAMPLE_NS),
        interval_ns: MIX * SAMPLE_NS,
        ..Mix::default()
    };
    let mixes = if n % MIX == MIX - 1 { nics.map(mix).to_vec() } else { Vec::new() };
    (nics.map(sample).to_vec(), mixes)
}

/// Bytes of the spool's file and its WAL.
fn size(path: &Path) -> u64 {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    let files = [path.as_os_str().to_owned(), wal];
    files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|it| it.len()).sum()
}
