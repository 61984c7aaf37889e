//! The SQL functions of the file's views.

use rusqlite::Connection;

use super::{mixes, samples};

/// Adds the functions that unpack samples and mixes to a connection. Where one is missing, its name says what to do.
pub fn register(db: &Connection) -> rusqlite::Result<()> {
    samples::functions::register(db)?;
    mixes::functions::register(db)
}
