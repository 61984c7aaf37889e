//! A few connections to PostgreSQL, lent to closures.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio_postgres::Client;

use super::connect::PostgresConfig;
use super::error::Failure;
use super::settings::NOTICED;

/// Connections besides the committing one: two more than HTTP queries may use (`http.limits.queries`): one
/// is for the second half of a search, and connecting agents find one free.
pub(super) const CONNECTIONS: usize = 6;

/// How long a place stays taken after its connection was aborted: slightly longer than the connection
/// itself, so that the next query finds it free.
pub(super) const REST: Duration = NOTICED.saturating_add(Duration::from_millis(50));

/// A few connections, opened on demand and dropped after an error.
#[derive(Debug)]
pub(super) struct Pool {
    config: PostgresConfig,
    idle: Mutex<Vec<(Client, AbortHandle)>>,
    free: Arc<Semaphore>,
}

impl Pool {
    pub(super) fn new(config: PostgresConfig) -> Self {
        let idle = Mutex::new(Vec::new());
        Self { config, idle, free: Arc::new(Semaphore::new(CONNECTIONS)) }
    }

    pub(super) const fn config(&self) -> &PostgresConfig {
        &self.config
    }

    /// Runs `work` with a connection. The connection is kept if that succeeds.
    pub(super) async fn lease<T>(
        &self,
        work: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut lease = self.take().await?;
        let done = work(lease.client()).await?;
        self.idle().extend(lease.held.take().map(|(connection, _)| connection));
        Ok(done)
    }

    /// Runs `work` with a connection and drops it afterwards, for work that leaves it in the middle of
    /// a statement.
    pub(super) async fn spend<T>(
        &self,
        work: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        work(self.take().await?.client()).await
    }

    /// A kept connection or a new one.
    async fn take(&self) -> Result<Lease, Failure> {
        let permit = self.free.clone().acquire_owned().await.map_err(Failure::failed)?;
        let mut kept = self.idle().pop();
        kept.take_if(|(client, _)| client.is_closed());
        let connection = match kept {
            Some(connection) => connection,
            None => self.config.connect().await.map_err(Failure::into_unreachable)?,
        };
        Ok(Lease { held: Some((connection, permit)) })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Client, AbortHandle)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection of the pool. Unless it is kept, it is aborted: the server ends a running statement
/// within [`NOTICED`], also through a pooler. (A cancel request would be faster, but crashes some
/// poolers: PgBouncer 1.18.)
#[derive(Debug)]
struct Lease {
    /// Until it is kept or aborted.
    held: Option<((Client, AbortHandle), OwnedSemaphorePermit)>,
}

impl Lease {
    fn client(&self) -> &Client {
        let ((client, _), _) = self.held.as_ref().expect("held until it is kept or dropped");
        client
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(((client, task), permit)) = self.held.take() else { return };
        if client.is_closed() {
            return;
        }
        task.abort();
        // Its place becomes free once the server has ended the statement.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::sleep(NOTICED).await;
                drop(permit);
            });
        }
    }
}
