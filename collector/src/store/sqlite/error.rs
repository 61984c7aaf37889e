//! Errors of opening a SQLite store and of statements.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use wire::permission;
use wire::private_file::FileError;

use crate::store::port::error::StoreError;

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
    #[error("can't open the database {path}: {error}; {way_out}")]
    Inaccessible {
        /// The file.
        path: PathBuf,
        /// The error of SQLite or the system.
        #[source]
        error: Box<dyn std::error::Error + Send + Sync>,
        /// The remedy.
        way_out: String,
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
    #[error(
        "the database {path} is damaged or no database ({error}); restore it from a backup, or \
         move it away to begin a new one: agents send again what they still keep"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        #[source]
        error: rusqlite::Error,
    },
}

impl OpenError {
    /// Classifies SQLite's error on opening `path`.
    pub(super) fn from_sqlite(path: &Path, error: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged { path, error }
            }
            _ => {
                let otherwise = "make the directory writable or set data_dir";
                let way_out = permission::examine(&path, otherwise);
                Self::Inaccessible { path, error: Box::new(error), way_out }
            }
        }
    }
}

/// Why a transaction was rolled back.
#[derive(Debug)]
pub(super) enum Failure {
    /// For the caller as it is.
    Told(StoreError),
    /// SQLite refuses the rows themselves.
    Refused(String),
    /// The file itself is faulty.
    File(String),
    /// SQLite fails.
    Sqlite(rusqlite::Error),
}

impl Failure {
    /// The caller's error; `path` is the store's file.
    pub(super) fn into_store_error(self, path: &Path) -> StoreError {
        let location = path.display().to_string();
        let reason = match self {
            Self::Told(error) => return error,
            Self::Refused(reason) => return StoreError::Refused { location, reason },
            Self::File(reason) => reason,
            Self::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => format!("{error}; free space on its file system"),
                Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                    let otherwise = "make the file and its directory writable";
                    format!("{error}; {}", permission::examine(path, otherwise))
                }
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    format!("{error}; restore it from a backup, or move it away to begin anew")
                }
                _ => error.to_string(),
            },
        };
        StoreError::Failed { location, reason }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        let refused = matches!(error, rusqlite::Error::ToSqlConversionFailure(_))
            || matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig)
            );
        if refused { Self::Refused(error.to_string()) } else { Self::Sqlite(error) }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Told(error)
    }
}
