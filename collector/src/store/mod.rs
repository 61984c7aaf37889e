//! The store: where rows end up. One trait; the writer is the only one who adds to the facts.

pub mod check;
pub mod clock;
pub mod columns;
pub mod commit;
pub mod dates;
pub mod export;
pub mod facts;
pub mod history;
pub mod nics;
pub mod percentile;
pub mod points;
pub mod postgres;
pub mod query;
pub mod register;
pub mod retention;
pub mod rollups;
pub mod sign_outs;
pub mod split;
pub mod sqlite;

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use wire::frame::Frame;
use wire::id::ClientId;
use wire::message::{Hello, Inventory};

use self::check::Check;
use self::commit::Taken;
use self::dates::Near;
use self::export::Export;
use self::facts::FrameKey;
use self::query::Query;
use self::register::{Forget, Register};
use self::retention::Retain;
use self::sign_outs::SignOuts;
use crate::identity::EnrolmentStore;

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

    /// Commits a batch as the writer does ([`commit`]), but for failures of the store, which are told
    /// at once.
    async fn commit(&self, batch: &Arc<Batch>) -> Result<Taken, StoreError> {
        commit::commit(self, batch).await
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

/// A store with all that it can do.
pub trait Database: Store + Retain + Forget + EnrolmentStore + SignOuts + Reader {}

impl<T: Store + Retain + Forget + EnrolmentStore + SignOuts + Reader> Database for T {}

/// What a migration did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// Version of the schema before; 0 without one.
    pub from: i64,
    /// Version of the schema after.
    pub to: i64,
    /// Tables that Citus now distributes by client. `None` without Citus.
    pub distributed: Option<Vec<&'static str>>,
}

/// What can be read of a database beside the collectors that use it.
pub trait Reader: Query + Check + Export + Register {}

impl<T: Query + Check + Export + Register> Reader for T {}

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionState {
    /// Its id.
    pub session: u64,
    /// Every sequence number up to this one is committed.
    pub seq: u64,
    /// How often it was opened.
    pub epoch: u64,
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

/// Frames that go to quarantine, and why each does.
pub type Refused = HashMap<FrameKey, Arc<str>>;

/// What is committed in one transaction.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The sessions, each once. Shared with what is tried of them.
    pub sessions: Vec<Arc<SessionBatch>>,
    /// Their frames that go to quarantine.
    pub refused: Refused,
    /// Between which dates samples are kept among the others.
    pub near: Near,
}

/// What one session adds to a batch.
#[derive(Debug, Clone)]
pub struct SessionBatch {
    /// Whose session it is.
    pub client: ClientId,
    /// Its id.
    pub session: u64,
    /// The opening under which the frames arrived.
    pub epoch: u64,
    /// What must be committed of it before.
    pub expected: u64,
    /// Frames that tile the numbers from `expected + 1` on; never empty.
    pub frames: Vec<Frame>,
    /// Digest of the last one, as it came.
    pub digest: u64,
}

impl SessionBatch {
    /// What an opened session adds to a batch.
    #[must_use]
    pub fn new(
        client: ClientId,
        session: u64,
        epoch: u64,
        expected: u64,
        frames: Vec<Frame>,
    ) -> Self {
        let digest = frames.last().map_or(0, wire::codec::digest);
        Self { client, session, epoch, expected, frames, digest }
    }

    /// What is committed of the session after the batch.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.frames.last().map_or(self.expected, |frame| frame.last_seq)
    }
}

impl Batch {
    /// Of these sessions, each once: all of their frames are kept, whatever their dates.
    #[must_use]
    pub fn new(sessions: Vec<SessionBatch>) -> Self {
        Self { sessions: sessions.into_iter().map(Arc::new).collect(), ..Self::default() }
    }

    /// Every frame.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.sessions.iter().flat_map(|session| &session.frames)
    }

    /// Why a frame goes to quarantine, if it does.
    #[must_use]
    pub fn refusal(&self, frame: &Frame) -> Option<&str> {
        // Asked for only where there are any: every frame of every batch comes by here.
        if self.refused.is_empty() {
            return None;
        }
        self.refused.get(&(frame.session, frame.first_seq)).map(AsRef::as_ref)
    }

    /// Rows that the batch adds.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.frames().map(split::rows).sum()
    }
}

/// Why a store didn't do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Sessions that are not where the batch expects them; nothing was committed.
    #[error("sessions {sessions:016x?} were opened or moved on by another connection")]
    Conflict {
        /// Which ones.
        sessions: Vec<u64>,
    },
    /// A session id that another client has used.
    #[error("session {session:016x} belongs to client {owner}, not to {client}")]
    ForeignSession {
        /// The session.
        session: u64,
        /// Whose it is.
        owner: String,
        /// Who wanted it.
        client: String,
    },
    /// A client that an operator forgot: it needs a new certificate.
    #[error("client {client} was forgotten by this collector's operator; enrol it anew")]
    Forgotten {
        /// Who wanted to open sessions.
        client: String,
        /// When it was forgotten, nanoseconds since 1970 (UTC).
        at_ns: u64,
    },
    /// The rows themselves are refused: trying again would change nothing.
    #[error("the store {location} refuses it: {reason}")]
    Refused {
        /// Path or address of the store.
        location: String,
        /// Why.
        reason: String,
    },
    /// The store fails.
    #[error("the store {location} fails: {reason}")]
    Failed {
        /// Path or address of the store.
        location: String,
        /// What went wrong and what to do.
        reason: String,
    },
}
