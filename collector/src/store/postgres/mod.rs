//! The store in PostgreSQL, for many hosts and several collectors. Statements are never kept
//! prepared across transactions, so that a pooler may stand in between.

mod check;
mod commit;
mod connect;
mod copy;
mod downsample;
mod enrolled;
mod error;
mod export;
mod figures;
mod history;
mod import;
mod inventory;
mod migrate;
mod partition;
mod quarantine;
mod query;
mod register;
mod retention;
mod session;
mod settings;
mod sign_outs;
mod tables;
mod tokens;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::sync::{Mutex, OnceCell, mpsc};
use wire::frame::Mix;
use wire::id::ClientId;
use wire::message::{Hello, Inventory};

use self::commit::{Committer, Outcome};
pub use self::connect::{Authorities, PostgresConfig, PostgresConfigError, read_password};
use self::connect::{Lease, Pool};
use self::error::Failure;
pub use self::import::{Moved, Source, TableSums};
use self::partition::Partition;
use super::check::{Check, CheckReport};
use super::export::{Export, ExportRange, ExportRow, Place};
use super::history::Event;
use super::percentile::Percentile;
use super::query::{Client, NicRange, PercentileRange, Query, Series, SeriesRange};
use super::{Batch, End, Migrated, SessionState, Store, StoreError};

/// How often a commit that lost a race is tried again at once.
const RACES_MAX: u32 = 3;

/// The store. Several collectors may use one database.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    database: Arc<Postgres>,
}

#[derive(Debug)]
struct Postgres {
    pool: Pool,
    /// The connection that commits, as long as it is sound.
    committer: Mutex<Option<Committer>>,
    access: Access,
    /// The schema is up to date.
    migrated: OnceCell<()>,
    /// Partitions known to be there.
    partitions: StdMutex<BTreeSet<Partition>>,
}

/// What may be done with the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// It is brought up to date.
    Migrate,
    /// It must be up to date, and is left alone.
    Read,
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
        let database = Postgres {
            pool: Pool::new(config),
            committer: Mutex::new(None),
            access,
            migrated: OnceCell::new(),
            partitions: StdMutex::new(BTreeSet::new()),
        };
        Self { database: Arc::new(database) }
    }

    /// Brings the schema up to date at once, and lets Citus distribute the fact tables where it is.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the database can't be reached or changed, or is of a newer
    /// collector.
    pub async fn migrate(&self) -> Result<Migrated, StoreError> {
        let migrate = async {
            let lease = self.database.pool.lease().await?;
            let migrated = migrate::migrate(&lease, true).await?;
            lease.give_back();
            self.database.make_partitions(partition::ahead(now_ns())).await?;
            Ok(migrated)
        };
        self.told(migrate.await)
    }

    /// What [`Self::migrate`] would do.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the database can't be reached, or is of a newer collector.
    pub async fn plan_migration(&self) -> Result<Migrated, StoreError> {
        let plan = async {
            let lease = self.database.pool.lease().await?;
            let plan = migrate::plan(&lease).await?;
            lease.give_back();
            Ok(plan)
        };
        self.told(plan.await)
    }

    fn told<T>(&self, outcome: Result<T, Failure>) -> Result<T, StoreError> {
        outcome.map_err(|it| it.into_store_error(self.database.pool.config().location()))
    }
}

