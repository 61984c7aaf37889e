//! The SQL functions of the file's views.

use rusqlite::Connection;

use super::mixes::functions as of_mixes;
use super::samples::functions as of_samples;

/// Adds the functions that unpack samples and mixes to a connection. Where one is missing, its name says what to do.
pub fn register(db: &Connection) -> rusqlite::Result<()> {
    of_samples::register(db)?;
    of_mixes::register(db)
}
