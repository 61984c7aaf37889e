//! Sums of any size. SQLite's own `sum` fails beyond 64 bits, which would break every query over such
//! rows.

use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

/// `wide_sum(x)` adds up whole numbers, including its own results, and `wide_add(x, y)` adds two. Both
/// return text; NULL counts as 0.
pub(super) fn register(db: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    db.create_aggregate_function("wide_sum", 1, flags, WideSum)?;
    db.create_scalar_function("wide_add", 2, flags, |context| {
        Ok(term(context, 0)?.saturating_add(term(context, 1)?).to_string())
    })
}

/// A number of any size in a row; NULL counts as 0.
pub(super) fn wide(row: &Row<'_>, at: usize) -> rusqlite::Result<i128> {
    number(row.get_ref(at)?).ok_or_else(|| {
        rusqlite::Error::InvalidColumnType(at, "a whole number".into(), rusqlite::types::Type::Text)
    })
}

/// Like [`wide`], limited to the range from 0 to 64 bits.
pub(super) fn narrow(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(wide(row, at)?.max(0)).unwrap_or(u64::MAX))
}

struct WideSum;

impl Aggregate<i128, String> for WideSum {
    fn init(&self, _context: &mut Context<'_>) -> rusqlite::Result<i128> {
        Ok(0)
    }

    fn step(&self, context: &mut Context<'_>, sum: &mut i128) -> rusqlite::Result<()> {
        *sum = sum.saturating_add(term(context, 0)?);
        Ok(())
    }

    fn finalize(&self, _context: &mut Context<'_>, sum: Option<i128>) -> rusqlite::Result<String> {
        Ok(sum.unwrap_or(0).to_string())
    }
}

fn term(context: &Context<'_>, at: usize) -> rusqlite::Result<i128> {
    number(context.get_raw(at))
        .ok_or_else(|| rusqlite::Error::InvalidParameterName("a whole number is needed".into()))
}

fn number(value: ValueRef<'_>) -> Option<i128> {
    match value {
        ValueRef::Null => Some(0),
        ValueRef::Integer(number) => Some(number.into()),
        ValueRef::Text(text) => std::str::from_utf8(text).ok()?.parse().ok(),
        ValueRef::Real(_) | ValueRef::Blob(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_beyond_64_bits() {
        let db = Connection::open_in_memory().unwrap();
        register(&db).unwrap();
        let of = |sql: &str| db.query_row(sql, [], |row| wide(row, 0));
        let max = i64::MAX;
        let many = format!("SELECT wide_sum(column1) FROM (VALUES ({max}), ({max}), (NULL), (-5))");
        assert_eq!(of(&many), Ok(2 * i128::from(max) - 5));
        assert_eq!(of("SELECT wide_sum(1) WHERE 0"), Ok(0));
        let twice = format!("SELECT wide_add('{}', {max})", 3 * i128::from(max));
        assert_eq!(of(&twice), Ok(4 * i128::from(max)));
        assert!(of("SELECT wide_sum(1.5)").is_err() && of("SELECT wide_sum('x')").is_err());
        let narrowed = db.query_row(&many, [], |row| narrow(row, 0));
        assert_eq!(narrowed, Ok(2 * max.cast_unsigned() - 5));
        let narrowed = db.query_row("SELECT wide_sum(-1)", [], |row| narrow(row, 0));
        assert_eq!(narrowed, Ok(0));
    }
}
