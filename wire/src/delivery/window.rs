//! Limits on records in flight and on missing records.

/// Most sequence numbers that a receiver keeps beyond the last in order, and so the most that a sender
/// may have in flight.
pub const WINDOW: u64 = 1024;

/// Most missing ranges in one acknowledgement.
pub const MISSING_MAX: usize = 64;
