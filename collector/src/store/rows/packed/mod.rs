//! Packed rows: those of one NIC over a stretch of time, column by column. Nothing is lost; a sample takes 9 bytes
//! of a silent NIC to 23 of a busy one (`bench packed`), a mix 28 to 104 in SQLite (`bench packing`). Pure: every store
//! packs the same.
//!
//! What is packed has a format byte, the number of rows, and for each column its length, the CRC-32 of its
//! numbers, and its numbers in blocks that are as few bits wide as they can be, the highest bit first. The CRC-32 of
//! all bytes ends them, so that whoever reads few rows needs only their blocks. Earlier versions packed without it:
//! such columns are read whole.

mod column;
mod mixes;
mod rows;
mod samples;
pub mod stretches;
mod sums;

pub use self::mixes::{MixRow, PackedMixes, span};
pub use self::rows::{Columnar, ROWS_MAX, bytes_of_starts, unpack, unpack_where};
pub use self::samples::{Packed, starts};
pub use self::sums::PackedSums;

#[cfg(test)]
mod tests;
