//! Fuzz targets for every decoder of foreign bytes. They assert more than the absence of panics where
//! possible: decoded values are within their limits and encode to the same bytes.
//!
//! A target is a function of bytes with its limits ([`Target`]). `fuzz` (stable, unguided) replays the
//! corpus and mutates it at random; `guided` lets libFuzzer search by coverage.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here is a find")]

pub mod bounded;
pub mod cli;
pub mod mutate;
pub mod seeds;
mod target;
mod targets;

pub use self::target::Target;
pub use self::targets::{TARGETS, named};
