//! The database: its connections and the known parts of its schema.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use settings::InFull;
use tokio::sync::{OnceCell, Semaphore};
use tokio_postgres::Client;

use super::connect::PostgresConfig;
use super::error::Failure;
use super::lease::Pool;
use super::migrate;
use super::partition::{self, Partition};
use crate::store::port::schema::Migrated;
use crate::time::now_ns;

/// The database.
#[derive(Debug)]
pub(super) struct Postgres {
    pool: Pool,
    /// The right to read with a second connection, of which the pool has one more.
    pub(super) second: Semaphore,
    access: SchemaAccess,
    /// The schema is up to date.
    migrated: OnceCell<()>,
    /// True if the newest committing connection found rows spread over several servers by Citus.
    is_spread: AtomicBool,
    /// Partitions known to exist.
    partitions: Mutex<BTreeSet<Partition>>,
}

/// How the schema may be handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SchemaAccess {
    /// Bring it up to date.
    Migrate,
    /// It must be up to date and stays unchanged.
    Read,
}

impl Postgres {
    pub(super) fn new(config: PostgresConfig, access: SchemaAccess) -> Self {
        let partitions = Mutex::new(BTreeSet::new());
        let (migrated, is_spread) = (OnceCell::new(), AtomicBool::new(false));
        let (pool, second) = (Pool::new(config), Semaphore::new(1));
        Self { pool, second, access, migrated, is_spread, partitions }
    }

    pub(super) const fn config(&self) -> &PostgresConfig {
        self.pool.config()
    }

    /// Runs `work` with a connection once the schema is up to date.
    pub(super) async fn lease<T>(
        &self,
        work: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.prepare().await?;
        self.pool.lease(work).await
    }

    /// Like [`Self::lease`], for work that leaves the connection in the middle of a statement.
    pub(super) async fn spend<T>(
        &self,
        work: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.prepare().await?;
        self.pool.spend(work).await
    }

    /// Ensures once that the schema is up to date.
    pub(super) async fn prepare(&self) -> Result<(), Failure> {
        let prepare = async || match self.access {
            SchemaAccess::Read => self.pool.lease(migrate::must_be_current).await,
            SchemaAccess::Migrate => {
                let migrate = async |client: &Client| {
                    migrate::migrate(client, self.config().shards(), false).await?;
                    for partition in partition::ahead(now_ns()) {
                        partition::make(client, partition).await?;
                    }
                    Ok(())
                };
                self.pool.lease(migrate).await
            }
        };
        self.migrated.get_or_try_init(prepare).await?;
        Ok(())
    }

    /// Brings the schema up to date. On Citus, also distributes the fact tables.
    pub(super) async fn migrate(&self) -> Result<Migrated, Failure> {
        let shards = self.config().shards();
        let migrate = async |client: &Client| migrate::migrate(client, shards, true).await;
        let migrated = self.pool.lease(migrate).await?;
        self.make_partitions(partition::ahead(now_ns())).await?;
        Ok(migrated)
    }

    /// The plan of [`Self::migrate`].
    pub(super) async fn plan_migration(&self) -> Result<Migrated, Failure> {
        let shards = self.config().shards();
        self.pool.lease(async |client: &Client| migrate::plan(client, shards).await).await
    }

    /// True if rows are known to be spread over several servers.
    pub(super) fn is_spread(&self) -> bool {
        self.is_spread.load(Ordering::Relaxed)
    }

    /// Records whether they are.
    pub(super) fn found_spread(&self, is_spread: bool) {
        self.is_spread.store(is_spread, Ordering::Relaxed);
    }

    /// Partitions known to exist.
    pub(super) fn partitions(&self) -> MutexGuard<'_, BTreeSet<Partition>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes partitions. If one can't be made, its rows go to the default partition. Stops at the first
    /// if no connection is available.
    pub(super) async fn make_partitions(
        &self,
        mut missing: BTreeSet<Partition>,
    ) -> Result<(), Failure> {
        missing.retain(|partition| !self.partitions().contains(partition));
        if missing.is_empty() {
            return Ok(());
        }
        self.prepare().await?;
        for partition in missing {
            match self.pool.lease(async |client| partition::make(client, partition).await).await {
                Ok(()) => {
                    self.partitions().insert(partition);
                }
                Err(failure @ Failure::Unreachable(_)) => return Err(failure),
                Err(failure) => {
                    let cause = failure.into_cause();
                    tracing::warn!(error = %cause.in_full(), partition = partition.name(), "can't make a partition");
                }
            }
        }
        Ok(())
    }
}
