//! `collector import`: moves an embedded store into PostgreSQL, and proves that it is complete.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::store::postgres::{Moved, PostgresConfig, PostgresStore, TableSums};
use crate::store::sqlite::{Dump, OpenError, SqliteReader};
use crate::store::{Check, CheckReport, StoreError};
use crate::store_location::StoreLocationError;

/// Why a store could not be moved.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file or the database is unusable.
    #[error(transparent)]
    StoreLocation(#[from] StoreLocationError),
    /// The two differ afterwards.
    #[error(
        "{0} findings: the database doesn't hold what the file does; see above. The file is \
         unchanged"
    )]
    Differs(usize),
}

impl From<StoreError> for ImportError {
    fn from(error: StoreError) -> Self {
        Self::StoreLocation(error.into())
    }
}

impl From<OpenError> for ImportError {
    fn from(error: OpenError) -> Self {
        Self::StoreLocation(error.into())
    }
}

/// Moves the contents of `file` into the database and reports progress.
///
/// # Errors
/// [`ImportError`] gives the obstacle; what was moved stays and is not moved again.
pub async fn import(
    config: &PostgresConfig,
    file: &Path,
    mut say: impl FnMut(&str),
) -> Result<(), ImportError> {
    let dump = Arc::new(Dump::open(file)?);
    let store = PostgresStore::new(config.clone());
    store.migrate().await?;
    let sources = store.sources(&dump)?;
    for source in &sources {
        let client = &source.client;
        match store.import(&dump, source).await? {
            Moved::Now(rows) => say(&format!("{client}: {rows} rows moved")),
            Moved::Before => say(&format!("{client}: was moved before")),
        }
    }
    let (rows, mut findings) = store.import_accounts(&dump).await?;
    if rows > 0 {
        say(&format!("accounts: {rows} rows of statements, entries and warnings moved"));
    }
    let mut tables: BTreeMap<&str, (i128, usize)> = BTreeMap::new();
    for source in &sources {
        let sums = store.sums(&dump, source).await?;
        let goes_on = goes_on(&sums);
        for table in sums {
            let (rows, more) = tables.entry(table.table).or_default();
            *rows += table.rows();
            *more += usize::from(goes_on);
            if !agree(&table, goes_on) {
                let TableSums { table, file, database } = table;
                let client = &source.client;
                findings.push(format!(
                    "client {client}, {table}: rows and sums are {database:?} in the database, \
                     {file:?} in the file"
                ));
            }
        }
    }
    for (table, (rows, more)) in tables {
        let since = match more {
            0 => "the same number and sums in both".to_owned(),
            more => format!("in the database too, and more since of {more} clients"),
        };
        say(&format!("{table}: {rows} rows, {since}"));
    }
    let before = SqliteReader::open(file)?.check().await?;
    let after = store.check().await?;
    say(&proof(&file.display().to_string(), &before));
    say(&proof(config.location(), &after));
    let new = after.findings.iter().filter(|finding| !before.findings.contains(finding));
    findings.extend(new.cloned());
    findings.iter().for_each(|finding| say(finding));
    if findings.is_empty() { Ok(()) } else { Err(ImportError::Differs(findings.len())) }
}

/// True if the client's agent has delivered more to the database since.
fn goes_on(sums: &[TableSums]) -> bool {
    sums.iter().any(|table| table.table == "sessions" && table.database != table.file)
}

fn agree(table: &TableSums, goes_on: bool) -> bool {
    let TableSums { table, file, database } = table;
    // Sessions were compared one by one before.
    database == file
        || goes_on && (*table == "sessions" || database.iter().zip(file).all(|(it, was)| it >= was))
}

fn proof(location: &str, report: &CheckReport) -> String {
    match report.findings.len() {
        0 => format!("{location}: {} sessions, proven complete", report.sessions),
        findings => format!("{location}: {} sessions, {findings} findings", report.sessions),
    }
}
