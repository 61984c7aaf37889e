//! The tables of samples.

/// The table of packed samples.
pub const PACKED: &str = "packed_samples";

/// The table of samples that have a row each.
pub const HOT: &str = "hot_samples";

/// The figures of a sample there, in the order in which they are packed.
pub const FIGURES: &str =
    "time, interval_ns, rx_bytes, rx_packets, rx_captured, rx_peak_1ms_bytes, rx_peak_10ms_bytes,
    tx_bytes, tx_packets, tx_captured, tx_peak_1ms_bytes, tx_peak_10ms_bytes, drops, flags";
