//! A batch: the frames that are committed in one transaction, by session.

use std::collections::HashMap;
use std::sync::Arc;

use wire::frame::Frame;
use wire::id::ClientId;

use crate::store::rows::epoch::Epoch;
use crate::store::rows::near::Near;
use crate::store::rows::split;

/// A frame within a batch: its session and first sequence number.
pub type FrameKey = (u64, u64);

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
    pub epoch: Epoch,
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
        epoch: Epoch,
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
