//! Packs samples that have got old. They are read, packed and deleted in one transaction of the writing connection, so
//! that nothing can come in between; the samples of a stretch keep it for a few milliseconds.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::stretch::{self, Stretch};
use super::tables::FIGURES;
use crate::store::pack::PackedSome;
use crate::store::rows::packed::stretches::{HOUR, hour_of, join, stretches};
use crate::store::rows::series::Point;
use crate::store::sqlite::error::Failure;
use crate::store::sqlite::hot_rows::HotRows;
use crate::store::sqlite::number::number;
use crate::store::sqlite::tables::nics::NicIds;

/// Most samples of a stretch: ten minutes at two a second. More take hardly less room, but commits wait for the
/// transaction of a stretch, and reading one sample begins with all of its starts.
pub const STRETCH_ROWS: u32 = 1200;

/// Packs samples in a transaction.
///
/// Samples that come late join the stretch in which they lie, or the one before them if it has room.
pub fn pack_some(db: &mut Connection, hot: HotRows) -> Result<PackedSome<i64>, Failure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (before, next) = neighbours(&transaction, hot.nic, hot.first)?;
    let hot = next.map_or(hot, |next| hot.until(next));
    let mut rows: Vec<Point> = hot.read(&transaction, FIGURES)?;
    let samples = rows.len() as u64;
    if let Some(before) = before.filter(|it| it.is_joined(hot.first, samples)) {
        let stretch = Stretch::by_id(&transaction, before.id)?;
        rows.splice(..0, stretch.rows()?);
        stretch.delete(&transaction)?;
    }
    let pieces = stretches(rows, STRETCH_ROWS as usize)
        .ok_or_else(|| Failure::File("packed samples differ from what was packed".into()))?;
    for piece in pieces {
        stretch::insert(&transaction, hot.nic, piece)?;
    }
    hot.delete(&transaction, samples)?;
    transaction.commit()?;
    // Others that start with the last one may be left.
    Ok(PackedSome { rows: samples, end: hot.last.0 })
}

/// A stretch that samples may join. Its own samples are read only if they do.
#[derive(Debug)]
struct Neighbour {
    id: i64,
    samples: u64,
    last: i64,
}

impl Neighbour {
    const fn is_joined(&self, first: i64, samples: u64) -> bool {
        join(self.samples, self.last, first, samples, STRETCH_ROWS as usize)
    }
}

/// Within an hour, the last stretch that starts until `first`, and the start of the next one.
fn neighbours(
    db: &Connection,
    nic: NicIds,
    first: i64,
) -> Result<(Option<Neighbour>, Option<i64>), Failure> {
    let hour = hour_of(first);
    let key = params![nic.client, nic.nic, hour, hour.saturating_add(HOUR), first];
    let before = db
        .prepare_cached(
            "SELECT id, samples, time FROM packed_samples
             WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND time < ?4 AND first <= ?5
             ORDER BY first DESC, time DESC LIMIT 1",
        )?
        .query_row(key, |row| {
            Ok(Neighbour { id: row.get(0)?, samples: number(row, 1)?, last: row.get(2)? })
        })
        .optional()?;
    let next = db
        .prepare_cached(
            "SELECT min(first) FROM packed_samples
             WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND time < ?4 AND first > ?5",
        )?
        .query_row(key, |row| row.get(0))?;
    Ok((before, next))
}

#[cfg(test)]
mod tests {
    use super::super::tables::HOT;
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
        let oldest = HotRows::oldest(db, HOT, STRETCH_ROWS, NIC, [i64::MIN, i64::MAX])?;
        oldest.first().map(|rows| Ok(pack_some(db, *rows)?.rows)).transpose()
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
