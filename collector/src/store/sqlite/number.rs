//! Numbers as SQLite keeps them: of 64 bits, signed.

use rusqlite::Row;

use super::error::Failure;

/// A figure as SQLite keeps it. One that 64 signed bits can't hold is refused.
pub(super) fn int(figure: u64) -> Result<i64, Failure> {
    i64::try_from(figure).map_err(|_| Failure::Refused(format!("a figure of {figure}")))
}

/// As [`int`], of several.
pub(super) fn ints(figures: impl IntoIterator<Item = u64>) -> Result<Vec<i64>, Failure> {
    figures.into_iter().map(int).collect()
}

/// A bound of a range, or a time by a clock that may be wrong by ages: what is past what SQLite holds is
/// the largest it holds.
pub(super) fn bounded(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that a row holds.
pub(super) fn number(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(at).map(i64::cast_unsigned)
}
