//! Values of rows.

use std::time::SystemTime;

use tokio_postgres::{Error, Row};
use wire::{Bytes, Packets, WallNs};

use super::session::time_ns;
use crate::store::rows::series::{Point, PointCounts};

/// A whole number, stored signed because PostgreSQL has no unsigned types.
pub(super) fn number(row: &Row, at: usize) -> Result<u64, Error> {
    row.try_get::<_, i64>(at).map(i64::cast_unsigned)
}

/// A 32-bit number, stored in a wider column because PostgreSQL has no unsigned types.
pub(super) fn small(row: &Row, at: usize) -> Result<u32, Error> {
    number(row, at).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

pub(super) fn instant(row: &Row, at: usize) -> Result<WallNs, Error> {
    row.try_get::<_, SystemTime>(at).map(time_ns)
}

pub(super) fn point(row: &Row) -> Result<Point, Error> {
    let peak = |at| row.try_get::<_, i32>(at).map(i32::cast_unsigned);
    let counts = |at: usize| {
        Ok::<_, Error>(PointCounts {
            bytes: Bytes(number(row, at)?),
            packets: Packets(number(row, at + 1)?),
            captured: Packets(number(row, at + 2)?),
            peak_1ms_bytes: peak(at + 3)?,
            peak_10ms_bytes: peak(at + 4)?,
        })
    };
    Ok(Point {
        start_ns: instant(row, 0)?,
        interval_ns: number(row, 1)?,
        rx: counts(2)?,
        tx: counts(7)?,
        drops: Packets(number(row, 12)?),
        flags: row.try_get::<_, i32>(13)?.cast_unsigned(),
    })
}

/// SQL for a sum of figures that [`number`] can read: 64 bits, where the largest value stands for all
/// larger sums. 0 without rows.
pub(super) fn sum(figure: &str) -> String {
    let (signed, most) = (i64::MAX, u64::MAX);
    format!(
        "(CASE WHEN sum({figure}) > {signed} THEN least(sum({figure}), {most}) - {most} - 1
          ELSE coalesce(sum({figure}), 0) END)::bigint"
    )
}
