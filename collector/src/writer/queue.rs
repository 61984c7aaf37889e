//! What waits to be committed: the writer's decisions, without I/O or clock.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use wire::codec::frame_len;
use wire::frame::Frame;
use wire::id::ClientId;

use crate::store::rows::split::rows;
use crate::store::{Batch, Epoch, SessionBatch};

/// When a batch is committed, and how large it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Rows that make a batch due at once, and most rows of one but for its last frame.
    pub max_rows: usize,
    /// Longest time that a frame waits for others.
    pub max_delay: Duration,
}

impl BatchLimits {
    /// Unless an operator chooses others.
    pub const DEFAULT: Self = Self { max_rows: 20_000, max_delay: Duration::from_millis(200) };

    /// By default where rows are spread over several servers: there a commit costs some 3 ms for each
    /// shard beside its rows. As many rows as [`MAX_BYTES`] hold.
    const SPREAD: Self = Self { max_rows: 80_000, max_delay: Duration::from_millis(800) };

    /// These, for a store whose rows are spread over several servers or not.
    #[must_use]
    pub fn suited(self, is_spread: bool) -> Self {
        if is_spread && self == Self::DEFAULT { Self::SPREAD } else { self }
    }
}

/// Most bytes of one batch, unpacked, but for its last frame: four times what 20,000 rows of samples
/// take. Mixes are longer.
const MAX_BYTES: usize = 16 << 20;

/// A session as one connection opened it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSession {
    /// Whose it is.
    pub client: ClientId,
    /// Its id.
    pub session: u64,
    /// The opening's number, which the store counts up: an older opening can't commit.
    pub epoch: Epoch,
    /// What was committed when it was opened.
    pub committed: u64,
}

#[derive(Debug)]
struct Waiting<P> {
    open: OpenSession,
    frames: VecDeque<(Frame, P)>,
    /// What the frames become.
    rows: usize,
    closed: bool,
}

/// What of a batch's size is left.
#[derive(Debug, Clone, Copy)]
struct Room {
    rows: usize,
    bytes: usize,
}

impl Room {
    /// Takes a frame out of it; false if nothing is left.
    fn take(&mut self, frame: &Frame) -> bool {
        let any = self.rows > 0 && self.bytes > 0;
        let bytes = frame_len(frame.samples.len(), frame.mixes.len());
        self.rows = self.rows.saturating_sub(rows(frame).max(1));
        self.bytes = self.bytes.saturating_sub(bytes);
        any
    }

    const fn share(self, among: usize) -> Self {
        Self { rows: self.rows.div_ceil(among), bytes: self.bytes.div_ceil(among) }
    }

    const fn less(self, taken: Self) -> Self {
        let (rows, bytes) = (self.rows.saturating_sub(taken.rows), self.bytes);
        Self { rows, bytes: bytes.saturating_sub(taken.bytes) }
    }
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

impl<P> Queue<P> {
    /// An empty queue.
    #[must_use]
    pub fn new(limits: BatchLimits) -> Self {
        Self { limits, sessions: HashMap::new(), rows: 0, since: None }
    }

    /// Batches are made by other limits from now on.
    pub fn limit(&mut self, limits: BatchLimits) {
        self.limits = limits;
    }

    /// A connection has opened a session. What an earlier one left waiting is dropped: the store
    /// would refuse it, and the agent sends it again.
    pub fn open(&mut self, open: OpenSession) {
        let session = open.session;
        let waiting = Waiting { open, frames: VecDeque::new(), rows: 0, closed: false };
        if let Some(old) = self.sessions.insert(session, waiting) {
            self.rows -= old.rows;
        }
    }

    /// A connection is gone: its session is forgotten once nothing of it waits.
    pub fn close(&mut self, session: u64, epoch: Epoch) {
        if let Some(waiting) = self.sessions.get_mut(&session)
            && waiting.open.epoch == epoch
        {
            waiting.closed = true;
            self.forget_closed(session);
        }
    }

