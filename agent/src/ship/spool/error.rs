//! Why the spool can't be used.

use std::path::{Path, PathBuf};

use wire::advice::Advised;
use wire::permission;
use wire::private_file::FileError;

/// Version of the file's schema (`PRAGMA user_version`).
pub(super) const SCHEMA_VERSION: i64 = 4;

/// Why the spool can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// A directory or file can't be made or looked at.
    #[error("can't open the spool")]
    File(#[source] Advised),
    /// The file can't be opened.
    #[error("can't open the spool {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// The error of SQLite or the system, with the remedy.
        #[source]
        error: Advised,
    },
    /// Another agent has the file.
    #[error(
        "another agent uses the spool {path}: stop it, or give this one a data directory of its own \
         (data_dir) and a certificate of its own (agent enroll)"
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A newer agent wrote the file.
    #[error(
        "the spool {path} was written by a newer agent (schema {found}, this one knows \
         {SCHEMA_VERSION}); start the newer one, or move the file away to begin a new spool"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema's version.
        found: i64,
    },
    /// Reading or writing failed.
    #[error("the spool {path} fails")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        #[source]
        error: SqliteError,
    },
}

/// What SQLite says. Its library's message repeats its cause, so this one has none.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SqliteError(pub rusqlite::Error);

impl From<FileError> for SpoolError {
    fn from(error: FileError) -> Self {
        Self::File(Advised::new(error, "or set data_dir"))
    }
}

impl SpoolError {
    /// The file can't be opened. It looks at the file system for what helps.
    pub(super) fn open(
        path: &Path,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let way_out = permission::examine(path, "make the directory writable or set data_dir");
        Self::Open { path: path.to_owned(), error: Advised::new(error, way_out) }
    }

    /// True if there is no room on the disk.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let Self::Sqlite { error: SqliteError(error), .. } = self else { return false };
        error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
    }

    /// True if the file's content is damaged, so that a new file may take its place.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        let Self::Sqlite { error: SqliteError(error), .. } = self else { return false };
        matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
            || matches!(error, rusqlite::Error::InvalidColumnType(..))
            // The statements are constant, so the schema is no longer what it was.
            || matches!(error, rusqlite::Error::SqlInputError { .. })
    }
}
