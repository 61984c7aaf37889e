//! Accounting: from facts about packets to the figures of an interval.

pub mod burst;
