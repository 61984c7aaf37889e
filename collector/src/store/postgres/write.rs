//! Writes: one commit at a time, concurrent with reads; what agents say at their introduction in groups.

use std::sync::Arc;

use async_trait::async_trait;
use wire::WallNs;
use wire::id::{ClientId, SessionId};
use wire::message::{Hello, Inventory};

use super::error::Failure;
use super::inventory::ListedNics;
use super::session::{ClockReading, Opening};
use super::store::PostgresStore;
use super::{commit, session};
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
        let opening = Opening { client: client.clone(), hello: hello.clone(), now_ns };
        self.together(&self.groups.openings, opening).await
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
        let listed = ListedNics::new(client.clone(), inventory, now_ns);
        self.together(&self.groups.inventories, listed).await
    }

    async fn record_clock_offset(
        &self,
        session: SessionId,
        offset_ns: i64,
    ) -> Result<(), StoreError> {
        self.together(&self.groups.clocks, ClockReading { session, offset_ns }).await
    }
}
