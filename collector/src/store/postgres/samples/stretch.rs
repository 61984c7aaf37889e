//! Rows of `packed_samples`.

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use crate::store::postgres::error::Failure;
use crate::store::postgres::session::{time, time_ns};
use crate::store::postgres::tables::nics::NicIds;
use crate::store::postgres::values::number;
use crate::store::rows::packed::{Packed, PackedSums};
use crate::store::rows::series::Point;
use crate::time::Time;

/// The columns after the key, in the order of [`PackedRow::read`]. Sums may exceed 64 bits.
pub const COLUMNS: &str =
    "first, time, samples, interval_ns::text, rx_bytes::text, rx_packets::text, rx_captured::text,
    tx_bytes::text, tx_packets::text, tx_captured::text, drops::text, rx_peak_1ms_bytes,
    rx_peak_10ms_bytes, tx_peak_1ms_bytes, tx_peak_10ms_bytes, flags, columns, id";

/// A row of `packed_samples`: a stretch.
#[derive(Debug)]
pub struct PackedRow {
    id: i64,
    packed: Packed,
}

/// The samples of a stretch that can't be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "packed samples from {first} on are damaged, or add up to something else than noted; restore the database \
     from a backup, or delete this row of packed_samples to do without them"
)]
pub struct DamagedSamples {
    pub first: Time,
}

impl From<DamagedSamples> for Failure {
    fn from(damaged: DamagedSamples) -> Self {
        Self::failed(damaged)
    }
}

impl PackedRow {
    pub fn read(row: &Row) -> Result<Self, Failure> {
        let sum = |at| {
            let text: &str = row.try_get(at)?;
            text.parse().map_err(|_| Failure::failed(format!("{text:?} is no sum of samples")))
        };
        let peak = |at| Ok::<_, Failure>(u32::try_from(number(row, at)?).unwrap_or(u32::MAX));
        let sums = PackedSums {
            rows: number(row, 2)?,
            first_ns: time_ns(row.try_get(0)?),
            last_ns: time_ns(row.try_get(1)?),
            interval_ns: sum(3)?,
            counts: [sum(4)?, sum(5)?, sum(6)?, sum(7)?, sum(8)?, sum(9)?],
            drops: sum(10)?,
            peaks: [peak(11)?, peak(12)?, peak(13)?, peak(14)?],
            flags: row.try_get::<_, i32>(15)?.cast_unsigned(),
        };
        let packed = Packed { columns: row.try_get(16)?, sums };
        Ok(Self { id: row.try_get(17)?, packed })
    }

    /// Its samples, by start.
    pub fn rows(&self) -> Result<Vec<Point>, DamagedSamples> {
        self.packed.rows().ok_or(DamagedSamples { first: Time(self.packed.sums.first_ns) })
    }

    pub const fn sums(&self) -> &PackedSums {
        &self.packed.sums
    }

    /// Deletes it.
    pub async fn delete(&self, db: &Client, nic: NicIds) -> Result<(), Failure> {
        // The time leads to its partition.
        let delete = "DELETE FROM packed_samples
                      WHERE client = $1 AND nic = $2 AND time = $3 AND id = $4";
        let last = time(self.packed.sums.last_ns);
        let key: [(&(dyn ToSql + Sync), Type); 4] = [
            (&nic.client, Type::INT4),
            (&nic.nic, Type::INT4),
            (&last, Type::TIMESTAMPTZ),
            (&self.id, Type::INT8),
        ];
        match db.execute_typed(delete, &key).await? {
            1 => Ok(()),
            _ => Err(Failure::failed("packed samples changed while others joined them")),
        }
    }
}

/// Adds a stretch.
pub async fn insert(db: &Client, nic: NicIds, packed: &Packed) -> Result<(), Failure> {
    let Packed { columns, sums } = packed;
    let PackedSums { rows, first_ns, last_ns, interval_ns, counts, drops, peaks, flags } = sums;
    let wide: Vec<String> =
        [*interval_ns].iter().chain(counts).chain([drops]).map(u128::to_string).collect();
    let peaks = peaks.map(i64::from);
    let (rows, flags) = (i64::try_from(*rows).unwrap_or(i64::MAX), flags.cast_signed());
    let (first, last) = (time(*first_ns), time(*last_ns));
    let mut values: Vec<(&(dyn ToSql + Sync), Type)> = vec![
        (&nic.client, Type::INT4),
        (&nic.nic, Type::INT4),
        (&first, Type::TIMESTAMPTZ),
        (&last, Type::TIMESTAMPTZ),
        (&rows, Type::INT8),
    ];
    values.extend(wide.iter().map(|sum| (sum as _, Type::TEXT)));
    values.extend(peaks.iter().map(|peak| (peak as _, Type::INT8)));
    values.extend([(&flags as _, Type::INT4), (columns as _, Type::BYTEA)]);
    let insert =
        "INSERT INTO packed_samples (client, nic, first, time, samples, interval_ns, rx_bytes,
             rx_packets, rx_captured, tx_bytes, tx_packets, tx_captured, drops, rx_peak_1ms_bytes,
             rx_peak_10ms_bytes, tx_peak_1ms_bytes, tx_peak_10ms_bytes, flags, columns)
         VALUES ($1, $2, $3, $4, $5, $6::text::numeric, $7::text::numeric, $8::text::numeric,
             $9::text::numeric, $10::text::numeric, $11::text::numeric, $12::text::numeric,
             $13::text::numeric, $14, $15, $16, $17, $18, $19)";
    db.execute_typed(insert, &values).await?;
    Ok(())
}
