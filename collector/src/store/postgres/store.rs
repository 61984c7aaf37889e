//! The store's interface for the rest of the collector.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio_postgres::Client;

use super::claim::NewClaim;
use super::commit::Committer;
use super::connect::PostgresConfig;
use super::database::{Postgres, SchemaAccess};
use super::error::Failure;
use super::group::GroupWrite;
use super::group_commit::CommitGroup;
use super::inventory::ListedNics;
use super::session::{ClockReading, Opening};
use super::tags::SaidTags;
use crate::store::port::error::StoreError;
use crate::store::port::schema::Migrated;

/// The store. Several collectors may use one database.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pub(super) database: Arc<Postgres>,
    /// The committing connection, as long as it works.
    pub(super) committer: Arc<Mutex<Option<Committer>>>,
    pub(super) groups: Arc<CommitGroups>,
}

/// What agents say when they introduce themselves: many at once after an outage.
#[derive(Debug, Default)]
pub(super) struct CommitGroups {
    pub claims: CommitGroup<NewClaim>,
    pub openings: CommitGroup<Opening>,
    pub inventories: CommitGroup<ListedNics>,
    pub tags: CommitGroup<SaidTags>,
    pub clocks: CommitGroup<ClockReading>,
}

impl PostgresStore {
    /// A store in the database of `config`. The first use connects and brings the schema up to date.
    #[must_use]
    pub fn new(config: PostgresConfig) -> Self {
        Self::with_access(config, SchemaAccess::Migrate)
    }

    /// A store for reading. It changes nothing, and the schema must be up to date.
    #[must_use]
    pub fn reader(config: PostgresConfig) -> Self {
        Self::with_access(config, SchemaAccess::Read)
    }

    fn with_access(config: PostgresConfig, access: SchemaAccess) -> Self {
        let database = Arc::new(Postgres::new(config, access));
        Self { database, committer: Arc::default(), groups: Arc::default() }
    }

    /// Brings the schema up to date now. On Citus, also distributes the fact tables.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the database can't be reached or changed, or belongs to a newer
    /// collector.
    pub async fn migrate(&self) -> Result<Migrated, StoreError> {
        self.outcome(self.database.migrate().await)
    }

    /// The plan of [`Self::migrate`].
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the database can't be reached, or belongs to a newer collector.
    pub async fn plan_migration(&self) -> Result<Migrated, StoreError> {
        self.outcome(self.database.plan_migration().await)
    }

    /// Runs `work` with a connection once the schema is up to date.
    pub(super) async fn lease<T>(
        &self,
        work: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.outcome(self.database.lease(work).await)
    }

    /// Does a write of `group` with others that come at about the same time, or alone.
    pub(super) async fn together<W: GroupWrite>(
        &self,
        group: &CommitGroup<W>,
        write: W,
    ) -> Result<W::Done, StoreError> {
        let write = Arc::new(write);
        match group.add(&self.database, write.clone()).await {
            Ok(done) => Ok(done),
            Err(_until_done) => self.lease(async |db| write.alone(db).await).await,
        }
    }

    /// Converts a failure into the caller's error.
    pub(super) fn outcome<T>(&self, outcome: Result<T, Failure>) -> Result<T, StoreError> {
        outcome.map_err(|failure| failure.into_store_error(self.database.config().location()))
    }
}
