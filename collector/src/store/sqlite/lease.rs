//! The connections to the file, lent to closures on blocking threads: one writes, a few read.

use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinError;

use super::cancel::Waiting;
use super::checkpoint::{Checkpoints, Pages};
use super::error::{Failure, OpenError};
use super::files::Files;
use super::group_commit::GroupCommit;
use super::open;
use crate::store::port::error::{Cause, StoreError};

/// Most concurrent reading connections: one more than HTTP queries may use (`http.limits.queries`), so
/// that retention and `/readyz` find one free.
const READERS: usize = 5;

/// The writing connection.
#[derive(Debug, Clone)]
pub struct WriteLease {
    connection: Arc<Mutex<Locked>>,
    group: Arc<GroupCommit>,
    /// `None` beside a running collector, which checks them itself.
    files: Option<Arc<Files>>,
    /// `None` beside a running collector, which sees to them itself.
    checkpoints: Option<Checkpoints>,
    path: PathBuf,
}

/// A connection; the lock on the file is released after it is closed.
#[derive(Debug)]
struct Locked {
    db: Connection,
    /// `None` beside a running collector, which holds it.
    _lock: Option<Arc<File>>,
}

/// The reading connections.
#[derive(Debug)]
pub struct Readers {
    idle: Arc<StdMutex<Vec<Connection>>>,
    free: Arc<Semaphore>,
    path: PathBuf,
}

/// Types with a writing connection.
pub trait Writes {
    /// The connection.
    fn writer(&self) -> &WriteLease;
}

/// Types with reading connections.
pub trait Reads {
    /// The connections.
    fn readers(&self) -> &Readers;

    /// Fails while the data read may differ from the data on disk.
    fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl WriteLease {
    /// Opens the file at `path` for this process alone, creates it if it is missing, and brings its
    /// schema up to date.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_with(path, Pages::DEFAULT)
    }

    fn open_with(path: &Path, pages: Pages) -> Result<Self, OpenError> {
        let lock = Arc::new(open::lock(path)?);
        let mut db = open::writer(path)?;
        let checkpoints = Some(Checkpoints::of(&mut db, path, lock.clone(), pages)?);
        let connection = Arc::new(Mutex::new(Locked { db, _lock: Some(lock) }));
        let files = Some(Arc::new(Files::of(path)));
        Ok(Self { connection, group: Arc::default(), files, checkpoints, path: path.to_owned() })
    }

    /// Opens the file at `path` for writing beside a collector that has it open.
    pub fn beside(path: &Path) -> Result<Self, OpenError> {
        let connection = Arc::new(Mutex::new(Locked { db: open::beside(path)?, _lock: None }));
        let (group, path) = (Arc::default(), path.to_owned());
        Ok(Self { connection, group, files: None, checkpoints: None, path })
    }

    /// Runs `work` with the connection, after all earlier work. It runs to its end even if the caller
    /// stops waiting.
    pub(super) async fn lease<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut connection = self.connection.clone().lock_owned().await;
        let files = self.files.clone();
        let done = tokio::task::spawn_blocking(move || {
            if let Some(files) = files {
                files.check()?;
            }
            work(&mut connection.db)
        });
        let done = done.await;
        self.checkpoint();
        outcome(done, &self.path)
    }

    /// Runs `work` with the connection again and again until it breaks off, each time after all earlier work. All of it
    /// is done by one thread: to hand short work over takes a good part of its time.
    pub(super) async fn lease_until<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&mut Connection) -> Result<ControlFlow<T>, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let lease = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            loop {
                let turn = {
                    let mut connection = lease.connection.blocking_lock();
                    lease.files.as_ref().map_or(Ok(()), |files| files.check())?;
                    work(&mut connection.db)
                };
                lease.checkpoint();
                if let ControlFlow::Break(done) = turn? {
                    return Ok(done);
                }
            }
        });
        outcome(done.await, &self.path)
    }

    fn checkpoint(&self) {
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.proceed();
        }
    }

    /// Runs a small write in a transaction with others that wait, after all earlier work. It fails alone.
    /// If the caller stops waiting, it may run later or never.
    pub(super) async fn together<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut told = self.group.add(work);
        loop {
            let mut connection = self.connection.clone().lock_owned().await;
            match told.try_recv() {
                Ok(outcome) => return outcome,
                Err(TryRecvError::Empty) => {}
                Err(error @ TryRecvError::Closed) => return Err(failed(&self.path, error)),
            }
            let (files, group, path) = (self.files.clone(), self.group.clone(), self.path.clone());
            let done = tokio::task::spawn_blocking(move || {
                if let Some(files) = files {
                    files.check()?;
                }
                group.commit(&mut connection.db, &path);
                Ok(())
            });
            let done = done.await;
            self.checkpoint();
            outcome(done, &self.path)?;
        }
    }

    /// Fails while the files are not in place.
    pub fn check_files(&self) -> Result<(), StoreError> {
        let Some(files) = &self.files else { return Ok(()) };
        files.check().map_err(|failure| failure.into_store_error(&self.path))
    }
}

