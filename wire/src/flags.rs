//! Bits of [`Sample::flags`](crate::frame::Sample::flags).

/// The NIC is stacked on, or a port of, another captured NIC: not part of the host's total.
pub const STACKED: u32 = 1;
/// The ring has no `PACKET_VNET_HDR`: super-packets count as one packet.
pub const NO_VNET_HEADER: u32 = 2;
/// The wall clock was stepped during the interval.
pub const CLOCK_STEP: u32 = 4;
/// Capture began or ended inside the interval.
pub const PARTIAL: u32 = 8;
/// The kernel's counters could not be read.
pub const NO_KERNEL_COUNTS: u32 = 16;
/// Since capture began, the kernel's counters of the NIC have counted super-packets instead of
/// packets on the wire.
pub const SUPER_PACKETS: u32 = 32;
/// Since capture began, the kernel has counted packets that no tap saw (XDP, hardware offload).
pub const BYPASSED: u32 = 64;
/// Since capture began, the kernel has counted fewer packets than the tap saw.
pub const KERNEL_LESS: u32 = 128;
/// Capture ended with packets neither counted nor dropped.
pub const UNBALANCED: u32 = 256;

/// The names of a set of flags.
#[must_use]
pub fn names(set: u32) -> Vec<&'static str> {
    let names = [
        (STACKED, "stacked"),
        (NO_VNET_HEADER, "no_vnet_header"),
        (CLOCK_STEP, "clock_step"),
        (PARTIAL, "partial"),
        (NO_KERNEL_COUNTS, "no_kernel_counts"),
        (SUPER_PACKETS, "super_packets"),
        (BYPASSED, "bypassed"),
        (KERNEL_LESS, "kernel_less"),
        (UNBALANCED, "unbalanced"),
    ];
    names.into_iter().filter(|(flag, _)| set & flag != 0).map(|(_, name)| name).collect()
}
