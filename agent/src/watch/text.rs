//! Samples as text: one line per sample and NIC, units in the heading.

use std::io::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use wire::frame::{Counts, Sample};

use super::Totals;
use settings::units::{bits_per_second, bytes, count};

/// Prints the heading.
pub(super) fn heading(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "Bytes on the wire from the MAC header on, without FCS and preamble. Peak: highest rate \
         over any 1 ms.\n\
         {:12}  {:15}  {:>11} {:>11} {:>8} {:>11}  {:>11} {:>11} {:>8} {:>11}  {:>8}",
        "time",
        "nic",
        "rx bit/s",
        "rx pkt/s",
        "rx size",
        "rx peak",
        "tx bit/s",
        "tx pkt/s",
        "tx size",
        "tx peak",
        "drops"
    )?;
    out.flush()
}

/// Prints one sample.
pub(super) fn sample(sample: &Sample, out: &mut impl Write) -> io::Result<()> {
    let Sample { nic, start_ns, interval_ns, rx, tx, drops, .. } = sample;
    writeln!(
        out,
        "{:12}  {:15}  {}  {}  {:>8}",
        local_time(*start_ns),
        nic.to_string(),
        direction(rx, *interval_ns),
        direction(tx, *interval_ns),
        drops
    )
}

/// Prints the sums of the run.
pub(super) fn total(totals: &Totals, out: &mut impl Write) -> io::Result<()> {
    for (nic, total) in &totals.nics {
        let side = |name: &str, counts: &Counts| {
            format!(
                "{name} {} in {} packets (captured as {})",
                bytes(counts.bytes),
                counts.packets,
                counts.captured
            )
        };
        writeln!(
            out,
            "total {nic}: {}, {}, {} dropped by the ring; beside the kernel's count: {}",
            side("rx", &total.rx),
            side("tx", &total.tx),
            total.drops,
            total.verdict
        )?;
    }
    out.flush()
}

fn direction(counts: &Counts, interval_ns: u64) -> String {
    const MS_NS: u64 = 1_000_000;
    let size = match counts.bytes.checked_div(counts.packets) {
        Some(mean) => format!("{mean} B"),
        None => "-".to_owned(),
    };
    format!(
        "{:>11} {:>11} {size:>8} {:>11}",
        bits_per_second(counts.bytes, interval_ns),
        count(counts.packets, interval_ns),
        bits_per_second(u64::from(counts.peak_1ms_bytes), MS_NS)
    )
}

/// The time of day where the user is.
fn local_time(ns: u64) -> String {
    let time = Timestamp::from_nanosecond(i128::from(ns)).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned_datetime(TimeZone::system()).strftime("%H:%M:%S.%3f").to_string()
}
