//! The store, as the rest of the collector has it.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio_postgres::Client;

use super::commit::Committer;
use super::connect::PostgresConfig;
use super::database::{Access, Postgres};
use super::error::Failure;
use crate::store::port::error::StoreError;
use crate::store::port::schema::Migrated;

/// The store. Several collectors may use one database.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pub(super) database: Arc<Postgres>,
    /// The connection that commits, as long as it is sound.
    pub(super) committer: Arc<Mutex<Option<Committer>>>,
}

impl PostgresStore {
    /// A store in the database that `config` names. It is first reached when it is first used,
    /// and its schema is brought up to date then.
    #[must_use]
    pub fn new(config: PostgresConfig) -> Self {
        Self::with_access(config, Access::Migrate)
    }

    /// A store to read from: nothing is changed in the database, whose schema must be up to date.
    #[must_use]
    pub fn reader(config: PostgresConfig) -> Self {
        Self::with_access(config, Access::Read)
    }

    fn with_access(config: PostgresConfig, access: Access) -> Self {
        let database = Arc::new(Postgres::new(config, access));
        Self { database, committer: Arc::default() }
    }

    /// Brings the schema up to date at once, and lets Citus distribute the fact tables where it is.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the database can't be reached or changed, or is of a newer
    /// collector.
    pub async fn migrate(&self) -> Result<Migrated, StoreError> {
        self.outcome(self.database.migrate().await)
    }

    /// What [`Self::migrate`] would do.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the database can't be reached, or is of a newer collector.
    pub async fn plan_migration(&self) -> Result<Migrated, StoreError> {
        self.outcome(self.database.plan_migration().await)
    }

    /// Runs `work` with a connection, once the schema is up to date.
    pub(super) async fn lease<T>(
        &self,
        work: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.outcome(self.database.lease(work).await)
    }

    /// What the caller is told.
    pub(super) fn outcome<T>(&self, outcome: Result<T, Failure>) -> Result<T, StoreError> {
        outcome.map_err(|failure| failure.into_store_error(self.database.config().location()))
    }
}
