//! Accounting: from facts about packets to the figures of an interval.
//!
//! One reader per ring counts, one sampler takes what was counted. Between them stand the slots
//! of a bank ([`bank::bank`]), handed over without a lock ([`handover`]), and with them the tables of
//! talkers ([`talker_cells`]). Which slot a packet belongs
//! to is decided by its own timestamp ([`clock`], [`interval`]).

pub mod bank;
pub mod burst;
pub mod clock;
pub mod handover;
pub mod interval;
pub mod shared;
pub mod talker_cells;

/// The atomics of the hand-over, under one name so that loom's can take their place in a test.
mod sync {
    pub use std::sync::atomic::{AtomicU64, Ordering, fence};
    pub use std::sync::{Mutex, MutexGuard};
}
