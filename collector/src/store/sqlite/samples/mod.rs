//! Samples: a row each in `hot_samples` while they are new, then packed in `packed_samples`. Whoever reads
//! samples reads both here, or through the view `bandwidth_stats`; no other room names the two tables.

pub(super) mod functions;
mod merged;
mod packing;
mod stretch;
mod tables;

use rusqlite::{CachedStatement, Connection, Row, params};
use wire::WallNs;

pub(super) use self::merged::Merged;
use self::stretch::{NUMBERS, STRETCHES, Stretch, is_at_edge};
pub(super) use self::tables::{FIGURES, HOT, PACKED};
use super::error::Failure;
use super::number::number;
use super::points::{RowKey, point};
use super::store::SqliteStore;
use super::to_pack;
use super::wide::wide;
use crate::store::port::error::StoreError;
use crate::store::rows::packed::PackedSums;
use crate::store::rows::packed::stretches::few_by_numbers;
use crate::store::rows::proof::Sums;
use crate::store::rows::rollups::FIVE_MINUTES_NS;
use crate::store::rows::series::Point;

/// Packs samples before a time, as far as their hour has ended, in short transactions between which commits run.
/// Returns their number.
pub(super) async fn pack(store: &SqliteStore, before_ns: WallNs) -> Result<u64, StoreError> {
    to_pack::pack(store, HOT, packing::STRETCH_ROWS, before_ns, packing::pack_some).await
}

/// The start of the newest sample.
pub(super) fn newest(db: &Connection) -> Result<Option<i64>, Failure> {
    let of = |table: &str| {
        let newest = format!(
            "SELECT max((SELECT max(time) FROM {table} s WHERE s.client = nics.client
                 AND s.nic = nics.id)) FROM nics"
        );
        db.query_row(&newest, [], |row| row.get::<_, Option<i64>>(0))
    };
    Ok(of(HOT)?.max(of(PACKED)?))
}

/// The end of the last five minutes from a time on that lack samples.
pub(super) fn complete_from(db: &Connection, from: i64) -> Result<i64, Failure> {
    let mut nics = db.prepare("SELECT client, id FROM nics")?;
    let nics = nics.query_map([], |row| {
        Ok(RowKey { client: row.get(0)?, nic: row.get(1)?, from, to: i64::MAX })
    })?;
    let mut rollups = db.prepare(
        "SELECT time, rx_bytes, tx_bytes, rx_packets, tx_packets FROM bandwidth_5m
         WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND time < ?4 ORDER BY time DESC",
    )?;
    let mut samples = SampleReader::of(db)?;
    let mut complete = 0;
    for nic in nics {
        let nic = nic?;
        let mut rows = rollups.query(nic.params())?;
        while let Some(row) = rows.next()? {
            let time: i64 = row.get(0)?;
            let to = time.saturating_add_unsigned(FIVE_MINUTES_NS);
            if to <= complete {
                break;
            }
            let (sums, damaged) = samples.proof(db, &RowKey { from: time, to, ..nic })?;
            let rollup = [wide(row, 1)?, wide(row, 2)?, wide(row, 3)?, wide(row, 4)?];
            if sums != Sums::from_array(rollup) || !damaged.is_empty() {
                complete = to;
                break;
            }
        }
    }
    Ok(complete)
}

/// Reads the samples of NICs.
pub(super) struct SampleReader<'db> {
    hot: CachedStatement<'db>,
    packed: CachedStatement<'db>,
}

impl<'db> SampleReader<'db> {
    pub fn of(db: &'db Connection) -> Result<Self, Failure> {
        let hot = db.prepare_cached(&format!(
            "SELECT {FIGURES} FROM {HOT}
             WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND time < ?4 ORDER BY time, nth"
        ))?;
        Ok(Self { hot, packed: db.prepare_cached(&STRETCHES)? })
    }

