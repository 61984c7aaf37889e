//! The tables of the file whose rows have client, NIC and time: those of [`tables`], but samples have two.

use crate::store::rows::tables::{KEEPING, SAMPLES, Timed};
use crate::store::sqlite::samples::{HOT, PACKED};

/// Most rows deleted per step.
pub const STEP_ROWS: i64 = 5000;

/// Most stretches deleted per step: each has thousands of samples.
const STEP_STRETCHES: i64 = 8;

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
        let rows = Stored { name: row_table(of.name), of, start: "time", step_rows: STEP_ROWS };
        let packed = Stored { name: PACKED, start: "first", step_rows: STEP_STRETCHES, ..rows };
        [rows].into_iter().chain((of.name == SAMPLES).then_some(packed))
    })
}

/// The tables whose rows keep a NIC listed.
pub fn keeping() -> impl Iterator<Item = &'static str> {
    KEEPING.into_iter().map(row_table).chain([PACKED])
}

/// The table with a row for each figure.
fn row_table(table: &'static str) -> &'static str {
    if table == SAMPLES { HOT } else { table }
}
