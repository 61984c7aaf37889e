//! Writes: one at a time, over the writing connection.

use std::sync::Arc;

use async_trait::async_trait;
use wire::WallNs;
use wire::id::{ClientId, SessionId};
use wire::message::{Hello, Inventory};

use super::lease::Writes;
use super::store::SqliteStore;
use super::{commit, inventory, session};
use crate::store::port::error::StoreError;
use crate::store::port::write::{SessionState, Store, TransactionEnd};
use crate::store::rows::batch::Batch;
use crate::time::now_ns;

#[async_trait]
impl Store for SqliteStore {
    async fn open_sessions(
        &self,
        client: &ClientId,
        hello: &Hello,
        now_ns: WallNs,
    ) -> Result<Vec<SessionState>, StoreError> {
        let (client, hello) = (client.clone(), hello.clone());
        self.writer().together(move |db| session::open_sessions(db, &client, &hello, now_ns)).await
    }

    async fn committed(&self, sessions: &[SessionId]) -> Result<Vec<SessionState>, StoreError> {
        let sessions = sessions.to_vec();
        // Uses the writing connection, so it runs after a commit in progress.
        self.writer().lease(move |db| session::states(db, &sessions)).await
    }

    async fn add(&self, batch: &Arc<Batch>, end: TransactionEnd) -> Result<(), StoreError> {
        let batch = batch.clone();
        self.writer().lease(move |db| commit::add(db, &batch, end, now_ns())).await
    }

    async fn record_inventory(
        &self,
        client: &ClientId,
        inventory: &Inventory,
        now_ns: WallNs,
    ) -> Result<(), StoreError> {
        let (client, inventory) = (client.clone(), inventory.clone());
        self.writer().together(move |db| inventory::record(db, &client, &inventory, now_ns)).await
    }

    async fn record_clock_offset(
        &self,
        session: SessionId,
        offset_ns: i64,
    ) -> Result<(), StoreError> {
        self.writer().together(move |db| session::record_clock_offset(db, session, offset_ns)).await
    }
}
