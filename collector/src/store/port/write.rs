//! Writing to a store: sessions are opened, batches added, and what agents say of themselves is kept.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use wire::id::ClientId;
use wire::message::{Hello, Inventory};

use crate::store::port::error::StoreError;
use crate::store::rows::batch::Batch;
use crate::store::rows::epoch::Epoch;

/// A store of everything that agents deliver.
#[async_trait]
pub trait Store: Send + Sync + Debug {
    /// Registers a client and the sessions of its [`Hello`], and opens them: each gets a new
    /// epoch, so that what an earlier connection left to commit is refused from now on. Answers
    /// in the order of the [`Hello`].
    async fn open_sessions(
        &self,
        client: &ClientId,
        hello: &Hello,
        now_ns: u64,
    ) -> Result<Vec<SessionState>, StoreError>;

    /// How far sessions are, as the store knows them now; those it doesn't know are left out.
    async fn committed(&self, sessions: &[u64]) -> Result<Vec<SessionState>, StoreError>;

    /// Adds the rows of a batch and moves every session on, all or nothing. Each session must be
    /// at its expected number and epoch, or [`StoreError::Conflict`] names those that aren't. Rows
    /// that the store itself doesn't take are [`StoreError::Refused`].
    async fn add(&self, batch: &Arc<Batch>, end: End) -> Result<(), StoreError>;

    /// Whether rows are known to be spread over several servers, each of which takes part in a commit.
    fn is_spread(&self) -> bool {
        false
    }

    /// Keeps what an agent says about its NICs.
    async fn record_inventory(
        &self,
        client: &ClientId,
        inventory: &Inventory,
        now_ns: u64,
    ) -> Result<(), StoreError>;

    /// Keeps by how much an agent's clock is ahead of the collector's, nanoseconds.
    async fn record_clock_offset(&self, session: u64, offset_ns: i64) -> Result<(), StoreError>;
}

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionState {
    /// Its id.
    pub session: u64,
    /// Every sequence number up to this one is committed.
    pub seq: u64,
    /// How often it was opened.
    pub epoch: Epoch,
    /// Digest of the record that ends with `seq` ([`wire::codec::digest`]). `None` if there is none,
    /// or if an older collector committed it.
    pub digest: Option<u64>,
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// What it added is kept.
    Commit,
    /// It was a trial: nothing is kept.
    Rollback,
}
