//! The store named by the config. All stores are opened here.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use settings::Problem;
use wire::private_file;

use crate::config::Config;
use crate::identity::{EnrolmentStore, UsesError};
use crate::store::postgres::{PostgresConfig, PostgresStore};
use crate::store::sqlite::{OpenError, SqliteReader, SqliteRegister, SqliteStore};
use crate::store::{Database, Forget, KeepCycles, Migrated, Reader, Silences, StoreError, Tagging};

/// Location of the store.
#[derive(Debug, Clone)]
pub enum StoreLocation {
    /// The embedded store, in this file.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres(Box<PostgresConfig>),
}

/// Why the store is unusable.
#[derive(Debug, thiserror::Error)]
pub enum StoreLocationError {
    /// The embedded store can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database fails.
    #[error(transparent)]
    Uses(UsesError),
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(config) => config.location().fmt(f),
        }
    }
}

/// The embedded store's file in a collector's data directory.
#[must_use]
pub fn sqlite_path(data_dir: &Path) -> PathBuf {
    data_dir.join("netmon.sqlite")
}

impl StoreLocation {
    /// The store's location according to the config.
    ///
    /// # Errors
    /// [`Problem`] names the key that is wrong, or whose file can't be read.
    pub fn of(config: &Config) -> Result<Self, Problem> {
        let postgres = config.database.postgres()?;
        Ok(match postgres {
            Some(postgres) => Self::Postgres(Box::new(postgres)),
            None => Self::Sqlite(sqlite_path(&config.data_dir)),
        })
    }

    /// Opens the store for the collector itself. PostgreSQL is first contacted when used.
    ///
    /// # Errors
    /// [`OpenError`] if the embedded store is unusable.
    pub fn open(&self) -> Result<Arc<dyn Database>, OpenError> {
        Ok(match self {
            Self::Sqlite(path) => Arc::new(SqliteStore::open(path)?),
            Self::Postgres(config) => Arc::new(PostgresStore::new(config.as_ref().clone())),
        })
    }

    /// Opens the store for reading, also beside running collectors.
    ///
    /// # Errors
    /// [`OpenError`] if the embedded store is unusable.
    pub fn open_to_read(&self) -> Result<Arc<dyn Reader>, OpenError> {
        Ok(match self {
            Self::Sqlite(path) => Arc::new(SqliteReader::open(path)?),
            Self::Postgres(config) => Arc::new(PostgresStore::reader(config.as_ref().clone())),
        })
    }

    /// Opens the store for removing clients, also beside running collectors.
    ///
    /// # Errors
    /// [`OpenError`] if the embedded store is unusable.
    pub fn open_to_forget(&self) -> Result<Arc<dyn Forget>, OpenError> {
        Ok(match self {
            Self::Sqlite(path) => Arc::new(SqliteRegister::open(path)?),
            Self::Postgres(config) => Arc::new(PostgresStore::reader(config.as_ref().clone())),
        })
    }

    /// Opens the store for changing tags, also beside running collectors.
    ///
    /// # Errors
    /// [`OpenError`] if the embedded store is unusable.
    pub fn open_to_tag(&self) -> Result<Arc<dyn Tagging>, OpenError> {
        Ok(match self {
            Self::Sqlite(path) => Arc::new(SqliteRegister::open(path)?),
            Self::Postgres(config) => Arc::new(PostgresStore::reader(config.as_ref().clone())),
        })
    }

    /// Opens the store for silences of alerts, also beside running collectors.
    ///
    /// # Errors
    /// [`OpenError`] if the embedded store is unusable.
    pub fn open_to_silence(&self) -> Result<Arc<dyn Silences>, OpenError> {
        Ok(match self {
            Self::Sqlite(path) => Arc::new(SqliteRegister::open(path)?),
            Self::Postgres(config) => Arc::new(PostgresStore::reader(config.as_ref().clone())),
        })
    }

    /// Opens the store for entries of accounts, also beside running collectors.
    ///
    /// # Errors
    /// [`OpenError`] if the embedded store is unusable.
    pub fn open_to_bill(&self) -> Result<Arc<dyn KeepCycles>, OpenError> {
        Ok(match self {
            Self::Sqlite(path) => Arc::new(SqliteRegister::open(path)?),
            Self::Postgres(config) => Arc::new(PostgresStore::reader(config.as_ref().clone())),
        })
    }

    /// Opens the store for the shared data of enrolments, also beside running collectors.
    ///
    /// # Errors
    /// [`OpenError`] if the embedded store is unusable.
    pub fn open_to_enrol(&self) -> Result<Arc<dyn EnrolmentStore>, OpenError> {
        Ok(match self {
            Self::Sqlite(path) => Arc::new(SqliteRegister::open(path)?),
            Self::Postgres(config) => Arc::new(PostgresStore::reader(config.as_ref().clone())),
        })
    }

    /// Updates the schema, or only reports what would be done.
    ///
    /// # Errors
    /// [`StoreLocationError`] if the store can't be reached or changed.
    pub async fn migrate(&self, check_only: bool) -> Result<Migrated, StoreLocationError> {
        match (self, check_only) {
            (Self::Sqlite(path), _) => Ok(SqliteStore::migrate(path, check_only)?),
            (Self::Postgres(config), true) => {
                Ok(PostgresStore::reader(config.as_ref().clone()).plan_migration().await?)
            }
            (Self::Postgres(config), false) => {
                Ok(PostgresStore::new(config.as_ref().clone()).migrate().await?)
            }
        }
    }

    /// True if a collector has used the store before.
    ///
    /// # Errors
    /// [`StoreLocationError`] if the database can't be reached.
    pub async fn is_used(&self) -> Result<bool, StoreLocationError> {
        match self {
            Self::Sqlite(path) => Ok(private_file::exists(path).map_err(OpenError::from)?),
            Self::Postgres(config) => {
                Ok(PostgresStore::reader(config.as_ref().clone()).plan_migration().await?.from > 0)
            }
        }
    }
}
