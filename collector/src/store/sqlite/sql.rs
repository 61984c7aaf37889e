//! Questions of operators, in SQL.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value;

use super::error::{OpenError, SqliteError};
use super::open;

/// The file, opened to read: also for the views that need the collector's own functions.
#[derive(Debug)]
pub struct SqlFile {
    db: Connection,
}

/// SQLite can't answer.
#[derive(Debug, thiserror::Error)]
#[error("can't answer")]
pub struct SqlError(#[source] SqliteError);

impl From<rusqlite::Error> for SqlError {
    fn from(error: rusqlite::Error) -> Self {
        Self(SqliteError(error))
    }
}

impl SqlFile {
    /// Opens the file at `path`, also beside a running collector.
    ///
    /// # Errors
    /// [`OpenError`] names the file and the remedy.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Ok(Self { db: open::reader(path)? })
    }

    /// Passes the names of the columns to `each`, then the values of each row.
    ///
    /// # Errors
    /// [`SqlError`] is SQLite's own, or the first error of `each`.
    pub fn ask<E: From<SqlError>>(
        &self,
        sql: &str,
        mut each: impl FnMut(Vec<Value>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut select = self.db.prepare(sql).map_err(SqlError::from)?;
        let names = select.column_names().map(|name| Value::from(name.to_owned()));
        let names: Vec<Value> = names.collect();
        let width = names.len();
        each(names)?;
        let mut rows = select.query([]).map_err(SqlError::from)?;
        while let Some(row) = rows.next().map_err(SqlError::from)? {
            let cells = (0..width).map(|at| row.get(at)).collect::<rusqlite::Result<_>>();
            each(cells.map_err(SqlError::from)?)?;
        }
        Ok(())
    }
}
