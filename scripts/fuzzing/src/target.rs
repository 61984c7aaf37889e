//! The type of a target.

use std::path::{Path, PathBuf};

/// A decoder of foreign bytes, with assertions on its results.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: of its file, its corpus, and on the command line.
    pub name: &'static str,
    /// The source of the bytes, and their decoder.
    pub about: &'static str,
    /// Longest useful input, bytes.
    pub input_max: usize,
    /// Most memory in use during one input, bytes.
    pub memory_max: usize,
    /// Decodes an input; panics if an assertion fails.
    pub run: fn(&[u8]),
}

impl Target {
    /// Folder of its corpus.
    #[must_use]
    pub fn corpus(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(self.name)
    }
}
