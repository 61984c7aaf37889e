//! Whole numbers in PostgreSQL's types.

use std::error::Error;
use std::fmt::Display;

use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::error::Failure;
use crate::store::rows::nics::NicId;

/// NIC numbers have 32 bits in PostgreSQL's tables: a larger one is refused.
impl ToSql for NicId {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        i32::try_from(self.get())?.to_sql(kind, out)
    }

    fn accepts(kind: &Type) -> bool {
        <i32 as ToSql>::accepts(kind)
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for NicId {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        i32::from_sql(kind, raw).map(|number| Self(number.into()))
    }

    fn accepts(kind: &Type) -> bool {
        <i32 as FromSql<'_>>::accepts(kind)
    }
}

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
