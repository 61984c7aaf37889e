//! Names of the columns of both engines, in the order of their figures. The figures are plain numbers
//! from here on: a store adds up bytes and packets alike.

use wire::frame::{KernelCounts, Mix, MixCounts, Sample};

/// The figures of a direction of `traffic_mix`, without the direction's prefix.
pub const MIX: [&str; MixCounts::FIGURES] = [
    "multicast_packets",
    "broadcast_packets",
    "tcp_syn_packets",
    "tcp_rst_packets",
    "size_64_packets",
    "size_127_packets",
    "size_255_packets",
    "size_511_packets",
    "size_1023_packets",
    "size_1518_packets",
    "size_over_1518_packets",
    "ipv4_bytes",
    "ipv6_bytes",
    "arp_bytes",
    "other_bytes",
    "tcp_packets",
    "tcp_bytes",
    "udp_packets",
    "udp_bytes",
    "icmp_packets",
    "icmp_bytes",
    "other_transport_packets",
    "other_transport_bytes",
];

/// The kernel's counters.
pub const KERNEL: [&str; 6] = [
    "kernel_rx_packets",
    "kernel_tx_packets",
    "kernel_rx_bytes",
    "kernel_tx_bytes",
    "kernel_dropped",
    "kernel_errors",
];

/// Summed figures of samples, gaps and rollups.
pub const COUNTS: [&str; 6] =
    ["rx_bytes", "tx_bytes", "rx_packets", "tx_packets", "rx_captured", "tx_captured"];

/// Peaks of samples, gaps and rollups, of which the largest is kept.
pub const PEAKS: [&str; 4] =
    ["rx_peak_1ms_bytes", "tx_peak_1ms_bytes", "rx_peak_10ms_bytes", "tx_peak_10ms_bytes"];

/// Further summed figures of rollups, besides [`COUNTS`] and [`KERNEL`].
pub const LOSSES: [&str; 4] = ["drops", "freezes", "late", "inexact"];

/// Number of figure columns of `traffic_mix`.
pub const MIX_FIGURES: usize = 2 * MIX.len() + KERNEL.len();

/// All figure columns of `traffic_mix`: received, transmitted, the kernel's.
pub fn mix_columns() -> impl Iterator<Item = String> {
    let of = |direction: &'static str| MIX.iter().map(move |name| format!("{direction}_{name}"));
    of("rx").chain(of("tx")).chain(KERNEL.map(str::to_owned))
}

/// The figures of [`mix_columns`].
pub fn mix_figures(mix: &Mix) -> impl Iterator<Item = u64> + use<> {
    let Mix { mut rx, mut tx, kernel, .. } = *mix;
    let mut figures: Vec<u64> = rx.figures_mut().chain(tx.figures_mut()).map(|it| *it).collect();
    figures.extend(kernel_figures(kernel));
    figures.into_iter()
}

/// The figures of [`KERNEL`].
#[must_use]
pub const fn kernel_figures(kernel: KernelCounts) -> [u64; 6] {
    let KernelCounts { rx_packets, tx_packets, rx_bytes, tx_bytes, dropped, errors } = kernel;
    [
        rx_packets.get(),
        tx_packets.get(),
        rx_bytes.get(),
        tx_bytes.get(),
        dropped.get(),
        errors.get(),
    ]
}

/// The figures of [`COUNTS`].
#[must_use]
pub const fn count_figures(sample: &Sample) -> [u64; 6] {
    let Sample { rx, tx, .. } = sample;
    [
        rx.bytes.get(),
        tx.bytes.get(),
        rx.packets.get(),
        tx.packets.get(),
        rx.captured.get(),
        tx.captured.get(),
    ]
}

/// The figures of [`PEAKS`].
#[must_use]
pub const fn peak_figures(sample: &Sample) -> [u32; 4] {
    let Sample { rx, tx, .. } = sample;
    [rx.peak_1ms_bytes, tx.peak_1ms_bytes, rx.peak_10ms_bytes, tx.peak_10ms_bytes]
}

/// The figures of [`LOSSES`].
#[must_use]
pub fn loss_figures(sample: &Sample) -> [u64; 4] {
    let Sample { drops, freezes, late, inexact, .. } = *sample;
    [drops.get(), freezes.into(), late.into(), inexact.into()]
}
