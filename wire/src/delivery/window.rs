//! How much may be under way, and how much of it may be missing.

/// Most sequence numbers beyond the last one in order that a receiver has room for, and so the
/// most that a sender may have under way.
pub const WINDOW: u64 = 1024;

/// Most ranges of missing numbers that one acknowledgement names.
pub const MISSING_MAX: usize = 64;
