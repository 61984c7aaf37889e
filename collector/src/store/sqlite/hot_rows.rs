//! Rows that are packed together: those of a NIC in a table with a row each.

use rusqlite::{Connection, params};

use super::error::Failure;
use super::numbers;
use super::tables::nics::NicIds;
use crate::store::rows::packed::Columnar;
use crate::store::rows::packed::stretches::{HOUR, hour_of};

/// Rows of a NIC. Of those that start first, some may have been packed before: they are there no more.
#[derive(Debug, Clone, Copy)]
pub struct HotRows {
    table: &'static str,
    pub nic: NicIds,
    pub first: i64,
    /// Start and `nth` of the last one.
    pub last: (i64, i64),
}

/// Most of [`HotRows::oldest`]: samples of an hour at two a second. They are packed without a rest and to their end, even
/// while the collector stops, so there is a bound for hours with more.
const MOST_AT_ONCE: usize = 6;

/// Which rows of the table they are.
const THESE: &str =
    "client = ?1 AND nic = ?2 AND time >= ?3 AND time <= ?4 AND (time < ?4 OR nth <= ?5)";

impl HotRows {
    /// The oldest ones of a range, of an hour, `most` at a time; at most [`MOST_AT_ONCE`]. Empty if there are none.
    ///
    /// All of them are looked at, so that their pages are in memory by the time for which commits wait: the system may
    /// have to fetch each from a slow disk.
    pub fn oldest(
        db: &Connection,
        table: &'static str,
        most: u32,
        nic: NicIds,
        [from, to]: [i64; 2],
    ) -> Result<Vec<Self>, Failure> {
        let oldest = format!(
            "SELECT min(time) FROM {table} WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND time < ?4"
        );
        let key = params![nic.client, nic.nic, from, to];
        let Some(first) = db.prepare_cached(&oldest)?.query_row(key, |row| row.get(0))? else {
            return Ok(Vec::new());
        };
        let to = hour_of(first).saturating_add(HOUR).min(to);
        // Start and `nth` of the row that comes so many rows behind another one, and of the row after it.
        let places = |(time, nth): (i64, i64), order: &str, skipped: u32| {
            let select = format!(
                "SELECT time, nth FROM {table} WHERE client = ?1 AND nic = ?2
                     AND time >= ?3 AND time < ?4 AND (time > ?3 OR nth >= ?5)
                 ORDER BY time {order}, nth {order} LIMIT 2 OFFSET ?6"
            );
            let key = params![nic.client, nic.nic, time, to, nth, skipped];
            let mut select = db.prepare_cached(&select)?;
            let places = select.query_map(key, |row| Ok((row.get(0)?, row.get(1)?)))?;
            places.collect::<rusqlite::Result<Vec<_>>>()
        };
        let (mut all, mut next) = (Vec::new(), Some((first, i64::MIN)));
        while let Some(begin) = next.filter(|_| all.len() < MOST_AT_ONCE) {
            let found = places(begin, "ASC", most.saturating_sub(1))?;
            next = found.get(1).copied();
            let last = match found.first() {
                Some(last) => Some(*last),
                None => places(begin, "DESC", 0)?.first().copied(),
            };
            all.extend(last.map(|last| Self { table, nic, first: begin.0, last }));
        }
        Ok(all)
    }

    /// Without those from a later start on.
    pub fn until(self, end: i64) -> Self {
        Self { last: self.last.min((end.saturating_sub(1), i64::MAX)), ..self }
    }

    /// Reads their figures, of which the columns are given.
    pub fn read<R: Columnar>(&self, db: &Connection, columns: &str) -> Result<Vec<R>, Failure> {
        let Self { table, nic, first, last: (last, nth) } = self;
        // In the order of the primary key.
        let select = format!("SELECT numbers({columns}) FROM {table} WHERE {THESE}");
        let key = params![nic.client, nic.nic, first, last, nth];
        let mut select = db.prepare_cached(&select)?;
        let rows = select.query_row(key, |row| Ok(numbers::rows(row.get_ref(0)?.as_blob()?)))?;
        rows.ok_or_else(|| Failure::File(format!("figures of {table} are out of range").into()))
    }

    /// Deletes them. Fails unless they are as many as were packed.
    pub fn delete(&self, db: &Connection, packed: u64) -> Result<(), Failure> {
        let Self { table, nic, first, last: (last, nth) } = self;
        let delete = format!("DELETE FROM {table} WHERE {THESE}");
        let key = params![nic.client, nic.nic, first, last, nth];
        let deleted = db.prepare_cached(&delete)?.execute(key)? as u64;
        if deleted == packed {
            return Ok(());
        }
        Err(Failure::File(
            format!("{packed} rows of {table} are packed, {deleted} would be deleted").into(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::rows::nics::NicId;
    use crate::store::rows::series::Point;
    use crate::store::sqlite::open;
    use crate::store::sqlite::samples::{FIGURES, HOT};

    #[test]
    fn rows_are_taken_so_many_at_a_time_from_the_first_of_each_until_the_end_of_their_hour() {
        let folder = tempfile::tempdir().unwrap();
        let db = open::writer(&folder.path().join("netmon.sqlite")).unwrap();
        let nic = NicIds { client: 1, nic: NicId(1) };
        for (time, nth) in [(1, 0), (2, 0), (2, 1), (2, 2), (3, 0), (HOUR - 1, 0), (HOUR, 0)] {
            let insert = format!(
                "INSERT INTO {HOT} VALUES (1, ?3, ?1, ?2, 5, 9, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)"
            );
            db.execute(&insert, params![time, nth, 1]).unwrap();
            db.execute(&insert, params![time, nth, 2]).unwrap();
        }
        let oldest = |most, range| HotRows::oldest(&db, HOT, most, nic, range).unwrap();
        let told = |most, range| -> Vec<_> {
            oldest(most, range).iter().map(|it| (it.first, it.last)).collect()
        };
        let ever = [i64::MIN, i64::MAX];
        assert_eq!(told(3, ever), [(1, (2, 1)), (2, (HOUR - 1, 0))]);
        assert_eq!(told(4, ever), [(1, (2, 2)), (3, (HOUR - 1, 0))]);
        assert_eq!(told(6, ever), [(1, (HOUR - 1, 0))]);
        assert_eq!(told(3, [3, HOUR]), [(3, (HOUR - 1, 0))]);
        assert_eq!(told(9, [HOUR, i64::MAX]), [(HOUR, (HOUR, 0))]);
        assert_eq!(told(9, [4, 5]), []);

        for (rows, left) in oldest(4, ever).into_iter().zip([3, 1]) {
            let read: Vec<Point> = rows.read(&db, FIGURES).unwrap();
            rows.delete(&db, read.len() as u64).unwrap();
            let count = format!("SELECT count(*) FROM {HOT} WHERE nic = 1");
            assert_eq!(db.query_row(&count, [], |row| row.get(0)), Ok(left));
        }
        let [rows] = oldest(4, ever)[..] else { panic!() };
        assert_eq!(rows.until(HOUR).last, (HOUR - 1, i64::MAX));

        let late =
            format!("INSERT INTO {HOT} SELECT 1, 2, 5, 0, 5, 9, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0");
        db.execute(&late, []).unwrap();
        let of_many = NicIds { nic: NicId(2), ..nic };
        let found = HotRows::oldest(&db, HOT, 1, of_many, ever).unwrap();
        assert_eq!((found.len(), found[5].last), (MOST_AT_ONCE, (5, 0)));
    }
}
