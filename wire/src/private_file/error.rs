//! Why a file with a secret is of no use.

use std::io;
use std::path::{Path, PathBuf};

use crate::permission;

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It can't be read.
    #[error("can't read {path}: {error}{}", after(way_out))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
        /// What helps, if that can be told.
        way_out: String,
    },
    /// It can't be written.
    #[error("can't write {path}: {error}{}", after(way_out))]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
        /// What helps, if that can be told.
        way_out: String,
    },
    /// Others may read it.
    #[error(
        "{path} has a secret and can be read by others (mode {mode:03o}); run: chmod 600 {path}"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Others may replace what is in it.
    #[error(
        "directory {path} has secrets and can be written by others (mode {mode:03o}); run: \
         chmod 700 {path}"
    )]
    ExposedDirectory {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

fn after(way_out: &str) -> String {
    if way_out.is_empty() { String::new() } else { format!("; {way_out}") }
}

impl FileError {
    /// A file or directory that can't be read, with the user who may if this one may not.
    #[must_use]
    pub fn read(path: &Path, error: io::Error) -> Self {
        let way_out = permission::way_out(path, &error, "");
        Self::Read { path: path.to_owned(), error, way_out }
    }

    /// A file or directory that can't be written, with the user who may if this one may not.
    #[must_use]
    pub fn write(path: &Path, error: io::Error) -> Self {
        let way_out = permission::way_out(path, &error, "");
        Self::Write { path: path.to_owned(), error, way_out }
    }

    /// A file that is to be written, and is looked for first.
    pub(super) fn of_writing(self) -> Self {
        match self {
            Self::Read { path, error, way_out } => Self::Write { path, error, way_out },
            other => other,
        }
    }

    /// True if there is no such file.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Read { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }
}
