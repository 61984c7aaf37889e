//! Writes to a store: opens sessions, adds batches, and stores the agents' inventories.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use wire::id::{ClientId, SessionId};
use wire::message::{Hello, Inventory};
use wire::{Seq, WallNs};

use crate::store::port::error::StoreError;
use crate::store::rows::batch::Batch;
use crate::store::rows::epoch::Epoch;

/// Stores everything that agents deliver.
#[async_trait]
pub trait Store: Send + Sync + Debug {
    /// Registers a client and the sessions of its [`Hello`], and opens them. Each gets a new epoch, so
    /// that pending commits of earlier connections are refused from now on. Answers in the order of the
    /// [`Hello`].
    async fn open_sessions(
        &self,
        client: &ClientId,
        hello: &Hello,
        now_ns: WallNs,
    ) -> Result<Vec<SessionState>, StoreError>;

    /// The current progress of sessions; unknown ones are left out.
    async fn committed(&self, sessions: &[SessionId]) -> Result<Vec<SessionState>, StoreError>;

    /// Adds the rows of a batch and advances every session, all or nothing. Each session must be at its
    /// expected number and epoch; [`StoreError::Conflict`] names those that aren't. Rows that the store
    /// refuses are [`StoreError::Refused`].
    async fn add(&self, batch: &Arc<Batch>, end: TransactionEnd) -> Result<(), StoreError>;

    /// True if rows are known to be spread over several servers, each of which takes part in a commit.
    fn is_spread(&self) -> bool {
        false
    }

    /// Stores an agent's inventory of NICs.
    async fn record_inventory(
        &self,
        client: &ClientId,
        inventory: &Inventory,
        now_ns: WallNs,
    ) -> Result<(), StoreError>;

    /// Stores how far an agent's clock is ahead of the collector's, nanoseconds.
    async fn record_clock_offset(
        &self,
        session: SessionId,
        offset_ns: i64,
    ) -> Result<(), StoreError>;
}

/// The progress of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionState {
    /// Its id.
    pub session: SessionId,
    /// Every sequence number up to this one is committed.
    pub seq: Seq,
    /// Number of its openings.
    pub epoch: Epoch,
    /// Digest of the record that ends with `seq` ([`wire::codec::digest`]). `None` without a record, or
    /// if an older collector committed it.
    pub digest: Option<u64>,
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionEnd {
    /// The rows are kept.
    Commit,
    /// It is a trial: nothing is kept.
    Rollback,
}
