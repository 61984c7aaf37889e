//! Cancels a connection's reads once nobody waits for them.

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;

/// Steps of SQLite's virtual machine between two checks for waiters: about 10 µs.
const STEPS: c_int = 1000;

/// Held by the waiter of a read. Once it is dropped, the read fails.
#[derive(Debug, Default)]
pub(super) struct Waiting(Arc<AtomicBool>);

/// The other end: knows whether the waiter is still there.
#[derive(Debug, Clone)]
pub(super) struct Waited(Arc<AtomicBool>);

impl Waiting {
    pub(super) fn waited(&self) -> Waited {
        Waited(self.0.clone())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Waited {
    /// Runs `work` with a connection. Its statements fail as soon as the waiter is gone, including
    /// later ones.
    pub(super) fn run<T, E: From<rusqlite::Error>>(
        self,
        db: &mut Connection,
        work: impl FnOnce(&mut Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        db.progress_handler(STEPS, Some(move || self.0.load(Ordering::Relaxed)))?;
        let outcome = work(db);
        db.progress_handler(0, None::<fn() -> bool>)?;
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
                           SELECT count(*) FROM n";

    fn count(db: &mut Connection, sql: &str) -> rusqlite::Result<i64> {
        db.query_row(sql, [], |row| row.get(0))
    }

    #[test]
    fn a_statement_ends_when_nobody_waits_and_the_connection_goes_on() {
        let mut db = Connection::open_in_memory().unwrap();
        let waiting = Waiting::default();
        let waited = waiting.waited();
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| waited.run(&mut db, |db| count(db, ENDLESS)));
            drop(waiting);
            let error = reading.join().unwrap().unwrap_err();
            let code = error.sqlite_error_code();
            assert_eq!(code, Some(rusqlite::ErrorCode::OperationInterrupted));
        });
        let waiting = Waiting::default();
        assert_eq!(waiting.waited().run(&mut db, |db| count(db, "SELECT 7")), Ok(7));
    }

    #[test]
    fn a_statement_that_begins_after_everybody_left_ends_too() {
        let mut db = Connection::open_in_memory().unwrap();
        let waited = Waiting::default().waited();
        assert!(waited.run(&mut db, |db| count(db, ENDLESS)).is_err());
    }
}
