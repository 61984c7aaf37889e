//! A batch: the frames of one transaction, by session.

use std::collections::HashMap;
use std::sync::Arc;

use wire::Seq;
use wire::frame::Frame;
use wire::id::{ClientId, SessionId};

use crate::store::rows::epoch::Epoch;
use crate::store::rows::near::Near;
use crate::store::rows::split;

/// A frame within a batch: its session and first sequence number.
pub type FrameKey = (SessionId, Seq);

/// Frames that go to quarantine, and why each does.
pub type RefusedFrames = HashMap<FrameKey, Arc<str>>;

/// The contents of one transaction.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The sessions, each once. Shared with the parts that are tried.
    pub sessions: Vec<Arc<SessionBatch>>,
    /// Frames that go to quarantine.
    pub refused: RefusedFrames,
    /// Dates within which samples are stored normally.
    pub near: Near,
}

/// One session's part of a batch.
#[derive(Debug, Clone)]
pub struct SessionBatch {
    /// The session's owner.
    pub client: ClientId,
    /// Its id.
    pub session: SessionId,
    /// The opening under which the frames arrived.
    pub epoch: Epoch,
    /// The committed number that it builds on.
    pub expected: Seq,
    /// Contiguous frames from `expected + 1` on; never empty.
    pub frames: Vec<Frame>,
    /// Digest of the last frame, as received.
    pub digest: u64,
}

impl SessionBatch {
    /// The part of an opened session.
    #[must_use]
    pub fn new(
        client: ClientId,
        session: SessionId,
        epoch: Epoch,
        expected: Seq,
        frames: Vec<Frame>,
    ) -> Self {
        let digest = frames.last().map_or(0, wire::codec::digest);
        Self { client, session, epoch, expected, frames, digest }
    }

    /// The committed number after the batch.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        self.frames.last().map_or(self.expected, |frame| frame.last_seq)
    }
}

impl Batch {
    /// A batch of these sessions, each once. All frames are kept, whatever their dates.
    #[must_use]
    pub fn new(sessions: Vec<SessionBatch>) -> Self {
        Self { sessions: sessions.into_iter().map(Arc::new).collect(), ..Self::default() }
    }

    /// Every frame.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.sessions.iter().flat_map(|session| &session.frames)
    }

    /// The reason for quarantining a frame, if any.
    #[must_use]
    pub fn refusal(&self, frame: &Frame) -> Option<&str> {
        // Check only if there are any: this runs for every frame of every batch.
        if self.refused.is_empty() {
            return None;
        }
        self.refused.get(&(frame.session, frame.first_seq)).map(AsRef::as_ref)
    }

    /// Number of rows that the batch adds.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.frames().map(split::rows).sum()
    }
}
