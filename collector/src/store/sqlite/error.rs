//! Errors of opening a SQLite store and of statements.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use wire::advice::Advised;
use wire::permission;
use wire::private_file::FileError;

use crate::store::port::error::{Cause, StoreError};

/// Why a SQLite store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another collector uses the file.
    #[error(
        "another collector has the database {path} open; stop that one, or set data_dir to \
         another directory"
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file doesn't exist.
    #[error("there is no database {path}; check data_dir, or start the collector to make it")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file can't be written or read.
    #[error("can't open the database {path}")]
    Inaccessible {
        /// The file.
        path: PathBuf,
        /// The error of SQLite or the system, with the remedy.
        #[source]
        error: Advised,
    },
    /// The directory, or a file beside the database, can't be read or made.
    #[error(transparent)]
    File(#[from] FileError),
    /// A newer collector wrote the file.
    #[error(
        "the database {path} was written by a newer collector (schema {found}, this one knows \
         {known}); start the newer one, or move the file away to begin a new database"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema's version.
        found: i64,
        /// The newest version that this collector knows.
        known: i64,
    },
    /// An older collector wrote the file, and it was opened only for reading.
    #[error(
        "the database {path} was written by an older collector (schema {found}, this one knows \
         {known}); run `collector migrate` or start the collector once"
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Its schema's version.
        found: i64,
        /// The newest version that this collector knows.
        known: i64,
    },
    /// A database of another program.
    #[error("the database {path} belongs to another program; set data_dir to another directory")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Not a valid SQLite file.
    #[error("the database {path} is damaged or no database")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The error of SQLite, with the remedy.
        #[source]
        error: Advised,
    },
}

impl OpenError {
    /// Classifies SQLite's error on opening `path`.
    pub(super) fn from_sqlite(path: &Path, error: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                let way_out = "restore it from a backup, or move it away to begin a new one: \
                               agents send again what they still keep";
                Self::Damaged { path, error: Advised::new(SqliteError(error), way_out) }
            }
            _ => {
                let otherwise = "make the directory writable or set data_dir";
                let way_out = permission::examine(&path, otherwise);
                Self::Inaccessible { path, error: Advised::new(SqliteError(error), way_out) }
            }
        }
    }
}

/// What SQLite says. Its library's message repeats its cause, so this one has none.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(in crate::store) struct SqliteError(pub rusqlite::Error);

/// Why a transaction was rolled back.
#[derive(Debug)]
pub(super) enum Failure {
    /// For the caller as it is.
    Told(StoreError),
    /// SQLite refuses the rows themselves.
    Refused(Cause),
    /// The file itself is faulty.
    File(Cause),
    /// SQLite fails.
    Sqlite(rusqlite::Error),
}

impl Failure {
    /// The caller's error; `path` is the store's file.
    pub(super) fn into_store_error(self, path: &Path) -> StoreError {
        let location = path.display().to_string();
        let error = match self {
            Self::Told(error) => return error,
            Self::Refused(error) => return StoreError::Refused { location, error },
            Self::File(error) => error,
            Self::Sqlite(error) => {
                let way_out = way_out(path, &error);
                Advised::new(SqliteError(error), way_out).into()
            }
        };
        StoreError::Failed { location, error }
    }

    /// The rows are refused.
    pub(super) fn refused(cause: impl Into<Cause>) -> Self {
        Self::Refused(cause.into())
    }
}

/// What helps against an error on the store's file, empty if that can't be told.
fn way_out(path: &Path, error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "free space on its file system".to_owned(),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            permission::examine(path, "make the file and its directory writable")
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "restore it from a backup, or move it away to begin anew".to_owned()
        }
        _ => String::new(),
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        let refused = matches!(error, rusqlite::Error::ToSqlConversionFailure(_))
            || matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig)
            );
        if refused { Self::refused(SqliteError(error)) } else { Self::Sqlite(error) }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Told(error)
    }
}
