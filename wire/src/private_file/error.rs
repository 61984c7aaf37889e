//! Errors of files with secrets.

use std::io;
use std::path::{Path, PathBuf};

use crate::advice::Advised;
use crate::permission;

/// Why a file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It can't be read.
    #[error("can't read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the system, with the remedy if one is known.
        #[source]
        error: Advised,
    },
    /// It can't be written.
    #[error("can't write {path}")]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// The error of the system, with the remedy if one is known.
        #[source]
        error: Advised,
    },
    /// Other users may read it.
    #[error(
        "{path} contains a secret and others can read it (mode {mode:03o}); run: chmod 600 {path}"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Other users may replace its contents.
    #[error(
        "directory {path} contains secrets and others can write to it (mode {mode:03o}); run: \
         chmod 700 {path}"
    )]
    ExposedDirectory {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

impl FileError {
    /// A file or directory can't be read. Names a user who may, if this one may not.
    #[must_use]
    pub fn read(path: &Path, error: io::Error) -> Self {
        let way_out = permission::way_out(path, &error, "");
        Self::Read { path: path.to_owned(), error: Advised::new(error, way_out) }
    }

    /// A file or directory can't be written. Names a user who may, if this one may not.
    #[must_use]
    pub fn write(path: &Path, error: io::Error) -> Self {
        let way_out = permission::way_out(path, &error, "");
        Self::Write { path: path.to_owned(), error: Advised::new(error, way_out) }
    }

    /// The same error while preparing to write.
    pub(super) fn of_writing(self) -> Self {
        match self {
            Self::Read { path, error } => Self::Write { path, error },
            other => other,
        }
    }

    /// True if the file doesn't exist.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Read { error, .. } if error.io_kind() == Some(io::ErrorKind::NotFound))
    }
}
