//! Two hosts with one certificate: which one continues, which one is refused, and what both ends
//! report.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod host;
mod one_collector;
mod two_collectors;