    /// The samples that start in a range, oldest first. Of those with the same start, packed ones come first.
    pub fn rows(
        &mut self,
        key: &RowKey,
    ) -> Result<impl Iterator<Item = Result<Point, Failure>> + use<'_, 'db>, Failure> {
        let hot = self.hot.query_map(key.params(), point)?.map(|row| row.map_err(Failure::from));
        let range = *key;
        let packed = self.packed.query_map(key.params(), Stretch::read)?;
        let packed = packed.flat_map(move |stretch| {
            let rows = stretch.map_err(Failure::from).and_then(|it| Ok(it.rows_within(&range)?));
            let (rows, error) = match rows {
                Ok(rows) => (rows, None),
                Err(error) => (Vec::new(), Some(Err(error))),
            };
            rows.into_iter().map(Ok).chain(error)
        });
        Ok(Merged::of(packed, hot))
    }

    /// True if at most `most` samples start in a range. Only if the numbers of its stretches don't tell, their starts
    /// are read.
    pub fn are_few(&mut self, db: &Connection, key: &RowKey, most: i64) -> Result<bool, Failure> {
        let RowKey { client, nic, from, to } = *key;
        let hot = db
            .prepare_cached(
                "SELECT count(*) FROM (SELECT 1 FROM hot_samples WHERE client = ?1 AND nic = ?2
                     AND time >= ?3 AND time < ?4 LIMIT ?5)",
            )?
            .query_row(params![client, nic, from, to, most.saturating_add(1)], |row| {
                number(row, 0)
            })?;
        let numbers = |row: &Row<'_>| Ok([number(row, 0)?, number(row, 1)?]);
        let packed = db.prepare_cached(&NUMBERS)?.query_row(key.params(), numbers)?;
        let few = most.unsigned_abs();
        match few_by_numbers(hot, packed, few) {
            Some(are_few) => Ok(are_few),
            None => Ok(hot + packed[0] + self.at_edges(key)? <= few),
        }
    }

    /// Number of samples that start in a range, of stretches that reach beyond it.
    fn at_edges(&mut self, key: &RowKey) -> Result<u64, Failure> {
        let mut stretches = self.packed.query(key.params())?;
        let mut samples = 0;
        while let Some(row) = stretches.next()? {
            if is_at_edge(row, key)? {
                let starts = Stretch::read(row)?.starts()?;
                samples += starts.iter().filter(|start_ns| key.covers(**start_ns)).count() as u64;
            }
        }
        Ok(samples)
    }

    /// Adds up the samples that start in a range, and says which stretches can't be relied on.
    pub fn proof(&mut self, db: &Connection, key: &RowKey) -> Result<(Sums, Vec<String>), Failure> {
        let sums = |row: &Row<'_>| Ok([wide(row, 0)?, wide(row, 1)?, wide(row, 2)?, wide(row, 3)?]);
        let mut sums = db
            .prepare_cached(
                "SELECT wide_sum(rx_bytes), wide_sum(tx_bytes), wide_sum(rx_packets),
                     wide_sum(tx_packets) FROM hot_samples
                 WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND time < ?4",
            )?
            .query_row(key.params(), sums)?;
        let mut faults = Vec::new();
        let mut stretches = self.packed.query(key.params())?;
        while let Some(row) = stretches.next()? {
            match Stretch::read(row)?.rows() {
                Err(damaged) => faults.push(damaged.to_string()),
                Ok(mut rows) => {
                    rows.retain(|row| key.covers(row.start_ns));
                    let [rx_bytes, rx_packets, _, tx_bytes, tx_packets, _] =
                        PackedSums::of(&rows).counts;
                    let counts = [rx_bytes, tx_bytes, rx_packets, tx_packets];
                    for (sum, more) in sums.iter_mut().zip(counts) {
                        *sum = sum.saturating_add_unsigned(more);
                    }
                }
            }
        }
        Ok((Sums::from_array(sums), faults))
    }
}
