//! Writes: one commit at a time, concurrent with reads.

use std::sync::Arc;

use async_trait::async_trait;
use wire::WallNs;
use wire::id::{ClientId, SessionId};
use wire::message::{Hello, Inventory};

use super::error::Failure;
use super::store::PostgresStore;
use super::{commit, inventory, session};
use crate::store::port::error::StoreError;
use crate::store::port::write::{SessionState, Store, TransactionEnd};
use crate::store::rows::batch::Batch;

#[async_trait]
impl Store for PostgresStore {
    async fn open_sessions(
        &self,
        client: &ClientId,
        hello: &Hello,
        now_ns: WallNs,
    ) -> Result<Vec<SessionState>, StoreError> {
        self.lease(async |db| session::open_sessions(db, client, hello, now_ns).await).await
    }

    async fn committed(&self, sessions: &[SessionId]) -> Result<Vec<SessionState>, StoreError> {
        self.lease(async |db| session::states(db, sessions).await).await
    }

    async fn add(&self, batch: &Arc<Batch>, end: TransactionEnd) -> Result<(), StoreError> {
        let (store, batch) = (self.clone(), batch.clone());
        // Runs to its end even if the caller stops waiting.
        let done = tokio::spawn(async move {
            // One at a time: the writer's batches are large.
            let mut committer = store.committer.lock().await;
            commit::add(&store.database, &mut committer, &batch, end).await
        });
        self.outcome(done.await.unwrap_or_else(|error| Err(Failure::failed(error))))
    }

    fn is_spread(&self) -> bool {
        self.database.is_spread()
    }

    async fn record_inventory(
        &self,
        client: &ClientId,
        inventory: &Inventory,
        now_ns: WallNs,
    ) -> Result<(), StoreError> {
        self.lease(async |db| inventory::record(db, client, inventory, now_ns).await).await
    }

    async fn record_clock_offset(
        &self,
        session: SessionId,
        offset_ns: i64,
    ) -> Result<(), StoreError> {
        self.lease(async |db| session::record_clock_offset(db, session, offset_ns).await).await
    }
}
