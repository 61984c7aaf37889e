//! The tables of mixes.

/// The table of packed mixes.
pub const PACKED: &str = "packed_mixes";

/// The table of mixes that have a row each.
pub const HOT: &str = "hot_mixes";
