//! Transactions in few round trips: what begins or ends one travels with its statements.

use tokio_postgres::{Client, Error};

use super::error::Failure;

/// Begins a transaction and runs its first statement.
pub(super) async fn begin_with<T, E>(
    db: &Client,
    begin: &str,
    first: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure>
where
    Failure: From<E>,
{
    // The order of the futures is that of the statements. If the server can't begin, it takes none.
    let (begun, done) = tokio::join!(biased; db.batch_execute(begin), first);
    begun?;
    Ok(done?)
}

/// Runs the last statement of a transaction and commits it. If the statement fails, nothing is committed.
pub(super) async fn commit_with<T>(
    db: &Client,
    last: impl Future<Output = Result<T, Error>>,
) -> Result<T, Failure> {
    let (done, committed) = tokio::join!(biased; last, db.batch_execute("COMMIT"));
    let done = done?;
    committed?;
    Ok(done)
}
