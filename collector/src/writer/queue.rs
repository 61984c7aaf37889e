//! What waits to be committed: the writer's decisions, without I/O or clock.

use std::collections::HashMap;
use std::time::Duration;

use wire::frame::Frame;
use wire::id::ClientId;

use crate::store::{Batch, SessionBatch};

/// When a batch is committed.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Rows that make a batch due at once.
    pub max_rows: usize,
    /// Longest time that a frame waits for others.
    pub max_delay: Duration,
}

/// A session as one connection opened it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSession {
    /// Whose it is.
    pub client: ClientId,
    /// Its id.
    pub session: u64,
    /// The opening's number, which the store counts up: an older opening can't commit.
    pub epoch: u64,
    /// What was committed when it was opened.
    pub committed: u64,
}

#[derive(Debug)]
struct Waiting<P> {
    open: OpenSession,
    frames: Vec<Frame>,
    permits: Vec<P>,
    closed: bool,
}

/// Frames of all sessions, in order within each. `P` is the permit for the memory of a frame,
/// given back once the frame has left the queue and was committed.
#[derive(Debug)]
pub struct Queue<P> {
    limits: BatchLimits,
    sessions: HashMap<u64, Waiting<P>>,
    rows: usize,
    /// Since when the oldest frame waits.
    since: Option<Duration>,
}

/// Rows that a frame becomes.
fn rows(frame: &Frame) -> usize {
    frame.samples.len() + frame.mixes.len()
}

impl<P> Queue<P> {
    /// An empty queue.
    #[must_use]
    pub fn new(limits: BatchLimits) -> Self {
        Self { limits, sessions: HashMap::new(), rows: 0, since: None }
    }

    /// A connection has opened a session. What an earlier one left waiting is dropped: the store
    /// would refuse it, and the agent sends it again.
    pub fn open(&mut self, open: OpenSession) {
        let session = open.session;
        let waiting = Waiting { open, frames: Vec::new(), permits: Vec::new(), closed: false };
        if let Some(old) = self.sessions.insert(session, waiting) {
            self.rows -= old.frames.iter().map(rows).sum::<usize>();
        }
    }

    /// A connection is gone: its session is forgotten once nothing of it waits.
    pub fn close(&mut self, session: u64, epoch: u64) {
        if let Some(waiting) = self.sessions.get_mut(&session)
            && waiting.open.epoch == epoch
        {
            waiting.closed = true;
            self.forget_closed(session);
        }
    }

    /// Adds the next frame of a session. False if the session was opened anew or closed since:
    /// the agent sends the frame again.
    pub fn add(&mut self, epoch: u64, frame: Frame, permit: P, now: Duration) -> bool {
        match self.sessions.get_mut(&frame.session) {
            Some(waiting) if waiting.open.epoch == epoch => {
                self.rows += rows(&frame);
                self.since.get_or_insert(now);
                waiting.frames.push(frame);
                waiting.permits.push(permit);
                true
            }
            _ => false,
        }
    }

    /// When the next batch is due, if anything waits. A time in the past means at once.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        let full = self.rows >= self.limits.max_rows;
        self.since.map(|since| if full { Duration::ZERO } else { since + self.limits.max_delay })
    }

    /// Takes everything that waits.
    pub fn take(&mut self) -> (Batch, Vec<P>) {
        let (mut sessions, mut permits) = (Vec::new(), Vec::new());
        for waiting in self.sessions.values_mut() {
            let Some(last) = waiting.frames.last().map(|frame| frame.last_seq) else { continue };
            let OpenSession { client, session, epoch, committed } = waiting.open.clone();
            waiting.open.committed = last;
            let frames = std::mem::take(&mut waiting.frames);
            sessions.push(SessionBatch::new(client, session, epoch, committed, frames));
            permits.append(&mut waiting.permits);
        }
        (self.rows, self.since) = (0, None);
        for taken in &sessions {
            self.forget_closed(taken.session);
        }
        (Batch { sessions }, permits)
    }

    /// Drops a session that the store has refused, with all that waits of it.
    pub fn refuse(&mut self, session: u64, epoch: u64) {
        if self.sessions.get(&session).is_some_and(|waiting| waiting.open.epoch == epoch)
            && let Some(old) = self.sessions.remove(&session)
        {
            self.rows -= old.frames.iter().map(rows).sum::<usize>();
        }
    }

    /// Rows that wait.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    fn forget_closed(&mut self, session: u64) {
        let done = |waiting: &Waiting<P>| waiting.closed && waiting.frames.is_empty();
        if self.sessions.get(&session).is_some_and(done) {
            self.sessions.remove(&session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::frame::Sample;

    const MS: Duration = Duration::from_millis(1);

    fn open(session: u64, epoch: u64, committed: u64) -> OpenSession {
        OpenSession { client: ClientId::new("web").unwrap(), session, epoch, committed }
    }

    fn frame(session: u64, seq: u64, samples: usize) -> Frame {
        let samples = vec![Sample::default(); samples];
        Frame { session, first_seq: seq, last_seq: seq, gap: 0, samples, mixes: vec![] }
    }

    fn queue() -> Queue<()> {
        let limits = BatchLimits { max_rows: 10, max_delay: 200 * MS };
        let mut queue = Queue::new(limits);
        queue.open(open(1, 1, 0));
        queue
    }

    #[test]
    fn a_batch_is_due_when_it_is_full_or_the_oldest_frame_has_waited() {
        let mut queue = queue();
        assert_eq!(queue.due(), None);
        assert!(queue.add(1, frame(1, 1, 2), (), 5 * MS));
        assert!(queue.add(1, frame(1, 2, 2), (), 50 * MS));
        assert_eq!(queue.due(), Some(205 * MS));
        assert!(queue.add(1, frame(1, 3, 6), (), 60 * MS));
        assert_eq!((queue.due(), queue.rows()), (Some(Duration::ZERO), 10));
        let (batch, permits) = queue.take();
        assert_eq!((batch.sessions[0].expected, batch.sessions[0].frames.len()), (0, 3));
        assert_eq!((permits.len(), queue.due(), queue.rows()), (3, None, 0));
    }

    #[test]
    fn each_batch_expects_what_the_one_before_commits() {
        let mut queue = queue();
        assert!(queue.add(1, frame(1, 1, 1), (), MS));
        queue.take();
        assert!(queue.add(1, frame(1, 2, 1), (), MS));
        assert_eq!(queue.take().0.sessions[0].expected, 1);
    }

    #[test]
    fn opening_anew_drops_what_an_earlier_connection_left() {
        let mut queue = queue();
        assert!(queue.add(1, frame(1, 1, 1), (), MS));
        queue.open(open(1, 2, 0));
        assert!(!queue.add(1, frame(1, 2, 1), (), MS), "the earlier connection's");
        assert!(queue.add(2, frame(1, 1, 1), (), MS));
        assert_eq!(queue.take().0.sessions[0].frames.len(), 1);
        queue.refuse(1, 1);
        assert!(queue.add(2, frame(1, 2, 1), (), MS), "an old refusal is of no concern");
    }

    #[test]
    fn a_closed_session_is_committed_and_then_forgotten() {
        let mut queue = queue();
        assert!(queue.add(1, frame(1, 1, 1), (), MS));
        queue.close(1, 1);
        assert_eq!(queue.take().0.sessions.len(), 1);
        assert!(queue.sessions.is_empty());
        queue.open(open(2, 1, 0));
        queue.close(2, 1);
        assert!(queue.sessions.is_empty());
    }
}
