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
mod targets;

use std::path::{Path, PathBuf};

pub use self::targets::TARGETS;

/// What the sum of all that is allocated at the same time is measured by.
#[global_allocator]
static MEMORY: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

/// A decoder of foreign bytes and what is asserted of it.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: of its file, its corpus, and on the command line.
    pub name: &'static str,
    /// Whose bytes these are, and what decodes them.
    pub about: &'static str,
    /// Longest input of use, bytes.
    pub input_max: usize,
    /// Most memory that one input may take at the same time, bytes.
    pub memory_max: usize,
    /// Decodes an input; panics if an assertion doesn't hold.
    pub run: fn(&[u8]),
}

impl Target {
    /// The target of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Where its corpus is.
    #[must_use]
    pub fn corpus(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(self.name)
    }
}
