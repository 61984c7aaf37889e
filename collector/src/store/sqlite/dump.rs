//! The contents of the file, table by table, for moving it to another store.

use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, Row, params_from_iter};
use wire::private_file;

use super::error::OpenError;
use super::{open, tags};
use crate::store::rows::tags::TagHistory;

/// A file that no other process writes to.
#[derive(Debug)]
pub struct Dump {
    db: Mutex<Connection>,
    _lock: File,
}

impl Dump {
    /// Opens the file at `path` and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`] names the file and the remedy: a collector may still use it.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        if !private_file::exists(path)? {
            return Err(OpenError::Missing { path: path.to_owned() });
        }
        let lock = open::lock(path)?;
        drop(open::writer(path)?);
        Ok(Self { db: Mutex::new(open::reader(path)?), _lock: lock })
    }

    /// The columns of a table, in their order.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn columns(&self, table: &str) -> rusqlite::Result<Vec<String>> {
        let db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        let mut select = db.prepare("SELECT name FROM pragma_table_info(?1)")?;
        let names = select.query_map([table], |row| row.get(0))?;
        names.collect()
    }

    /// The tags of the client with this number.
    ///
    /// # Errors
    /// If SQLite fails.
    pub(in crate::store) fn tag_history(&self, client: i64) -> rusqlite::Result<TagHistory> {
        tags::history(&self.db.lock().unwrap_or_else(PoisonError::into_inner), client)
    }

    /// Passes the rows of a query with at most one parameter to `each`.
    ///
    /// # Errors
    /// If SQLite fails, or the first error of `each`.
    pub fn rows<E: From<rusqlite::Error>>(
        &self,
        sql: &str,
        parameter: Option<i64>,
        mut each: impl FnMut(&Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        let mut select = db.prepare(sql)?;
        let mut rows = select.query(params_from_iter(parameter))?;
        while let Some(row) = rows.next()? {
            each(row)?;
        }
        Ok(())
    }
}
