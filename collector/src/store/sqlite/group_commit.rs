//! Group commit: small writes that wait for the writing connection share a transaction, each with a
//! savepoint of its own. After an outage, thousands of agents introduce themselves at once.

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use super::error::Failure;
use crate::store::port::error::StoreError;

/// Most writes of one transaction. Each takes about 0.1 ms, so a batch of rows waits for 13 ms at most.
const WRITES_MAX: usize = 128;

/// The writes that wait, in their order. Their callers bound their number: each waits for its own.
#[derive(Default)]
pub(super) struct GroupCommit {
    waiting: Mutex<VecDeque<Box<dyn Write>>>,
}

/// A write that waits.
trait Write: Send {
    /// Does it. False if it must be undone.
    fn run(&mut self, db: &Connection) -> bool;

    /// Tells its caller the outcome. `failed` is the failure of the transaction as a whole.
    fn tell(self: Box<Self>, failed: Option<&Arc<Whole>>, path: &Path);
}

/// The failure of a transaction, of which each of its writes is told.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Whole(StoreError);

struct Waiting<T, W> {
    work: Option<W>,
    outcome: Option<Result<T, Failure>>,
    told: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, W: Send + FnOnce(&Connection) -> Result<T, Failure>> Write for Waiting<T, W> {
    fn run(&mut self, db: &Connection) -> bool {
        self.outcome = self.work.take().map(|work| work(db));
        matches!(self.outcome, Some(Ok(_)))
    }

    fn tell(self: Box<Self>, failed: Option<&Arc<Whole>>, path: &Path) {
        let outcome = match (self.outcome, failed) {
            (Some(Err(failure)), _) => Err(failure.into_store_error(path)),
            (Some(Ok(value)), None) => Ok(value),
            (_, Some(whole)) => {
                let location = path.display().to_string();
                Err(StoreError::Failed { location, error: whole.clone().into() })
            }
            // Not run: the caller finds the channel closed.
            (None, None) => return,
        };
        // The caller may have stopped waiting.
        let _gone = self.told.send(outcome);
    }
}

impl GroupCommit {
    /// Adds a write. Its outcome comes once [`GroupCommit::commit`] has run it.
    pub fn add<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> oneshot::Receiver<Result<T, StoreError>> {
        let (told, outcome) = oneshot::channel();
        let waiting = Waiting { work: Some(work), outcome: None, told };
        self.waiting().push_back(Box::new(waiting));
        outcome
    }

    /// Does the writes that wait, at most [`WRITES_MAX`], in one transaction, and tells each caller the
    /// outcome. A write that fails is undone alone.
    pub fn commit(&self, db: &mut Connection, path: &Path) {
        let mut writes: Vec<Box<dyn Write>> = {
            let mut waiting = self.waiting();
            let count = waiting.len().min(WRITES_MAX);
            waiting.drain(..count).collect()
        };
        let failed = run(db, &mut writes).err().map(|failure| {
            // Each is told of it.
            Arc::new(Whole(failure.into_store_error(path)))
        });
        for write in writes {
            write.tell(failed.as_ref(), path);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Box<dyn Write>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(db: &mut Connection, writes: &mut [Box<dyn Write>]) -> Result<(), Failure> {
    let mut transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for write in writes {
        let savepoint = transaction.savepoint()?;
        if write.run(&savepoint) {
            savepoint.commit()?;
        } else {
            savepoint.finish()?;
        }
        // A full disk, for instance, undoes all of it.
        if transaction.is_autocommit() {
            return Err(Failure::File("SQLite undid the transaction".into()));
        }
    }
    Ok(transaction.commit()?)
}

impl fmt::Debug for GroupCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupCommit").field("waiting", &self.waiting().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A write that adds a row, and fails if the number is there already.
    fn row(number: i64) -> impl FnOnce(&Connection) -> Result<i64, Failure> + Send {
        move |db| {
            db.execute("INSERT INTO trace VALUES (?1)", [number])?;
            db.execute("INSERT INTO rows VALUES (?1)", [number])?;
            Ok(db.query_row("SELECT count(*) FROM rows", [], |row| row.get(0))?)
        }
    }

    fn tables() -> &'static str {
        "CREATE TABLE rows (number INTEGER PRIMARY KEY); CREATE TABLE trace (number INTEGER);"
    }

    fn count(db: &Connection, table: &str) -> i64 {
        db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_write_that_fails_is_undone_alone_and_each_caller_hears_its_own_outcome() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch(tables()).unwrap();
        let group = GroupCommit::default();
        let mut told: Vec<_> = [1, 2, 1, 3].map(|number| group.add(row(number))).into();
        drop(told.pop());
        group.commit(&mut db, Path::new("store"));
        let told: Vec<_> = told.into_iter().map(|mut told| told.try_recv().unwrap()).collect();
        assert_eq!((told[0].as_ref().unwrap(), told[1].as_ref().unwrap()), (&1, &2));
        assert!(matches!(told[2], Err(StoreError::Refused { .. })), "{told:?}");
        assert_eq!((count(&db, "rows"), count(&db, "trace")), (3, 3), "also of who has gone");
    }

    #[test]
    fn a_transaction_is_bounded_and_the_rest_waits_in_its_order() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch(tables()).unwrap();
        let group = GroupCommit::default();
        let writes = i64::try_from(WRITES_MAX).unwrap() + 1;
        let mut told: Vec<_> = (1..=writes).map(|number| group.add(row(number))).collect();
        group.commit(&mut db, Path::new("store"));
        assert!(told.last_mut().unwrap().try_recv().is_err(), "not yet");
        group.commit(&mut db, Path::new("store"));
        let counts = told.into_iter().map(|mut told| told.try_recv().unwrap().unwrap());
        assert!(counts.eq(1..=writes));
    }

    #[test]
    fn all_are_told_why_their_transaction_failed_and_none_was_done() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let (mut db, other) = (Connection::open(&path).unwrap(), Connection::open(&path).unwrap());
        db.execute_batch(tables()).unwrap();
        db.busy_timeout(std::time::Duration::ZERO).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let group = GroupCommit::default();
        let told = [1, 2].map(|number| group.add(row(number)));
        group.commit(&mut db, &path);
        for mut told in told {
            let error = told.try_recv().unwrap().unwrap_err();
            assert!(settings::InFull::in_full(&error).to_string().contains("locked"), "{error:?}");
        }
        other.execute_batch("ROLLBACK").unwrap();
        assert_eq!(count(&db, "rows"), 0);
    }
}
