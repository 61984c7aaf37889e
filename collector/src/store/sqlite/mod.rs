//! The store in one SQLite file, the default: nothing to install. One connection writes and a
//! few read, each on a blocking thread.

mod cancel;
mod check;
mod commit;
mod dump;
mod enrolled;
mod error;
mod export;
mod files;
mod history;
mod open;
mod quarantine;
mod query;
mod register;
mod retention;
mod session;
mod sign_outs;
mod tokens;
mod wide;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::{Mutex, Semaphore, mpsc};
use wire::frame::Mix;
use wire::id::ClientId;
use wire::message::{Hello, Inventory};

use self::cancel::Waiting;
pub use self::dump::Dump;
use self::error::Failure;
pub use self::error::OpenError;
use self::files::Files;
pub use self::open::reusable_bytes;
pub use self::register::SqliteRegister;
use super::check::{Check, CheckReport};
use super::export::{Export, ExportRange, ExportRow};
use super::history::Event;
use super::percentile::Percentile;
use super::query::{Client, NicRange, PercentileRange, Query, Series, SeriesRange};
use super::retention::{Retain, Retained, RetentionLimits, TimeSeen};
use super::{Batch, End, Migrated, SessionState, Store, StoreError};

/// Connections that read at the same time: one more than what is asked over HTTP may take
/// (`http.limits.queries`), so that retention and `/readyz` find one free.
const READERS: usize = 5;

/// The store, open to write. One process at a time.
#[derive(Debug)]
pub struct SqliteStore {
    // Closed before the connection that writes: only that one can tidy the log away.
    reader: SqliteReader,
    writer: Arc<Mutex<Writer>>,
    files: Arc<Files>,
}

/// The store, open to read: also beside a running collector.
#[derive(Debug)]
pub struct SqliteReader {
    connections: Arc<StdMutex<Vec<Connection>>>,
    free: Arc<Semaphore>,
    path: PathBuf,
}

/// The connection that writes; the lock is given back after it is closed.
#[derive(Debug)]
struct Writer {
    db: Connection,
    /// `None` beside a running collector, which has it.
    _lock: Option<std::fs::File>,
}

impl SqliteStore {
    /// Opens the file at `path`, or makes a new one, and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`] names the file and the way out.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let lock = open::lock(path)?;
        let db = open::writer(path)?;
        let writer = Arc::new(Mutex::new(Writer { db, _lock: Some(lock) }));
        Ok(Self { writer, reader: SqliteReader::open(path)?, files: Arc::new(Files::of(path)) })
    }

    /// Brings the schema of the file at `path` up to date, or only says what would be done.
    ///
    /// # Errors
    /// [`OpenError`] names the file and the way out.
    pub fn migrate(path: &Path, check_only: bool) -> Result<Migrated, OpenError> {
        let from = open::version(path)?;
        if !check_only {
            drop(Self::open(path)?);
        }
        Ok(Migrated { from, to: open::SCHEMA_VERSION, distributed: None })
    }

    /// Runs `work` with the connection that writes. It runs to its end even if the caller stops
    /// waiting.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut writer = self.writer.clone().lock_owned().await;
        let files = self.files.clone();
        let done = tokio::task::spawn_blocking(move || {
            files.check()?;
            work(&mut writer.db)
        });
        self.reader.outcome(done.await)
    }
}

impl SqliteReader {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// [`OpenError`] names the file and the way out.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let connections = (0..READERS).map(|_| open::reader(path)).collect::<Result<_, _>>()?;
        let connections = Arc::new(StdMutex::new(connections));
        let free = Arc::new(Semaphore::new(READERS));
        Ok(Self { connections, free, path: path.to_owned() })
    }

    /// Runs `work` with a connection that reads. It is broken off if the caller stops waiting.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = |error: tokio::sync::AcquireError| self.failed(error.to_string());
        let permit = self.free.clone().acquire_owned().await.map_err(closed)?;
        let waiting = Waiting::default();
        let (connections, path, waited) =
            (self.connections.clone(), self.path.clone(), waiting.waited());
        let done = tokio::task::spawn_blocking(move || {
            // Until the work is done, whoever waits for it.
            let _permit = permit;
            let pool = || connections.lock().unwrap_or_else(PoisonError::into_inner);
            let idle = pool().pop();
            let mut db = match idle {
                Some(db) => db,
                // Work that failed badly has taken it along.
                None => open::reader(&path).map_err(|error| {
                    let location = path.display().to_string();
                    StoreError::Failed { location, reason: error.to_string() }
                })?,
            };
            let outcome = waited.run(&mut db, work);
            pool().push(db);
            outcome
        })
        .await;
        drop(waiting);
        self.outcome(done)
    }

    fn outcome<T>(
        &self,
        done: Result<Result<T, Failure>, tokio::task::JoinError>,
    ) -> Result<T, StoreError> {
        match done {
            Ok(outcome) => outcome.map_err(|failure| failure.into_store_error(&self.path)),
            Err(error) => Err(self.failed(error.to_string())),
        }
    }

    fn failed(&self, reason: String) -> StoreError {
        StoreError::Failed { location: self.path.display().to_string(), reason }
    }
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// A figure as SQLite keeps it. One that 64 signed bits can't hold is refused.
fn int(figure: u64) -> Result<i64, Failure> {
    i64::try_from(figure).map_err(|_| Failure::Refused(format!("a figure of {figure}")))
}

