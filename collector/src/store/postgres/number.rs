//! Whole numbers in PostgreSQL's types.

use std::fmt::Display;

use super::error::Failure;

/// A figure for a column of 64 bits.
pub(super) fn int8(figure: u64) -> Result<i64, Failure> {
    i64::try_from(figure).map_err(|_| Failure::refused(format!("a figure of {figure}")))
}

/// Several figures for columns of 64 bits.
pub(super) fn int8s(figures: impl IntoIterator<Item = u64>) -> Result<Vec<i64>, Failure> {
    figures.into_iter().map(int8).collect()
}

/// A figure for a column of 32 bits.
pub(super) fn int4(figure: impl TryInto<i32> + Copy + Display) -> Result<i32, Failure> {
    figure.try_into().map_err(|_| Failure::refused(format!("a figure of {figure}")))
}

/// A bound of a range, or a time from a clock that may be wrong by ages. Numbers beyond the column's
/// range become its largest value.
pub(super) fn bounded(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
