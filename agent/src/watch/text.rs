//! Samples as text: one line per sample and NIC, units in the heading.

use std::io::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use settings::Foreign;
use settings::units::{bits_per_second, bytes, count};
use wire::frame::{Counts, MixCounts, SIZE_CLASS_MAX, Sample};
use wire::{Bytes, Packets, WallNs};

use super::totals::WatchSums;
use crate::sampler::verdict::Verdict;

/// Prints the heading.
pub(super) fn heading(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "Bytes on the wire from the MAC header, without FCS and preamble. Peak: highest rate over \
         any 1 ms.\n{:12}  {:15}  {:>11} {:>11} {:>8} {:>11}  {:>11} {:>11} {:>8} {:>11}  {:>8}",
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

/// Prints one sample, with what there is to know about how exact it is.
pub(super) fn sample(sample: &Sample, verdict: Verdict, out: &mut impl Write) -> io::Result<()> {
    let Sample { nic, start_ns, interval_ns, rx, tx, drops, .. } = sample;
    writeln!(
        out,
        "{:12}  {:15}  {}  {}  {:>8}{}",
        local_time(*start_ns),
        Foreign(&nic.to_string()),
        direction(rx, *interval_ns),
        direction(tx, *interval_ns),
        drops,
        notes(sample, verdict)
    )
}

/// Marks a sample that isn't exact; super-packets in the kernel's count don't.
fn notes(sample: &Sample, verdict: Verdict) -> String {
    let Sample { drops, late, inexact, .. } = *sample;
    let mut notes = String::new();
    let mut note = |it: bool, text: String| {
        if it {
            notes += &format!("  {text}");
        }
    };
    note(drops > Packets(0), "LOSS".into());
    note(late > 0, format!("{late} late"));
    note(inexact > 0, format!("{inexact} inexact"));
    let odd = matches!(verdict, Verdict::Bypassed | Verdict::KernelLess);
    note(odd, verdict.to_string());
    notes
}

/// Prints the sums of the run.
pub(super) fn total(totals: &WatchSums, with_mix: bool, out: &mut impl Write) -> io::Result<()> {
    for (nic, total) in &totals.nics {
        let side = |name: &str, counts: &Counts| {
            format!(
                "{name} {} in {} packets (captured as {}; peak {} in 1 ms, {} in 10 ms)",
                bytes(counts.bytes.get()),
                counts.packets,
                counts.captured,
                bytes(counts.peak_1ms_bytes.into()),
                bytes(counts.peak_10ms_bytes.into())
            )
        };
        writeln!(
            out,
            "total {nic}: {}, {}, {} dropped by the ring, {} late, {} inexact; compared with the \
             kernel: {}",
            side("rx", &total.rx),
            side("tx", &total.tx),
            total.drops,
            total.late,
            total.inexact,
            total.verdict
        )?;
        if with_mix {
            writeln!(out, "mix {nic} rx: {}", mix(&total.rx_mix))?;
            writeln!(out, "mix {nic} tx: {}", mix(&total.tx_mix))?;
        }
    }
    out.flush()
}

/// The figures of a mix that aren't zero.
fn mix(mix: &MixCounts) -> String {
    let sized = |name: &str, packets: Packets, sum: Bytes| (name.to_owned(), packets, Some(sum));
    let plain = |name: &str, packets: Packets| (name.to_owned(), packets, None);
    let classes = SIZE_CLASS_MAX.iter().map(|max| format!("to {max} B")).chain(["over".into()]);
    let sizes = classes.zip(mix.size_packets).map(|(name, packets)| (name, packets, None));
    let mut parts: Vec<String> = [
        sized("tcp", mix.tcp_packets, mix.tcp_bytes),
        sized("udp", mix.udp_packets, mix.udp_bytes),
        sized("icmp", mix.icmp_packets, mix.icmp_bytes),
        sized("other ip", mix.other_transport_packets, mix.other_transport_bytes),
        plain("syn", mix.tcp_syn_packets),
        plain("rst", mix.tcp_rst_packets),
        plain("multicast", mix.multicast_packets),
        plain("broadcast", mix.broadcast_packets),
    ]
    .into_iter()
    .chain(sizes)
    .filter(|(_, packets, _)| *packets > Packets(0))
    .map(|(name, packets, sum)| match sum {
        Some(sum) => format!("{name} {packets} ({})", bytes(sum.get())),
        None => format!("{name} {packets}"),
    })
    .collect();
    let networks = [
        ("ipv4", mix.ipv4_bytes),
        ("ipv6", mix.ipv6_bytes),
        ("arp", mix.arp_bytes),
        ("other", mix.other_bytes),
    ];
    let networks = networks.into_iter().filter(|(_, sum)| *sum > Bytes(0));
    parts.extend(networks.map(|(name, sum)| format!("{name} {}", bytes(sum.get()))));
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

fn direction(counts: &Counts, interval_ns: u64) -> String {
    const MS_NS: u64 = 1_000_000;
    let size = match counts.bytes.get().checked_div(counts.packets.get()) {
        Some(mean) => format!("{mean} B"),
        None => "-".to_owned(),
    };
    format!(
        "{:>11} {:>11} {size:>8} {:>11}",
        bits_per_second(counts.bytes.get(), interval_ns),
        count(counts.packets.get(), interval_ns),
        bits_per_second(u64::from(counts.peak_1ms_bytes), MS_NS)
    )
}

/// The time of day where the user is.
fn local_time(at: WallNs) -> String {
    let time = Timestamp::from_nanosecond(i128::from(at.get())).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned_datetime(TimeZone::system()).strftime("%H:%M:%S.%3f").to_string()
}
