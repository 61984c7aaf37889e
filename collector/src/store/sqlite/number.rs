//! Numbers in SQLite: 64 bits, signed.

use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use super::error::Failure;
use crate::store::rows::nics::NicId;

impl ToSql for NicId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.get().into())
    }
}

impl FromSql for NicId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self)
    }
}

/// A figure for SQLite. Fails if it exceeds 63 bits.
pub(super) fn int(figure: u64) -> Result<i64, Failure> {
    i64::try_from(figure).map_err(|_| Failure::refused(format!("a figure of {figure}")))
}

/// Several figures for SQLite.
pub(super) fn ints(figures: impl IntoIterator<Item = u64>) -> Result<Vec<i64>, Failure> {
    figures.into_iter().map(int).collect()
}

/// A bound of a range, or a time from a clock that may be wrong by ages. Numbers beyond SQLite's range
/// become its largest value.
pub(super) fn bounded(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number in a row.
pub(super) fn number(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(at).map(i64::cast_unsigned)
}
