//! Rows of samples and of rollups: which ones are meant, and their figures.

use rusqlite::{Connection, OptionalExtension, Row, ToSql};
use wire::{Bytes, Packets, WallNs};

use super::error::Failure;
use super::number::number;
use crate::store::rows::nics::NicId;
use crate::store::rows::packed::stretches::HOUR;
use crate::store::rows::series::{NicRange, Point, PointCounts};

/// The selected rows of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowKey {
    pub client: i64,
    pub nic: NicId,
    pub from: i64,
    pub to: i64,
}

impl RowKey {
    pub fn params(&self) -> [&dyn ToSql; 4] {
        [&self.client, &self.nic, &self.from, &self.to]
    }

    /// True if what starts then is within the range.
    pub fn covers(&self, start_ns: WallNs) -> bool {
        (self.from..self.to).contains(&start_ns.to_column())
    }
}

/// The stretches of a table that may have rows in the range of a [`RowKey`]: they lie within an hour each.
pub(super) fn touching(table: &str) -> String {
    format!(
        "FROM {table} WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND first < ?4
             AND time < CASE WHEN ?4 < {0} THEN ?4 + {HOUR} ELSE {1} END",
        i64::MAX - HOUR,
        i64::MAX
    )
}

/// The numbers that identify a NIC's rows. `None` if there is no such NIC.
pub(super) fn nic_key(db: &Connection, range: &NicRange) -> Result<Option<RowKey>, Failure> {
    let key = db
        .prepare_cached(
            "SELECT clients.id, nics.id FROM clients JOIN nics ON nics.client = clients.id
             WHERE client_id = ?1 AND name = ?2",
        )?
        .query_row([&range.client, &range.nic], |row| {
            Ok(RowKey {
                client: row.get(0)?,
                nic: row.get(1)?,
                from: range.from_ns.to_column(),
                to: range.to_ns.to_column(),
            })
        })
        .optional()?;
    Ok(key)
}

/// The figures of a row: start, length, those of each direction, drops, flags.
pub(super) fn point(row: &Row<'_>) -> rusqlite::Result<Point> {
    let counts = |at: usize| {
        Ok::<_, rusqlite::Error>(PointCounts {
            bytes: Bytes(number(row, at)?),
            packets: Packets(number(row, at + 1)?),
            captured: Packets(number(row, at + 2)?),
            peak_1ms_bytes: row.get(at + 3)?,
            peak_10ms_bytes: row.get(at + 4)?,
        })
    };
    Ok(Point {
        start_ns: WallNs::of_column(row.get(0)?),
        interval_ns: number(row, 1)?,
        rx: counts(2)?,
        tx: counts(7)?,
        drops: Packets(number(row, 12)?),
        flags: row.get(13)?,
    })
}