impl Postgres {
    /// A connection to a database whose schema is up to date.
    async fn lease(&self) -> Result<Lease<'_>, Failure> {
        let lease = self.pool.lease().await?;
        let migrate = async || {
            if self.access == Access::Read {
                return migrate::must_be_current(&lease).await;
            }
            migrate::migrate(&lease, false).await?;
            for partition in partition::ahead(now_ns()) {
                partition::make(&lease, partition).await?;
            }
            Ok::<_, Failure>(())
        };
        self.migrated.get_or_try_init(migrate).await?;
        Ok(lease)
    }

    fn partitions(&self) -> MutexGuard<'_, BTreeSet<Partition>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn add(&self, batch: &Batch, end: End) -> Result<(), Failure> {
        // One at a time: the writer's batches are large.
        let mut kept = self.committer.lock().await;
        self.make_partitions(partition::needed(batch, now_ns())).await?;
        let known = |partition: &Partition| self.partitions().contains(partition);
        let mut partition = partition::of_all_samples(batch).filter(known);
        let mut races = 0;
        loop {
            let mut committer = self.take(&mut kept).await?;
            match committer.add(batch, partition, end).await {
                Ok(Outcome::Done) => {
                    *kept = Some(committer);
                    return Ok(());
                }
                Ok(Outcome::Unknown(error)) => {
                    drop(committer);
                    return self.settle(batch, error).await;
                }
                Err(Failure::Raced(_)) if races < RACES_MAX => {
                    races += 1;
                    // It may be gone: another collector has dropped it by age.
                    partition = None;
                    self.partitions().clear();
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// The connection that commits, or a new one. It must be put back after it has worked.
    async fn take(&self, kept: &mut Option<Committer>) -> Result<Committer, Failure> {
        match kept.take() {
            Some(committer) if !committer.client.is_closed() => Ok(committer),
            _ => {
                self.lease().await?.give_back();
                Committer::connect(self.pool.config()).await
            }
        }
    }

    /// Finds out, over another connection, what became of a commit that nothing was heard of.
    async fn settle(&self, batch: &Batch, error: tokio_postgres::Error) -> Result<(), Failure> {
        let sessions: Vec<u64> = batch.sessions.iter().map(|session| session.session).collect();
        let lease = self.lease().await?;
        let states = session::states(&lease, &sessions).await?;
        lease.give_back();
        let committed = batch.sessions.iter().all(|session| {
            let (epoch, digest) = (session.epoch, Some(session.digest));
            let (session, seq) = (session.session, session.last_seq());
            states.contains(&SessionState { session, seq, epoch, digest })
        });
        if committed { Ok(()) } else { Err(error.into()) }
    }

    /// Makes partitions. Where that fails, the default ones take the rows.
    async fn make_partitions(&self, mut missing: BTreeSet<Partition>) -> Result<(), Failure> {
        missing.retain(|partition| !self.partitions().contains(partition));
        for partition in missing {
            let lease = self.lease().await?;
            match partition::make(&lease, partition).await {
                Ok(()) => {
                    lease.give_back();
                    self.partitions().insert(partition);
                }
                Err(error) => tracing::warn!(?error, partition = partition.name(), "not made"),
            }
        }
        Ok(())
    }
}

fn now_ns() -> u64 {
    session::time_ns(SystemTime::now())
}

#[async_trait]
impl Store for PostgresStore {
    async fn open_sessions(
        &self,
        client: &ClientId,
        hello: &Hello,
        now_ns: u64,
    ) -> Result<Vec<SessionState>, StoreError> {
        let open = async {
            let lease = self.database.lease().await?;
            let states = session::open_sessions(&lease, client, hello, now_ns).await?;
            lease.give_back();
            Ok(states)
        };
        self.told(open.await)
    }

    async fn committed(&self, sessions: &[u64]) -> Result<Vec<SessionState>, StoreError> {
        let read = async {
            let lease = self.database.lease().await?;
            let states = session::states(&lease, sessions).await?;
            lease.give_back();
            Ok(states)
        };
        self.told(read.await)
    }

    async fn add(&self, batch: &Arc<Batch>, end: End) -> Result<(), StoreError> {
        let (database, batch) = (self.database.clone(), batch.clone());
        // Runs to its end even if the caller stops waiting.
        let done = tokio::spawn(async move { database.add(&batch, end).await }).await;
        self.told(done.unwrap_or_else(|error| Err(Failure::Failed(error.to_string()))))
    }

    async fn record_inventory(
        &self,
        client: &ClientId,
        inventory: &Inventory,
        now_ns: u64,
    ) -> Result<(), StoreError> {
        let record = async {
            let lease = self.database.lease().await?;
            inventory::record(&lease, client, inventory, now_ns).await?;
            lease.give_back();
            Ok(())
        };
        self.told(record.await)
    }

    async fn record_clock_offset(&self, session: u64, offset_ns: i64) -> Result<(), StoreError> {
        let record = async {
            let lease = self.database.lease().await?;
            session::record_clock_offset(&lease, session, offset_ns).await?;
            lease.give_back();
            Ok(())
        };
        self.told(record.await)
    }
}

#[async_trait]
impl Query for PostgresStore {
    async fn clients(&self) -> Result<Vec<Client>, StoreError> {
        let read = async {
            let lease = self.database.lease().await?;
            let clients = query::clients(&lease).await?;
            lease.give_back();
            Ok(clients)
        };
        self.told(read.await)
    }

    async fn series(&self, range: &SeriesRange) -> Result<Series, StoreError> {
        let read = async {
            let lease = self.database.lease().await?;
            let series = query::series(&lease, range).await?;
            lease.give_back();
            Ok(series)
        };
        self.told(read.await)
    }

    async fn percentile(&self, range: &PercentileRange) -> Result<Percentile, StoreError> {
        let read = async {
            let lease = self.database.lease().await?;
            let percentile = query::percentile(&lease, range).await?;
            lease.give_back();
            Ok(percentile)
        };
        self.told(read.await)
    }

    async fn mix(&self, range: &NicRange) -> Result<Mix, StoreError> {
        let read = async {
            let lease = self.database.lease().await?;
            let mix = history::mix(&lease, range).await?;
            lease.give_back();
            Ok(mix)
        };
        self.told(read.await)
    }

    async fn events(&self, range: &NicRange, limit: usize) -> Result<Vec<Event>, StoreError> {
        let read = async {
            let lease = self.database.lease().await?;
            let events = history::events(&lease, range, limit).await?;
            lease.give_back();
            Ok(events)
        };
        self.told(read.await)
    }

    async fn ready(&self) -> Result<(), StoreError> {
        let read = async {
            let lease = self.database.lease().await?;
            commit::must_be_safe(&lease, self.database.pool.config()).await?;
            // Not to be had of a server that takes no changes.
            lease.batch_execute("SELECT one FROM retention FOR UPDATE").await?;
            lease.give_back();
            Ok(())
        };
        self.told(read.await)
    }

    fn rest(&self) -> Duration {
        connect::REST
    }
}

#[async_trait]
impl Export for PostgresStore {
    async fn nic_names(&self, client: &str) -> Result<Option<Vec<String>>, StoreError> {
        let read = async {
            let lease = self.database.lease().await?;
            let names = export::nic_names(&lease, client).await?;
            lease.give_back();
            Ok(names)
        };
        self.told(read.await)
    }

    async fn export(
        &self,
        range: &ExportRange,
        rows: mpsc::Sender<Vec<ExportRow>>,
    ) -> Result<(), StoreError> {
        let mut place = Place::before(range);
        loop {
            // Its connection is not given back: it is left in the middle.
            let read = async {
                export::read(&*self.database.lease().await?, range, &mut place, &rows).await
            };
            let read = tokio::select! {
                read = read => read,
                () = rows.closed() => return Ok(()),
            };
            let (some, last) = self.told(read)?.waiting();
            if rows.send(some).await.is_err() || last {
                return Ok(());
            }
        }
    }
}

#[async_trait]
impl Check for PostgresStore {
    async fn check(&self) -> Result<CheckReport, StoreError> {
        let read = async {
            let lease = self.database.lease().await?;
            let report = check::check(&lease).await?;
            lease.give_back();
            Ok(report)
        };
        self.told(read.await)
    }
}