    /// Adds the next frame of a session. False if the session was opened anew or closed since:
    /// the agent sends the frame again.
    pub fn add(&mut self, epoch: Epoch, frame: Frame, permit: P, now: Duration) -> bool {
        match self.sessions.get_mut(&frame.session) {
            Some(waiting) if waiting.open.epoch == epoch => {
                self.rows += rows(&frame);
                waiting.rows += rows(&frame);
                self.since.get_or_insert(now);
                waiting.frames.push_back((frame, permit));
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

    /// Takes the next batch. Where there is no room for everything, each client has the same share of
    /// it, and what some leave goes to the others: who delivers much waits, and not the rest.
    pub fn take(&mut self) -> (Batch, Vec<P>) {
        let mut clients: HashMap<ClientId, (usize, Vec<u64>)> = HashMap::new();
        for (session, waiting) in &self.sessions {
            if !waiting.frames.is_empty() {
                let (rows, sessions) = clients.entry(waiting.open.client.clone()).or_default();
                *rows += waiting.rows;
                sessions.push(*session);
            }
        }
        let mut clients: Vec<_> = clients.into_values().collect();
        clients.sort_unstable();
        let mut room = Room { rows: self.limits.max_rows, bytes: MAX_BYTES };
        let (mut sessions, mut permits) = (Vec::new(), Vec::new());
        for (place, (_, ids)) in clients.iter().enumerate() {
            let share = room.share(clients.len() - place);
            let mut left = share;
            for id in ids {
                sessions.extend(self.take_session(*id, &mut left, &mut permits));
            }
            room = room.less(share.less(left));
        }
        self.rows = self.sessions.values().map(|it| it.rows).sum();
        if self.rows == 0 && self.sessions.values().all(|it| it.frames.is_empty()) {
            self.since = None;
        } else {
            // What is left has waited for long enough.
            self.since = Some(Duration::ZERO);
        }
        for taken in &sessions {
            self.forget_closed(taken.session);
        }
        (Batch::new(sessions), permits)
    }

    fn take_session(
        &mut self,
        id: u64,
        left: &mut Room,
        permits: &mut Vec<P>,
    ) -> Option<SessionBatch> {
        let waiting = self.sessions.get_mut(&id)?;
        let mut frames = Vec::new();
        while let Some((frame, _)) = waiting.frames.front()
            && left.take(frame)
        {
            let (frame, permit) = waiting.frames.pop_front()?;
            waiting.rows -= rows(&frame);
            frames.push(frame);
            permits.push(permit);
        }
        let last = frames.last()?.last_seq;
        let OpenSession { client, session, epoch, committed } = waiting.open.clone();
        waiting.open.committed = last;
        Some(SessionBatch::new(client, session, epoch, committed, frames))
    }

    /// Drops a session that the store has refused, with all that waits of it.
    pub fn refuse(&mut self, session: u64, epoch: Epoch) {
        if self.sessions.get(&session).is_some_and(|waiting| waiting.open.epoch == epoch)
            && let Some(old) = self.sessions.remove(&session)
        {
            self.rows -= old.rows;
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
        OpenSession {
            client: ClientId::new("web").unwrap(),
            session,
            epoch: Epoch(epoch),
            committed,
        }
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
        assert!(queue.add(Epoch(1), frame(1, 1, 2), (), 5 * MS));
        assert!(queue.add(Epoch(1), frame(1, 2, 2), (), 50 * MS));
        assert_eq!(queue.due(), Some(205 * MS));
        assert!(queue.add(Epoch(1), frame(1, 3, 6), (), 60 * MS));
        assert_eq!((queue.due(), queue.rows()), (Some(Duration::ZERO), 10));
        let (batch, permits) = queue.take();
        assert_eq!((batch.sessions[0].expected, batch.sessions[0].frames.len()), (0, 3));
        assert_eq!((permits.len(), queue.due(), queue.rows()), (3, None, 0));
    }

    #[test]
    fn a_batch_is_bounded_and_who_has_much_leaves_room_for_the_others() {
        let mut queue = queue();
        for (session, client, frames) in [(2, "flood", 500), (3, "flood", 500), (4, "db", 2)] {
            queue.open(OpenSession {
                client: ClientId::new(client).unwrap(),
                ..open(session, 1, 0)
            });
            for seq in 1..=frames {
                assert!(queue.add(Epoch(1), frame(session, seq, 1), (), MS));
            }
        }
        assert!(queue.add(Epoch(1), frame(1, 1, 1), (), MS));
        let taken = |queue: &mut Queue<()>| {
            let (batch, permits) = queue.take();
            assert_eq!((batch.rows(), permits.len()), (10, 10));
            let frames = |session| {
                let mut found = batch.sessions.iter().filter(|it| it.session == session);
                found.next().map_or(0, |it| it.frames.len())
            };
            assert_eq!(frames(2) + frames(3) + frames(4) + frames(1), 10);
            (frames(4), frames(1))
        };
        assert_eq!(taken(&mut queue), (2, 1));
        assert_eq!(queue.due(), Some(Duration::ZERO), "the rest is due at once");
        assert!(queue.add(Epoch(1), frame(1, 2, 1), (), 9 * MS));
        assert_eq!(taken(&mut queue), (0, 1), "who came later is served at once");
        assert_eq!(queue.rows(), 1000 - 7 - 9);
    }

    #[test]
    fn frames_without_rows_are_bounded_too_and_a_long_one_passes_alone() {
        let mut queue = queue();
        for seq in 1..=30 {
            assert!(queue.add(Epoch(1), frame(1, seq, if seq == 30 { 900 } else { 0 }), (), MS));
        }
        let taken =
            std::iter::from_fn(|| queue.due().map(|_| queue.take().0.sessions[0].frames.len()));
        assert_eq!(taken.collect::<Vec<_>>(), [10, 10, 10]);
    }

    #[test]
    fn each_batch_expects_what_the_one_before_commits() {
        let mut queue = queue();
        assert!(queue.add(Epoch(1), frame(1, 1, 1), (), MS));
        queue.take();
        assert!(queue.add(Epoch(1), frame(1, 2, 1), (), MS));
        assert_eq!(queue.take().0.sessions[0].expected, 1);
    }

    #[test]
    fn opening_anew_drops_what_an_earlier_connection_left() {
        let mut queue = queue();
        assert!(queue.add(Epoch(1), frame(1, 1, 1), (), MS));
        queue.open(open(1, 2, 0));
        assert!(!queue.add(Epoch(1), frame(1, 2, 1), (), MS), "the earlier connection's");
        assert!(queue.add(Epoch(2), frame(1, 1, 1), (), MS));
        assert_eq!(queue.take().0.sessions[0].frames.len(), 1);
        queue.refuse(1, Epoch(1));
        assert!(queue.add(Epoch(2), frame(1, 2, 1), (), MS), "an old refusal is of no concern");
    }

    #[test]
    fn a_closed_session_is_committed_and_then_forgotten() {
        let mut queue = queue();
        assert!(queue.add(Epoch(1), frame(1, 1, 1), (), MS));
        queue.close(1, Epoch(1));
        assert_eq!(queue.take().0.sessions.len(), 1);
        assert!(queue.sessions.is_empty());
        queue.open(open(2, 1, 0));
        queue.close(2, Epoch(1));
        assert!(queue.sessions.is_empty());
    }
}
