//! Rows of `packed_samples`.

use std::sync::LazyLock;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};
use wire::WallNs;

use super::tables::PACKED;
use crate::store::rows::packed::{Packed, PackedSums, starts, unpack_where};
use crate::store::rows::series::Point;
use crate::store::sqlite::error::Failure;
use crate::store::sqlite::number::{bounded, number};
use crate::store::sqlite::points::{RowKey, touching};
use crate::store::sqlite::tables::nics::NicIds;
use crate::store::sqlite::wide::wide;
use crate::time::Time;

/// The columns after the key, in the order of [`Stretch::read`].
const COLUMNS: &str =
    "first, time, samples, interval_ns, rx_bytes, rx_packets, rx_captured, tx_bytes,
    tx_packets, tx_captured, drops, rx_peak_1ms_bytes, rx_peak_10ms_bytes, tx_peak_1ms_bytes,
    tx_peak_10ms_bytes, flags, columns, id";

/// The stretches of a NIC that may have samples in a range.
static TOUCHING: LazyLock<String> = LazyLock::new(|| touching(PACKED));

/// Those, in order.
pub static STRETCHES: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {COLUMNS} {} ORDER BY time, first", *TOUCHING));

/// Numbers of samples of those within the range, and of all.
pub static NUMBERS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT coalesce(sum(samples) FILTER (WHERE first >= ?3 AND time < ?4), 0),
             coalesce(sum(samples), 0) {}",
        *TOUCHING
    )
});

static BY_ID: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {COLUMNS} FROM packed_samples WHERE id = ?1"));

/// A row of `packed_samples`.
#[derive(Debug)]
pub struct Stretch {
    id: i64,
    packed: Packed,
}

/// A stretch whose samples can't be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "packed samples from {first} to {last} are damaged, or add up to something else than noted \
     (packed_samples.id = {id}); restore the database from a backup, or delete this row to do without them"
)]
pub struct DamagedStretch {
    id: i64,
    first: Time,
    last: Time,
}

impl From<DamagedStretch> for Failure {
    fn from(damaged: DamagedStretch) -> Self {
        Self::File(damaged.into())
    }
}

/// True if a row of [`STRETCHES`] reaches beyond the range.
pub fn is_at_edge(row: &Row<'_>, range: &RowKey) -> rusqlite::Result<bool> {
    let (first, last): (i64, i64) = (row.get(0)?, row.get(1)?);
    Ok(first < range.from || last >= range.to)
}

impl Stretch {
    pub fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let sum = |at| Ok::<_, rusqlite::Error>(wide(row, at)?.max(0).unsigned_abs());
        let sums = PackedSums {
            rows: number(row, 2)?,
            first_ns: WallNs::of_column(row.get(0)?),
            last_ns: WallNs::of_column(row.get(1)?),
            interval_ns: sum(3)?,
            counts: [sum(4)?, sum(5)?, sum(6)?, sum(7)?, sum(8)?, sum(9)?],
            drops: sum(10)?,
            peaks: [row.get(11)?, row.get(12)?, row.get(13)?, row.get(14)?],
            flags: row.get(15)?,
        };
        Ok(Self { id: row.get(17)?, packed: Packed { columns: row.get(16)?, sums } })
    }

    /// The stretch with this `id`.
    pub fn by_id(db: &Connection, id: i64) -> rusqlite::Result<Self> {
        db.prepare_cached(&BY_ID)?.query_row([id], Self::read)
    }

    /// Its samples, by start.
    pub fn rows(&self) -> Result<Vec<Point>, DamagedStretch> {
        self.packed.rows().ok_or_else(|| self.damaged())
    }

    const fn damaged(&self) -> DamagedStretch {
        let PackedSums { first_ns, last_ns, .. } = self.packed.sums;
        DamagedStretch { id: self.id, first: Time(first_ns), last: Time(last_ns) }
    }

    /// Its samples that start within a range, by start. If these are all, their sums are compared as well.
    pub fn rows_within(&self, range: &RowKey) -> Result<Vec<Point>, DamagedStretch> {
        let Packed { columns, sums } = &self.packed;
        if range.covers(sums.first_ns) && range.covers(sums.last_ns) {
            return self.rows();
        }
        let rows = unpack_where(columns, sums.rows, |start_ns| range.covers(start_ns));
        rows.ok_or_else(|| self.damaged())
    }

    /// The starts of its samples.
    pub fn starts(&self) -> Result<Vec<WallNs>, DamagedStretch> {
        starts(&self.packed.columns).ok_or_else(|| self.damaged())
    }

    /// Deletes it, in the transaction in which it was read.
    pub fn delete(&self, db: &Connection) -> Result<(), Failure> {
        db.prepare_cached("DELETE FROM packed_samples WHERE id = ?1")?.execute([self.id])?;
        Ok(())
    }
}

static INSERT: LazyLock<String> = LazyLock::new(|| {
    let places = vec!["?"; 19].join(", ");
    format!("INSERT INTO packed_samples (client, nic, {COLUMNS}) VALUES ({places}, NULL)")
});

/// Adds a stretch.
pub fn insert(db: &Connection, nic: NicIds, packed: Packed) -> Result<(), Failure> {
    let PackedSums { rows, first_ns, last_ns, interval_ns, counts, drops, peaks, flags } =
        packed.sums;
    let wide = |sum: u128| i64::try_from(sum).map_or_else(|_| sum.to_string().into(), Value::from);
    let times = [first_ns, last_ns].map(|time| Value::from(time.to_column()));
    let values = [nic.client, nic.nic.get()].map(Value::from).into_iter().chain(times);
    let values = values.chain([bounded(rows).into(), wide(interval_ns)]);
    let values = values.chain(counts.map(wide)).chain([wide(drops)]).chain(peaks.map(Value::from));
    let values = values.chain([flags.into(), packed.columns.into()]);
    db.prepare_cached(&INSERT)?.execute(params_from_iter(values))?;
    Ok(())
}
