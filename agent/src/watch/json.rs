//! Samples as JSON, one object per line. Keys are a contract; figures are bytes and packets.

use std::io::{self, Write};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use wire::WallNs;
use wire::frame::{Counts, KernelCounts, Mix, MixCounts, Sample, flags};

use super::totals::WatchSums;
use crate::sampler::verdict::Verdict;

/// Prints one sample, with the verdict on all up to it, and with its mix if there is one.
pub(super) fn sample(
    sample: &Sample,
    verdict: Verdict,
    mix: Option<&Mix>,
    out: &mut impl Write,
) -> io::Result<()> {
    let Sample { nic, start_ns, interval_ns, rx, tx, drops, freezes, late, inexact, .. } = sample;
    let object = json!({
        "time": time(*start_ns),
        "interval_ns": interval_ns,
        "nic": nic.to_string(),
        "rx": direction(rx, mix.map(|mix| &mix.rx)),
        "tx": direction(tx, mix.map(|mix| &mix.tx)),
        "drops": drops,
        "freezes": freezes,
        "late": late,
        "inexact": inexact,
        "flags": flags::names(sample.flags),
        "kernel": kernel(sample.kernel),
        "verdict": verdict.to_string(),
    });
    writeln!(out, "{object}")
}

/// Prints the sums of the run.
pub(super) fn total(totals: &WatchSums, out: &mut impl Write) -> io::Result<()> {
    let nics: Map<String, Value> = totals
        .nics
        .iter()
        .map(|(nic, total)| {
            let object = json!({
                "rx": direction(&total.rx, Some(&total.rx_mix)),
                "tx": direction(&total.tx, Some(&total.tx_mix)),
                "drops": total.drops,
                "offered": total.balance.offered,
                "seen": total.balance.seen,
                "late": total.late,
                "inexact": total.inexact,
                "flags": flags::names(total.flags),
                "kernel": kernel(total.kernel),
                "verdict": total.verdict.to_string(),
                "measured_ns": total.measured_ns,
            });
            (nic.to_string(), object)
        })
        .collect();
    writeln!(out, "{}", json!({ "total": true, "nics": nics }))?;
    out.flush()
}

fn direction(counts: &Counts, mix: Option<&MixCounts>) -> Value {
    let mut object = json!({
        "bytes": counts.bytes,
        "packets": counts.packets,
        "captured": counts.captured,
        "peak_1ms_bytes": counts.peak_1ms_bytes,
        "peak_10ms_bytes": counts.peak_10ms_bytes,
    });
    if let Some(counts) = mix {
        object["mix"] = self::mix(counts);
    }
    object
}

/// The kernel's own counters of the NIC.
fn kernel(counts: KernelCounts) -> Value {
    let KernelCounts { rx_packets, tx_packets, rx_bytes, tx_bytes, dropped, errors } = counts;
    json!({
        "rx_packets": rx_packets,
        "tx_packets": tx_packets,
        "rx_bytes": rx_bytes,
        "tx_bytes": tx_bytes,
        "dropped": dropped,
        "errors": errors,
    })
}

/// The mix, by the names that it has on the wire.
fn mix(mix: &MixCounts) -> Value {
    json!({
        "multicast_packets": mix.multicast_packets,
        "broadcast_packets": mix.broadcast_packets,
        "size_packets": mix.size_packets,
        "ipv4_bytes": mix.ipv4_bytes,
        "ipv6_bytes": mix.ipv6_bytes,
        "arp_bytes": mix.arp_bytes,
        "other_bytes": mix.other_bytes,
        "tcp_packets": mix.tcp_packets,
        "tcp_bytes": mix.tcp_bytes,
        "udp_packets": mix.udp_packets,
        "udp_bytes": mix.udp_bytes,
        "icmp_packets": mix.icmp_packets,
        "icmp_bytes": mix.icmp_bytes,
        "other_transport_packets": mix.other_transport_packets,
        "other_transport_bytes": mix.other_transport_bytes,
        "tcp_syn_packets": mix.tcp_syn_packets,
        "tcp_rst_packets": mix.tcp_rst_packets,
    })
}

/// RFC 3339, in UTC.
pub(super) fn time(at: WallNs) -> String {
    Timestamp::from_nanosecond(i128::from(at.get()))
        .map_or_else(|_| at.to_string(), |time| format!("{time:.9}"))
}
