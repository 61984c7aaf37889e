//! The tables of samples.

/// The table of packed samples.
pub const PACKED: &str = "packed_samples";

/// The table of samples that have a row each.
pub const HOT: &str = "hot_samples";
