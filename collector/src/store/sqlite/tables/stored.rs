//! The tables of the file whose rows have client, NIC and time: those of [`tables`], but samples and mixes have two.

use crate::store::rows::tables::{KEEPING, MIXES, SAMPLES, Timed};
use crate::store::sqlite::{mixes, samples};

/// Most rows deleted per step.
pub const STEP_ROWS: i64 = 5000;

/// Most stretches deleted per step: each has thousands of samples, or hundreds of mixes.
const STEP_STRETCHES: i64 = 8;

/// What is packed: its name, its table with a row for each, and that with stretches.
const PACKED: [(&str, &str, &str); 2] =
    [(SAMPLES, samples::HOT, samples::PACKED), (MIXES, mixes::HOT, mixes::PACKED)];

/// A table, and what it is a part of.
#[derive(Debug, Clone, Copy)]
pub struct Stored {
    pub name: &'static str,
    pub of: Timed,
    /// The column with the start of a row's first figures; `time` is that of the last.
    pub start: &'static str,
    /// Most rows deleted per step.
    pub step_rows: i64,
}

/// The tables in which some tables are stored.
pub fn stored(all: impl IntoIterator<Item = Timed>) -> impl Iterator<Item = Stored> {
    all.into_iter().flat_map(|of| {
        let rows = |name| Stored { name, of, start: "time", step_rows: STEP_ROWS };
        let stretches = |name| Stored { name, of, start: "first", step_rows: STEP_STRETCHES };
        let [first, second] = tables(of.name);
        first.map(rows).into_iter().chain(second.map(stretches))
    })
}

/// The tables whose rows keep a NIC listed.
pub fn keeping() -> impl Iterator<Item = &'static str> {
    KEEPING.into_iter().flat_map(tables).flatten()
}

/// The table with a row for each figure, and that with stretches if there is one.
fn tables(name: &'static str) -> [Option<&'static str>; 2] {
    let packed = PACKED.into_iter().find(|(of, ..)| *of == name);
    packed.map_or([Some(name), None], |(_, hot, packed)| [Some(hot), Some(packed)])
}
