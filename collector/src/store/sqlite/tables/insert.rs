//! Inserts rows into a table of samples, many per statement.

use rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY;
use rusqlite::{Connection, Statement, Transaction};

use crate::store::sqlite::error::Failure;

/// Rows per statement.
const ROWS: usize = 16;

/// Statements for a table of samples whose key ends with `nth`.
pub struct Insert {
    /// Inserts [`ROWS`] rows, each the first with its time; stops before one that isn't.
    many: String,
    /// Inserts a row that is the first with its time; fails if it isn't.
    first: String,
    /// Inserts a row after others with the same time.
    next: String,
}

impl Insert {
    /// Statements for `table` with the figure columns `figures`.
    pub fn into(table: &str, figures: impl Iterator<Item = String>) -> Self {
        let names: Vec<String> = figures.collect();
        let figures = vec!["?"; names.len()].join(", ");
        let insert = format!(
            "INSERT OR FAIL INTO {table} (client, nic, time, nth, interval_ns, {}) VALUES",
            names.join(", ")
        );
        let first = format!("(?, ?, ?, 0, ?, {figures})");
        let places: Vec<String> = (5..5 + names.len()).map(|at| format!("?{at}")).collect();
        Self {
            many: format!("{insert} {}", vec![first.as_str(); ROWS].join(", ")),
            first: format!("{insert} {first}"),
            next: format!(
                "{insert} (?1, ?2, ?3, (SELECT max(nth) + 1 FROM {table} WHERE client = ?1
                     AND nic = ?2 AND time = ?3), ?4, {})",
                places.join(", ")
            ),
        }
    }

    /// Inserts rows given as the figures of their columns.
    pub fn all<R: IntoIterator<Item = i64> + Clone>(
        &self,
        transaction: &Transaction<'_>,
        rows: impl Iterator<Item = Result<R, Failure>>,
    ) -> Result<(), Failure> {
        let mut many = transaction.prepare_cached(&self.many)?;
        let mut first = transaction.prepare_cached(&self.first)?;
        let mut rows = rows.fuse();
        loop {
            let chunk: Vec<R> = rows.by_ref().take(ROWS).collect::<Result<_, _>>()?;
            let mut left = &chunk[..];
            if chunk.len() == ROWS {
                left = &left[inserted(&mut many, &chunk, transaction)?..];
            }
            for row in left {
                if inserted(&mut first, std::slice::from_ref(row), transaction)? == 0 {
                    execute(&mut *transaction.prepare_cached(&self.next)?, row.clone())?;
                }
            }
            if chunk.len() < ROWS {
                return Ok(());
            }
        }
    }
}

/// Inserts rows with one statement, up to the first whose key exists. Returns the number inserted.
fn inserted<R: IntoIterator<Item = i64> + Clone>(
    statement: &mut Statement<'_>,
    rows: &[R],
    db: &Connection,
) -> Result<usize, Failure> {
    let exists = |error: &rusqlite::Error| {
        error.sqlite_error().is_some_and(|it| it.extended_code == SQLITE_CONSTRAINT_PRIMARYKEY)
    };
    match statement.execute(rusqlite::params_from_iter(rows.iter().cloned().flatten())) {
        Ok(_) => Ok(rows.len()),
        Err(error) if exists(&error) => Ok(usize::try_from(db.changes()).unwrap_or(0)),
        Err(error) => Err(error.into()),
    }
}

/// Binds the figures in order and runs the statement.
pub fn execute(
    statement: &mut Statement<'_>,
    figures: impl IntoIterator<Item = i64>,
) -> Result<(), Failure> {
    statement.execute(rusqlite::params_from_iter(figures))?;
    Ok(())
}
