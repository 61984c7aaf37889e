//! Inputs of a corpus.

/// Name and input.
pub type Seeds = Vec<(&'static str, Vec<u8>)>;
