//! Fuzz targets for every decoder of foreign bytes. Each asserts more than that nothing panics
//! where more can be said: what decodes is within its limits and comes out again as it went in.
//!
//! A target is a function of bytes and its bounds ([`Target`]). `fuzz` (stable, no guidance) replays
//! its corpus and changes it at random; `guided` lets libFuzzer search by coverage.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here is a find")]

pub mod bounded;
pub mod cli;
pub mod mutate;
pub mod seeds;
mod target;
mod targets;

pub use self::target::Target;
pub use self::targets::{TARGETS, named};
