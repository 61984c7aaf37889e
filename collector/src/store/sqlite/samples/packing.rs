//! Packs samples that have got old. A reading connection makes a plan; the writing one, for which commits
//! wait, only applies it.

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::stretch::{self, Stretch};
use super::tables::HOT;
use crate::store::pack::PackedSome;
use crate::store::rows::packed::Packed;
use crate::store::rows::packed::stretches::{HOUR, hour_of, join, stretches, sums_of};
use crate::store::rows::proof::Sums;
use crate::store::rows::series::Point;
use crate::store::sqlite::error::Failure;
use crate::store::sqlite::number::number;
use crate::store::sqlite::points::point;
use crate::store::sqlite::tables::nics::NicIds;
use crate::store::sqlite::to_pack::oldest;
use crate::store::sqlite::wide::wide;

/// Most samples of a stretch: 17 minutes at two a second. More take less room by a hundredth, but each
/// transaction, and reading one sample, takes longer.
const STRETCH_ROWS: usize = 2048;

/// The oldest samples of a NIC that are not packed, and the stretches that are to replace them.
#[derive(Debug)]
pub struct PackingPlan {
    hot: HotRange,
    /// Their number and sums.
    sums: (u64, Sums),
    /// The stretch that they join, which is replaced too.
    joined: Option<Stretch>,
    pieces: Vec<Packed>,
}

impl PackingPlan {
    /// Reads and packs up to [`STRETCH_ROWS`] samples within an hour, and proves that what is packed is the same.
    /// `None` if the range has none.
    ///
    /// Samples that come late join the stretch in which they lie, or the one before them if it has room.
    pub fn of(db: &mut Connection, nic: NicIds, range: [i64; 2]) -> Result<Option<Self>, Failure> {
        let db = db.transaction()?;
        let Some(first) = oldest(&db, HOT, nic, range)? else { return Ok(None) };
        let hour = hour_of(first);
        let (before, next) = neighbours(&db, nic, first, hour)?;
        let to = next.unwrap_or(i64::MAX).min(hour.saturating_add(HOUR)).min(range[1]);
        let (mut rows, last) = hot_rows(&db, nic, first, to)?;
        let hot = HotRange { nic, first, last };
        let sums = sums_of(&rows);
        let joined = before.filter(|it| join(it.sums(), it.last(), first, sums.0, STRETCH_ROWS));
        if let Some(stretch) = &joined {
            rows.splice(..0, stretch.rows()?);
        }
        let pieces = stretches(rows, STRETCH_ROWS)
            .ok_or_else(|| Failure::File("packed samples differ from what was packed".into()))?;
        Ok(Some(Self { hot, sums, joined, pieces }))
    }

    /// Replaces the samples in a short transaction. `None`, and changes nothing, unless number and sums of those that
    /// it deletes are those of what was packed: late samples came, or old ones were deleted.
    pub fn apply(self, db: &mut Connection) -> Result<Option<PackedSome<i64>>, Failure> {
        let Self { hot, sums, joined, pieces } = self;
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if let Some(stretch) = joined
            && !stretch.delete(&transaction, hot.nic)?
        {
            return Ok(None);
        }
        let (samples, _) = sums;
        if hot.sums(&transaction)? != sums || hot.delete(&transaction)? != samples {
            return Ok(None);
        }
        for piece in pieces {
            stretch::insert(&transaction, hot.nic, piece)?;
        }
        transaction.commit()?;
        // Others that start with the last one may be left.
        Ok(Some(PackedSome { rows: samples, end: hot.last.0 }))
    }
}

/// Samples that are not packed, from a start to time and `nth` of the last.
#[derive(Debug)]
struct HotRange {
    nic: NicIds,
    first: i64,
    last: (i64, i64),
}

impl HotRange {
    fn params(&self) -> [i64; 5] {
        let Self { nic, first, last: (time, nth) } = *self;
        [nic.client, nic.nic.get(), first, time, nth]
    }

    /// Their number and sums.
    fn sums(&self, db: &Connection) -> Result<(u64, Sums), Failure> {
        let mut select = db.prepare_cached(
            "SELECT count(*), wide_sum(rx_bytes), wide_sum(tx_bytes), wide_sum(rx_packets),
                 wide_sum(tx_packets) FROM hot_samples
             WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND time <= ?4
                 AND (time < ?4 OR nth <= ?5)",
        )?;
        Ok(select.query_row(self.params(), |row| {
            let sums = [wide(row, 1)?, wide(row, 2)?, wide(row, 3)?, wide(row, 4)?];
            Ok((number(row, 0)?, Sums::from_array(sums)))
        })?)
    }

    /// Deletes them. Returns their number.
    fn delete(&self, db: &Connection) -> Result<u64, Failure> {
        let mut delete = db.prepare_cached(
            "DELETE FROM hot_samples WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND time <= ?4
                 AND (time < ?4 OR nth <= ?5)",
        )?;
        Ok(delete.execute(self.params())? as u64)
    }
}

