//! The numbers of many rows at once. A statement that gives them one by one takes almost twice as long, because of
//! what is checked for each (`bench packing`).

use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::{Connection, Result};

use crate::store::rows::packed::Columnar;

/// Adds the aggregate `numbers(a, b, ...)` to a connection: whole numbers of 8 bytes each, the lowest byte first, row
/// after row.
pub(super) fn register(db: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    db.create_aggregate_function("numbers", -1, flags, Numbers)
}

/// The rows of [`Columnar`] figures that `numbers` gave. `None` if they can't be such rows.
pub(super) fn rows<R: Columnar>(numbers: &[u8]) -> Option<Vec<R>> {
    let (numbers, rest) = numbers.as_chunks();
    let rows = numbers.chunks_exact(R::LIKE.len());
    if !rest.is_empty() || !rows.remainder().is_empty() {
        return None;
    }
    let figure = |row: &[[u8; 8]], at: usize| row.get(at).map_or(0, |it| u64::from_le_bytes(*it));
    rows.map(|row| R::of_figures(|at| figure(row, at))).collect()
}

struct Numbers;

impl Aggregate<Vec<u8>, Vec<u8>> for Numbers {
    fn init(&self, _context: &mut Context<'_>) -> Result<Vec<u8>> {
        Ok(Vec::with_capacity(1 << 16))
    }

    fn step(&self, context: &mut Context<'_>, numbers: &mut Vec<u8>) -> Result<()> {
        for at in 0..context.len() {
            numbers.extend_from_slice(&context.get::<i64>(at)?.to_le_bytes());
        }
        Ok(())
    }

    fn finalize(&self, _context: &mut Context<'_>, numbers: Option<Vec<u8>>) -> Result<Vec<u8>> {
        Ok(numbers.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::rows::series::Point;

    #[test]
    fn rows_are_those_of_the_table_and_nothing_else_becomes_rows() {
        let db = Connection::open_in_memory().unwrap();
        register(&db).unwrap();
        let read = |rows: &str| {
            let select = format!(
                "SELECT numbers(column1, 500, {}, 0, 4) FROM ({rows})",
                ["column2"; 10].join(", ")
            );
            db.query_row(&select, [], |row| row.get::<_, Vec<u8>>(0))
        };
        let numbers = read("VALUES (-1, 7), (9, 4294967295)").unwrap();
        let found: Vec<Point> = rows(&numbers).unwrap();
        let told = found.iter().map(|row| (row.start_ns.get(), row.tx.bytes.get(), row.flags));
        assert_eq!(told.collect::<Vec<_>>(), [(u64::MAX, 7, 4), (9, 4_294_967_295, 4)]);
        assert_eq!(
            rows::<Point>(&read("SELECT 1 column1, 2 column2 WHERE 0").unwrap()),
            Some(vec![])
        );
        // A peak has 32 bits.
        assert_eq!(rows::<Point>(&read("VALUES (9, 4294967296)").unwrap()), None);
        assert_eq!(rows::<Point>(&numbers[8..]), None);
        assert_eq!(rows::<Point>(&numbers[..numbers.len() - 1]), None);
        for other in ["NULL", "1.5", "'x'"] {
            assert!(read(&format!("VALUES (1, {other})")).is_err(), "{other}");
        }
    }
}