impl Readers {
    /// Opens the file at `path`.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let idle = (0..READERS).map(|_| open::reader(path)).collect::<Result<_, _>>()?;
        let free = Arc::new(Semaphore::new(READERS));
        Ok(Self { idle: Arc::new(StdMutex::new(idle)), free, path: path.to_owned() })
    }

    /// Runs `work` with a connection once one is free. It is cancelled if the caller stops waiting.
    pub(super) async fn lease<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = |error: tokio::sync::AcquireError| failed(&self.path, error);
        let permit = self.free.clone().acquire_owned().await.map_err(closed)?;
        let waiting = Waiting::default();
        let (idle, path, waited) = (self.idle.clone(), self.path.clone(), waiting.waited());
        let done = tokio::task::spawn_blocking(move || {
            // Held until the work is done, even without a waiter.
            let _permit = permit;
            let pool = || idle.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = pool().pop();
            let mut db = match kept {
                Some(db) => db,
                // A connection lost in a panic is replaced.
                None => open::reader(&path).map_err(|error| failed(&path, error))?,
            };
            let outcome = waited.run(&mut db, work);
            pool().push(db);
            outcome
        })
        .await;
        drop(waiting);
        outcome(done, &self.path)
    }
}

fn outcome<T>(done: Result<Result<T, Failure>, JoinError>, path: &Path) -> Result<T, StoreError> {
    match done {
        Ok(outcome) => outcome.map_err(|failure| failure.into_store_error(path)),
        Err(error) => Err(failed(path, error)),
    }
}

fn failed(path: &Path, error: impl Into<Cause>) -> StoreError {
    StoreError::Failed { location: path.display().to_string(), error: error.into() }
}

#[cfg(test)]
mod tests {
    use testbed::wait_until;

    use super::*;

    /// Commits a page or more.
    async fn commit(lease: &WriteLease) {
        let insert = "CREATE TABLE IF NOT EXISTS t (a); INSERT INTO t VALUES (randomblob(8192))";
        lease.lease(|db| Ok(db.execute_batch(insert)?)).await.unwrap();
    }

    fn open(pages: Pages) -> (tempfile::TempDir, PathBuf, WriteLease) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("netmon.sqlite");
        // Its log is in the file by the end.
        drop(WriteLease::open(&path).unwrap());
        let lease = WriteLease::open_with(&path, pages).unwrap();
        (folder, path, lease)
    }

    fn len(path: &Path) -> u64 {
        std::fs::metadata(path).unwrap().len()
    }

    #[tokio::test]
    async fn pages_get_into_the_file_beside_commits_and_the_log_stays_short() {
        let (_folder, path, lease) = open(Pages { beside: 40, within: u32::MAX });
        let empty = len(&path);
        for _ in 0..200 {
            commit(&lease).await;
            let checkpoints = lease.checkpoints.as_ref().unwrap();
            wait_until("the end of a checkpoint", || checkpoints.are_idle());
        }
        let log = len(&path.with_extension("sqlite-wal"));
        assert!(len(&path) > empty + 180 * 8192 && log < 60 * 4096, "{log}");
    }

    #[tokio::test]
    async fn a_commit_sees_to_a_log_that_got_too_long() {
        let (_folder, path, lease) = open(Pages { beside: u32::MAX, within: 40 });
        let empty = len(&path);
        for _ in 0..100 {
            commit(&lease).await;
        }
        assert!(len(&path) > empty + 90 * 8192);
    }

    #[tokio::test]
    async fn what_a_reader_needs_stays_in_the_log_until_it_is_through() {
        let (_folder, path, lease) = open(Pages { beside: 40, within: u32::MAX });
        let empty = len(&path);
        let reader = open::reader(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM clients").unwrap();
        for _ in 0..50 {
            commit(&lease).await;
        }
        assert_eq!(len(&path), empty);
        drop(reader);
        for _ in 0..40 {
            commit(&lease).await;
        }
        wait_until("a checkpoint", || len(&path) > empty + 40 * 8192);
    }
}
