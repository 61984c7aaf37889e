//! Samples as JSON, one object per line. Keys are a contract; figures are bytes and packets.

use std::io::{self, Write};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use wire::frame::{Counts, Sample};

use super::Totals;

/// Prints one sample.
pub(super) fn sample(sample: &Sample, out: &mut impl Write) -> io::Result<()> {
    let Sample { nic, start_ns, interval_ns, rx, tx, drops, late, inexact, .. } = sample;
    let object = json!({
        "time": time(*start_ns),
        "interval_ns": interval_ns,
        "nic": nic.to_string(),
        "rx": direction(rx),
        "tx": direction(tx),
        "drops": drops,
        "late": late,
        "inexact": inexact,
    });
    writeln!(out, "{object}")
}

/// Prints the sums of the run.
pub(super) fn total(totals: &Totals, out: &mut impl Write) -> io::Result<()> {
    let nics: Map<String, Value> = totals
        .nics
        .iter()
        .map(|(nic, total)| {
            let object = json!({
                "rx": direction(&total.rx),
                "tx": direction(&total.tx),
                "drops": total.drops,
                "offered": total.ledger.offered,
                "seen": total.ledger.seen,
                "verdict": total.verdict.to_string(),
                "measured_ns": total.measured_ns,
            });
            (nic.to_string(), object)
        })
        .collect();
    writeln!(out, "{}", json!({ "total": true, "nics": nics }))?;
    out.flush()
}

fn direction(counts: &Counts) -> Value {
    json!({
        "bytes": counts.bytes,
        "packets": counts.packets,
        "captured": counts.captured,
        "peak_1ms_bytes": counts.peak_1ms_bytes,
        "peak_10ms_bytes": counts.peak_10ms_bytes,
    })
}

/// RFC 3339, in UTC.
fn time(ns: u64) -> String {
    Timestamp::from_nanosecond(i128::from(ns))
        .map_or_else(|_| ns.to_string(), |time| format!("{time:.9}"))
}
