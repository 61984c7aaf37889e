//! What a target is.

use std::path::{Path, PathBuf};

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
    /// Where its corpus is.
    #[must_use]
    pub fn corpus(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(self.name)
    }
}
