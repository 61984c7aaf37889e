//! Packs samples that have got old. They are read, packed and deleted in one transaction of the writing connection, so
//! that nothing can come in between; the samples of a stretch keep it for a few milliseconds.

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::stretch::{self, Stretch};
use super::tables::HOT;
use crate::store::pack::PackedSome;
use crate::store::rows::packed::stretches::{HOUR, hour_of, join, stretches};
use crate::store::rows::series::Point;
use crate::store::sqlite::error::Failure;
use crate::store::sqlite::points::point;
use crate::store::sqlite::tables::nics::NicIds;
use crate::store::sqlite::to_pack::{delete_packed, oldest};

/// Most samples of a stretch: ten minutes at two a second. More take hardly less room, but commits wait for the
/// transaction of a stretch, and reading one sample begins with all of its starts.
pub const STRETCH_ROWS: u32 = 1200;

/// Packs the oldest samples of a NIC in a range, up to [`STRETCH_ROWS`] within an hour. `None` if there are none.
///
/// Samples that come late join the stretch in which they lie, or the one before them if it has room.
pub fn pack_some(
    db: &mut Connection,
    nic: NicIds,
    range: [i64; 2],
) -> Result<Option<PackedSome<i64>>, Failure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let Some(first) = oldest(&transaction, HOT, nic, range)? else { return Ok(None) };
    let hour = hour_of(first);
    let (before, next) = neighbours(&transaction, nic, first, hour)?;
    let to = next.unwrap_or(i64::MAX).min(hour.saturating_add(HOUR)).min(range[1]);
    let (mut rows, last) = hot_rows(&transaction, nic, [first, to])?;
    let samples = rows.len() as u64;
    let joins = |it: &Stretch| join(it.sums(), it.last(), first, samples, STRETCH_ROWS as usize);
    if let Some(stretch) = before.filter(joins) {
        rows.splice(..0, stretch.rows()?);
        stretch.delete(&transaction)?;
    }
    let pieces = stretches(rows, STRETCH_ROWS as usize)
        .ok_or_else(|| Failure::File("packed samples differ from what was packed".into()))?;
    for piece in pieces {
        stretch::insert(&transaction, nic, piece)?;
    }
    delete_packed(&transaction, HOT, nic, first, last, samples)?;
    transaction.commit()?;
    // Others that start with the last one may be left.
    Ok(Some(PackedSome { rows: samples, end: last.0 }))
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

/// The oldest samples of a range that are not packed, and time and `nth` of the last.
fn hot_rows(
    db: &Connection,
    nic: NicIds,
    [from, to]: [i64; 2],
) -> Result<(Vec<Point>, (i64, i64)), Failure> {
    let mut select = db.prepare_cached(
        "SELECT time, interval_ns, rx_bytes, rx_packets, rx_captured, rx_peak_1ms_bytes,
             rx_peak_10ms_bytes, tx_bytes, tx_packets, tx_captured, tx_peak_1ms_bytes,
             tx_peak_10ms_bytes, drops, flags, nth FROM hot_samples
         WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND time < ?4 ORDER BY time, nth LIMIT ?5",
    )?;
    let row = |row: &Row<'_>| Ok((point(row)?, (row.get(0)?, row.get(14)?)));
    let rows = select.query_map(params![nic.client, nic.nic, from, to, STRETCH_ROWS], row)?;
    let (mut hot, mut last) = (Vec::with_capacity(STRETCH_ROWS as usize), (from, 0));
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

    fn pack(db: &mut Connection) -> Result<Option<u64>, Failure> {
        Ok(pack_some(db, NIC, [i64::MIN, i64::MAX])?.map(|some| some.rows))
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
        assert_eq!(pack(&mut db).unwrap(), Some(1));
        add(&db, 20, 2);
        add(&db, 30, 3);
        (folder, db)
    }

    #[test]
    fn a_sample_that_comes_late_gets_into_the_stretch_in_which_it_lies() {
        for late in [5, 10, 20, 25, 30, 31] {
            let (_folder, mut db) = filled();
            add(&db, late, 9);
            while pack(&mut db).unwrap().is_some() {}
            let [hot, mut packed] = kept(&db);
            packed.sort_unstable();
            assert_eq!((hot, packed), (vec![], vec![1, 2, 3, 9]), "{late}");
        }
    }

    #[test]
    fn nothing_changes_unless_what_is_deleted_is_what_was_packed() {
        let more =
            "INSERT INTO hot_samples VALUES (1, 1, 20, 1, 5, 9, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)";
        for change in [more, "DELETE FROM hot_samples WHERE time = 20"] {
            let (_folder, mut db) = filled();
            let trigger = "CREATE TRIGGER change AFTER INSERT ON packed_samples BEGIN";
            db.execute_batch(&format!("{trigger} {change}; END")).unwrap();
            assert!(pack(&mut db).is_err(), "{change}");
            assert_eq!(kept(&db), [vec![2, 3], vec![1]], "{change}");
        }
    }

    #[test]
    fn samples_stay_rows_while_the_stretch_that_they_would_join_is_damaged() {
        let (_folder, mut db) = filled();
        db.execute_batch("UPDATE packed_samples SET columns = substr(columns, 2)").unwrap();
        let error = pack(&mut db).unwrap_err();
        assert!(matches!(error, Failure::File(_)), "{error:?}");
        let hot = db.query_row("SELECT count(*) FROM hot_samples", [], |row| row.get(0));
        assert_eq!(hot, Ok(2));
    }
}