/// Within an hour, the last stretch that starts until `first`, and the start of the next one.
fn neighbours(
    db: &Connection,
    nic: NicIds,
    first: i64,
    hour: i64,
) -> Result<(Option<Stretch>, Option<i64>), Failure> {
    let key = params![nic.client, nic.nic, hour, hour.saturating_add(HOUR), first];
    let before = db.prepare_cached(&stretch::LAST_UNTIL)?.query_row(key, Stretch::read);
    let next = db
        .prepare_cached(
            "SELECT min(first) FROM packed_samples
             WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND time < ?4 AND first > ?5",
        )?
        .query_row(key, |row| row.get(0))?;
    Ok((before.optional()?, next))
}

/// The oldest samples that are not packed, and time and `nth` of the last.
fn hot_rows(
    db: &Connection,
    nic: NicIds,
    from: i64,
    to: i64,
) -> Result<(Vec<Point>, (i64, i64)), Failure> {
    let mut select = db.prepare_cached(
        "SELECT time, interval_ns, rx_bytes, rx_packets, rx_captured, rx_peak_1ms_bytes,
             rx_peak_10ms_bytes, tx_bytes, tx_packets, tx_captured, tx_peak_1ms_bytes,
             tx_peak_10ms_bytes, drops, flags, nth FROM hot_samples
         WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND time < ?4 ORDER BY time, nth LIMIT ?5",
    )?;
    let row = |row: &Row<'_>| Ok((point(row)?, (row.get(0)?, row.get(14)?)));
    let limit = i64::try_from(STRETCH_ROWS).unwrap_or(i64::MAX);
    let rows = select.query_map(params![nic.client, nic.nic, from, to, limit], row)?;
    let (mut hot, mut last) = (Vec::with_capacity(STRETCH_ROWS), (from, 0));
    for row in rows {
        let (point, at) = row?;
        hot.push(point);
        last = at;
    }
    Ok((hot, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::rows::nics::NicId;
    use crate::store::sqlite::open;

    const NIC: NicIds = NicIds { client: 1, nic: NicId(1) };

    fn add(db: &Connection, time: i64, bytes: i64) {
        let insert = "INSERT INTO hot_samples VALUES (1, 1, ?1, (SELECT count(*) FROM hot_samples
            WHERE time = ?1), 5, ?2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)";
        db.execute(insert, [time, bytes]).unwrap();
    }

    fn plan(db: &mut Connection) -> PackingPlan {
        PackingPlan::of(db, NIC, [i64::MIN, i64::MAX]).unwrap().unwrap()
    }

    fn packed(plan: PackingPlan, db: &mut Connection) -> Option<u64> {
        plan.apply(db).unwrap().map(|some| some.rows)
    }

    /// The bytes of all samples, those that are packed last.
    fn kept(db: &Connection) -> [Vec<i64>; 2] {
        let of = |sql| -> rusqlite::Result<Vec<i64>> {
            db.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
        };
        let packed = "SELECT value ->> 3 FROM packed_samples,
            json_each(only_collector_sql_unpacks(columns, first, time)) ORDER BY first, key";
        ["SELECT rx_bytes FROM hot_samples ORDER BY time, nth", packed].map(|sql| of(sql).unwrap())
    }

    /// Samples of 1, 2 and 3 bytes; the first one is packed.
    fn filled() -> (tempfile::TempDir, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let mut db = open::writer(&folder.path().join("netmon.sqlite")).unwrap();
        add(&db, 10, 1);
        assert_eq!(packed(plan(&mut db), &mut db), Some(1));
        add(&db, 20, 2);
        add(&db, 30, 3);
        (folder, db)
    }

    #[test]
    fn a_sample_that_comes_while_others_are_packed_is_not_lost() {
        for late in [5, 10, 20, 25] {
            let (_folder, mut db) = filled();
            let planned = plan(&mut db);
            add(&db, late, 9);
            let before = kept(&db);
            let packs = late < 20;
            assert_eq!(packed(planned, &mut db), packs.then_some(2), "{late}");
            if packs {
                assert_eq!(kept(&db), [vec![9], vec![1, 2, 3]], "{late}");
            } else {
                assert_eq!(kept(&db), before, "{late}");
            }
            assert!(packed(plan(&mut db), &mut db).is_some(), "{late}");
            let [hot, mut packed] = kept(&db);
            packed.sort_unstable();
            assert_eq!((hot, packed), (vec![], vec![1, 2, 3, 9]), "{late}");
        }
        // Those that come after them, as from an agent that catches up, hold up nothing.
        let (_folder, mut db) = filled();
        let planned = plan(&mut db);
        add(&db, 30, 9);
        add(&db, 31, 9);
        assert_eq!(packed(planned, &mut db), Some(2));
        assert_eq!(kept(&db), [vec![9, 9], vec![1, 2, 3]]);
    }

    #[test]
    fn what_is_deleted_or_changed_while_it_is_packed_stays_so() {
        for change in [
            "DELETE FROM packed_samples",
            "UPDATE packed_samples SET time = 11",
            "DELETE FROM hot_samples WHERE time = 20",
            "DELETE FROM hot_samples",
            "UPDATE hot_samples SET rx_bytes = rx_bytes + 1 WHERE time = 30",
            "UPDATE hot_samples SET tx_packets = 1 WHERE time = 30",
        ] {
            let (_folder, mut db) = filled();
            let planned = plan(&mut db);
            db.execute_batch(change).unwrap();
            let before = kept(&db);
            assert_eq!(packed(planned, &mut db), None, "{change}");
            assert_eq!(kept(&db), before, "{change}");
        }
    }
}
