//! The store, and its parts that can be opened beside a running collector.

use std::path::Path;

use super::error::OpenError;
use super::lease::{Readers, Reads, WriteLease, Writes};
use super::open;
use crate::store::port::error::StoreError;
use crate::store::port::schema::Migrated;

/// The store, open for writing by one process at a time.
#[derive(Debug)]
pub struct SqliteStore {
    // Closed before the writing connection: only the last one to close can clean up the log.
    readers: Readers,
    writer: WriteLease,
}

/// The store, open for reading, also beside a running collector.
#[derive(Debug)]
pub struct SqliteReader {
    readers: Readers,
}

/// The register of a file that a collector may have open.
#[derive(Debug)]
pub struct SqliteRegister {
    writer: WriteLease,
}

impl SqliteStore {
    /// Opens or creates the file at `path` and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`] names the file and the remedy.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let writer = WriteLease::open(path)?;
        Ok(Self { readers: Readers::open(path)?, writer })
    }

    /// Brings the schema of the file at `path` up to date, or only returns the plan.
    ///
    /// # Errors
    /// [`OpenError`] names the file and the remedy.
    pub fn migrate(path: &Path, check_only: bool) -> Result<Migrated, OpenError> {
        let from = open::version(path)?;
        if !check_only {
            drop(Self::open(path)?);
        }
        Ok(Migrated { from, to: open::SCHEMA_VERSION, distributed: None })
    }
}

impl SqliteReader {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// [`OpenError`] names the file and the remedy.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Ok(Self { readers: Readers::open(path)? })
    }
}

impl SqliteRegister {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// [`OpenError`] names the file and the remedy.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Ok(Self { writer: WriteLease::beside(path)? })
    }
}

impl Reads for SqliteStore {
    fn readers(&self) -> &Readers {
        &self.readers
    }

    fn check(&self) -> Result<(), StoreError> {
        self.writer.check_files()
    }
}

impl Writes for SqliteStore {
    fn writer(&self) -> &WriteLease {
        &self.writer
    }
}

impl Reads for SqliteReader {
    fn readers(&self) -> &Readers {
        &self.readers
    }
}

impl Writes for SqliteRegister {
    fn writer(&self) -> &WriteLease {
        &self.writer
    }
}