#[async_trait]
impl Store for SqliteStore {
    async fn open_sessions(
        &self,
        client: &ClientId,
        hello: &Hello,
        now_ns: u64,
    ) -> Result<Vec<SessionState>, StoreError> {
        let (client, hello) = (client.clone(), hello.clone());
        self.write(move |db| session::open_sessions(db, &client, &hello, now_ns)).await
    }

    async fn committed(&self, sessions: &[u64]) -> Result<Vec<SessionState>, StoreError> {
        let sessions = sessions.to_vec();
        // With the connection that writes: after a commit that is still under way.
        self.write(move |db| session::states(db, &sessions)).await
    }

    async fn add(&self, batch: &Arc<Batch>, end: End) -> Result<(), StoreError> {
        let batch = batch.clone();
        self.write(move |db| commit::add(db, &batch, end, now_ns())).await
    }

    async fn record_inventory(
        &self,
        client: &ClientId,
        inventory: &Inventory,
        now_ns: u64,
    ) -> Result<(), StoreError> {
        let (client, inventory) = (client.clone(), inventory.clone());
        self.write(move |db| session::record_inventory(db, &client, &inventory, now_ns)).await
    }

    async fn record_clock_offset(&self, session: u64, offset_ns: i64) -> Result<(), StoreError> {
        self.write(move |db| session::record_clock_offset(db, session, offset_ns)).await
    }
}

#[async_trait]
impl Retain for SqliteStore {
    async fn time_seen(&self, limits: &RetentionLimits) -> Result<TimeSeen, StoreError> {
        let limits = *limits;
        self.reader.read(move |db| retention::time_seen(db, &limits)).await
    }

    async fn keep_clock(&self, clock_ns: u64) -> Result<(), StoreError> {
        self.write(move |db| retention::keep_clock(db, clock_ns)).await
    }

    async fn retain(&self, limits: &RetentionLimits, now_ns: u64) -> Result<Retained, StoreError> {
        let cut = limits.cut_offs(now_ns);
        self.write(move |db| retention::begin(db, &cut, now_ns)).await?;
        let mut retained = Retained::default();
        // The connection is given back between steps: commits go in between.
        loop {
            match self.write(move |db| retention::step(db, &cut)).await? {
                0 => return Ok(retained),
                rows => retained.rows += rows,
            }
        }
    }
}

#[async_trait]
impl Query for SqliteReader {
    async fn clients(&self) -> Result<Vec<Client>, StoreError> {
        self.read(|db| query::clients(db)).await
    }

    async fn series(&self, range: &SeriesRange) -> Result<Series, StoreError> {
        let range = range.clone();
        self.read(move |db| query::series(db, &range)).await
    }

    async fn percentile(&self, range: &PercentileRange) -> Result<Percentile, StoreError> {
        let range = range.clone();
        self.read(move |db| query::percentile(db, &range)).await
    }

    async fn mix(&self, range: &NicRange) -> Result<Mix, StoreError> {
        let range = range.clone();
        self.read(move |db| history::mix(db, &range)).await
    }

    async fn events(&self, range: &NicRange, limit: usize) -> Result<Vec<Event>, StoreError> {
        let range = range.clone();
        self.read(move |db| history::events(db, &range, limit)).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.read(|db| query::ready(db)).await
    }
}

#[async_trait]
impl Export for SqliteReader {
    async fn nic_names(&self, client: &str) -> Result<Option<Vec<String>>, StoreError> {
        let client = client.to_owned();
        self.read(move |db| export::nic_names(db, &client)).await
    }

    async fn export(
        &self,
        range: &ExportRange,
        rows: mpsc::Sender<Vec<ExportRow>>,
    ) -> Result<(), StoreError> {
        let (range, taken) = (range.clone(), rows.clone());
        tokio::select! {
            done = self.read(move |db| export::export(db, &range, &rows)) => done,
            () = taken.closed() => Ok(()),
        }
    }
}

#[async_trait]
impl Check for SqliteReader {
    async fn check(&self) -> Result<CheckReport, StoreError> {
        self.read(check::check).await
    }
}

#[async_trait]
impl Query for SqliteStore {
    async fn clients(&self) -> Result<Vec<Client>, StoreError> {
        self.reader.clients().await
    }

    async fn series(&self, range: &SeriesRange) -> Result<Series, StoreError> {
        self.reader.series(range).await
    }

    async fn percentile(&self, range: &PercentileRange) -> Result<Percentile, StoreError> {
        self.reader.percentile(range).await
    }

    async fn mix(&self, range: &NicRange) -> Result<Mix, StoreError> {
        self.reader.mix(range).await
    }

    async fn events(&self, range: &NicRange, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.reader.events(range, limit).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        let here = self.files.check();
        here.map_err(|failure| failure.into_store_error(&self.reader.path))?;
        self.reader.ready().await
    }
}

#[async_trait]
impl Export for SqliteStore {
    async fn nic_names(&self, client: &str) -> Result<Option<Vec<String>>, StoreError> {
        self.reader.nic_names(client).await
    }

    async fn export(
        &self,
        range: &ExportRange,
        rows: mpsc::Sender<Vec<ExportRow>>,
    ) -> Result<(), StoreError> {
        self.reader.export(range, rows).await
    }
}

#[async_trait]
impl Check for SqliteStore {
    async fn check(&self) -> Result<CheckReport, StoreError> {
        self.reader.check().await
    }
}
