//! The queue of frames to commit: the writer's decisions, without I/O or clock.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use wire::Seq;
use wire::codec::frame_size;
use wire::frame::Frame;
use wire::id::{ClientId, SessionId};

use super::limits::BatchLimits;
use crate::store::rows::split::rows;
use crate::store::{Batch, Epoch, SessionBatch};

/// Size of a batch, unpacked, which only its last frame may exceed, bytes. Four times the size of
/// 20,000 rows of samples; mixes are longer.
const MAX_BYTES: usize = 16 << 20;

/// A session as one connection opened it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSession {
    /// The client.
    pub client: ClientId,
    /// Its id.
    pub session: SessionId,
    /// Number of the opening, which the store counts up. An older opening can't commit.
    pub epoch: Epoch,
    /// Last number committed at the opening.
    pub committed: Seq,
}

#[derive(Debug)]
struct Waiting<P> {
    open: OpenSession,
    frames: VecDeque<(Frame, P)>,
    /// Number of rows of the frames.
    rows: usize,
    /// Somebody waits for the commit of one of the frames.
    heeded: bool,
    closed: bool,
}

/// Remaining room of a batch.
#[derive(Debug, Clone, Copy)]
struct Room {
    rows: usize,
    bytes: usize,
}

impl Room {
    /// Takes a frame's size; false if there was no room left.
    fn take(&mut self, frame: &Frame) -> bool {
        let any = self.rows > 0 && self.bytes > 0;
        let bytes = frame_size(frame);
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

/// Frames of all sessions, in order within each. `P` is the memory permit of a frame, released once the
/// frame is committed.
#[derive(Debug)]
pub struct Queue<P> {
    limits: BatchLimits,
    sessions: HashMap<SessionId, Waiting<P>>,
    rows: usize,
    /// Since when the oldest frame has waited, or earlier.
    since: Option<Duration>,
    /// Since when somebody has waited for a commit.
    heeded: Option<Duration>,
}

impl<P> Queue<P> {
    /// An empty queue.
    #[must_use]
    pub fn new(limits: BatchLimits) -> Self {
        Self { limits, sessions: HashMap::new(), rows: 0, since: None, heeded: None }
    }

    /// Changes the limits of further batches.
    pub fn limit(&mut self, limits: BatchLimits) {
        self.limits = limits;
    }

    /// A connection has opened a session. Drops frames that an earlier connection left; the store would
    /// refuse them, and the agent sends them again.
    pub fn open(&mut self, open: OpenSession) {
        let session = open.session;
        let (frames, rows) = (VecDeque::new(), 0);
        let waiting = Waiting { open, frames, rows, heeded: false, closed: false };
        if let Some(old) = self.sessions.insert(session, waiting) {
            self.rows -= old.rows;
        }
    }

    /// A connection has ended. Its session is dropped once none of its frames waits.
    pub fn close(&mut self, session: SessionId, epoch: Epoch) {
        if let Some(waiting) = self.sessions.get_mut(&session)
            && waiting.open.epoch == epoch
        {
            waiting.closed = true;
            self.forget_closed(session);
        }
    }

    /// Adds the next frame of a session. False if the session was opened again or closed since; the
    /// agent sends the frame again. If somebody waits for its commit, call [`Queue::heed`] too.
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

    /// Somebody waits for the commit of a session's frames.
    pub fn heed(&mut self, session: SessionId, now: Duration) {
        let found = self.sessions.get_mut(&session);
        if let Some(waiting) = found.filter(|waiting| !waiting.frames.is_empty()) {
            waiting.heeded = true;
            self.heeded.get_or_insert(now);
        }
    }

    /// Somebody waits for memory that waiting frames take: all are due after the usual delay.
    pub fn hurry(&mut self, now: Duration) {
        let since = (now + self.limits.max_delay).saturating_sub(self.limits.unheeded_delay());
        self.since = self.since.map(|waited| waited.min(since));
    }

    /// When the next batch is due; `None` if nothing waits. A time in the past means at once.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        let all = self.all_due()?;
        let heeded = self.heeded.map(|since| since + self.limits.max_delay);
        Some(heeded.map_or(all, |heeded| heeded.min(all)))
    }

    /// When all frames are due.
    fn all_due(&self) -> Option<Duration> {
        let since = self.since?;
        let at_once = since.is_zero() || self.rows >= self.max_rows();
        Some(if at_once { Duration::ZERO } else { since + self.limits.unheeded_delay() })
    }

    /// Number of rows that makes a batch due at once.
    fn max_rows(&self) -> usize {
        let of_sessions = self.sessions.len().saturating_mul(self.limits.session_rows);
        self.limits.max_rows.max(of_sessions)
    }

    /// Takes the next batch: of all sessions once all are due, before that of those whose commit
    /// somebody waits for. If not everything fits, clients get equal shares, and unused parts go to the
    /// others. So a client that delivers much waits, and the rest don't.
    pub fn take(&mut self, now: Duration) -> (Batch, Vec<P>) {
        let all = self.all_due().is_some_and(|due| due <= now);
        let mut clients: HashMap<ClientId, (usize, Vec<SessionId>)> = HashMap::new();
        for (session, waiting) in &self.sessions {
            if !waiting.frames.is_empty() && (all || waiting.heeded) {
                let (rows, sessions) = clients.entry(waiting.open.client.clone()).or_default();
                *rows += waiting.rows;
                sessions.push(*session);
            }
        }
        let mut clients: Vec<_> = clients.into_values().collect();
        clients.sort_unstable();
        let mut room = Room { rows: self.max_rows(), bytes: MAX_BYTES };
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
        let rest = || self.sessions.values().filter(|it| !it.frames.is_empty());
        // What found no room has waited long enough.
        let heeded = rest().any(|it| it.heeded).then_some(Duration::ZERO);
        let since = rest().next().and(if all { Some(Duration::ZERO) } else { self.since });
        (self.heeded, self.since) = (heeded, since);
        for taken in &sessions {
            self.forget_closed(taken.session);
        }
        (Batch::new(sessions), permits)
    }

    fn take_session(
        &mut self,
        id: SessionId,
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
        waiting.heeded &= !waiting.frames.is_empty();
        let last = frames.last()?.last_seq;
        let OpenSession { client, session, epoch, committed } = waiting.open.clone();
        waiting.open.committed = last;
        Some(SessionBatch::new(client, session, epoch, committed, frames))
    }

    /// Drops a session that the store has refused, with all its waiting frames.
    pub fn refuse(&mut self, session: SessionId, epoch: Epoch) {
        if self.sessions.get(&session).is_some_and(|waiting| waiting.open.epoch == epoch)
            && let Some(old) = self.sessions.remove(&session)
        {
            self.rows -= old.rows;
        }
    }

    /// Number of waiting rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    fn forget_closed(&mut self, session: SessionId) {
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

    /// When all is due.
    const LATE: Duration = Duration::from_secs(3600);

    fn open(session: u64, epoch: u64, committed: u64) -> OpenSession {
        OpenSession {
            client: ClientId::new("web").unwrap(),
            session: SessionId::new(session),
            epoch: Epoch(epoch),
            committed: Seq(committed),
        }
    }

    fn frame(session: u64, seq: u64, samples: usize) -> Frame {
        let samples = vec![Sample::default(); samples];
        Frame {
            session: SessionId::new(session),
            first_seq: Seq(seq),
            last_seq: Seq(seq),
            gap: 0,
            samples,
            mixes: vec![],
            talkers: vec![],
        }
    }

    fn queue() -> Queue<()> {
        let limits = BatchLimits { max_rows: 10, session_rows: 0, max_delay: 200 * MS };
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
        assert_eq!(queue.due(), Some(2005 * MS));
        assert!(queue.add(Epoch(1), frame(1, 3, 6), (), 60 * MS));
        assert_eq!((queue.due(), queue.rows()), (Some(Duration::ZERO), 10));
        let (batch, permits) = queue.take(LATE);
        assert_eq!((batch.sessions[0].expected, batch.sessions[0].frames.len()), (Seq(0), 3));
        assert_eq!((permits.len(), queue.due(), queue.rows()), (3, None, 0));
    }

    #[test]
    fn a_commit_that_somebody_waits_for_comes_sooner_and_takes_only_those_sessions() {
        let mut queue = queue();
        queue.open(open(2, 1, 0));
        queue.heed(SessionId::new(1), 3 * MS);
        assert_eq!(queue.due(), None, "nothing to commit");
        assert!(queue.add(Epoch(1), frame(1, 1, 1), (), 5 * MS));
        assert!(queue.add(Epoch(1), frame(2, 1, 1), (), 50 * MS));
        queue.heed(SessionId::new(2), 60 * MS);
        queue.heed(SessionId::new(2), 90 * MS);
        assert_eq!(queue.due(), Some(260 * MS));
        let (batch, _) = queue.take(260 * MS);
        let sessions: Vec<_> = batch.sessions.iter().map(|it| it.session.get()).collect();
        assert_eq!((sessions, queue.due(), queue.rows()), (vec![2], Some(2005 * MS), 1));
        assert!(queue.add(Epoch(1), frame(2, 2, 1), (), 900 * MS), "heeded no more");
        assert_eq!(queue.due(), Some(2005 * MS));
        assert_eq!(queue.take(2005 * MS).0.sessions.len(), 2);
        assert_eq!((queue.due(), queue.rows()), (None, 0));
    }

    #[test]
    fn heeded_frames_that_found_no_room_are_due_at_once_and_the_others_are_not() {
        let mut queue = queue();
        queue.open(open(2, 1, 0));
        assert!(queue.add(Epoch(1), frame(1, 1, 1), (), MS));
        for seq in 1..=16 {
            assert!(queue.add(Epoch(1), frame(2, seq, 0), (), 2 * MS));
        }
        queue.heed(SessionId::new(2), 2 * MS);
        let take = |queue: &mut Queue<()>| queue.take(202 * MS).0.sessions[0].frames.len();
        assert_eq!((take(&mut queue), queue.due()), (10, Some(Duration::ZERO + 200 * MS)));
        assert_eq!((take(&mut queue), queue.due()), (6, Some(2001 * MS)));
        assert_eq!(queue.rows(), 1);
    }

    #[test]
    fn with_many_sessions_a_batch_has_room_for_all_of_them() {
        let mut queue = queue();
        queue.limit(BatchLimits { session_rows: 8, ..queue.limits });
        for session in 1..=3 {
            queue.open(open(session, 1, 0));
            assert!(queue.add(Epoch(1), frame(session, 1, 7), (), MS));
        }
        assert_eq!(queue.due(), Some(2001 * MS), "21 of 24 rows");
        assert!(queue.add(Epoch(1), frame(1, 2, 3), (), MS));
        assert_eq!(queue.due(), Some(Duration::ZERO));
        assert_eq!(queue.take(MS).0.rows(), 24);
        // Few of them have what is configured.
        queue.limit(BatchLimits { session_rows: 3, ..queue.limits });
        assert!(queue.add(Epoch(1), frame(1, 3, 9), (), MS));
        assert_eq!(queue.due(), Some(2001 * MS));
        assert!(queue.add(Epoch(1), frame(2, 2, 1), (), MS));
        assert_eq!(queue.due(), Some(Duration::ZERO));
    }

    #[test]
    fn when_somebody_waits_for_memory_all_is_due_after_the_usual_delay() {
        let mut queue = queue();
        queue.hurry(MS);
        assert_eq!(queue.due(), None, "nothing waits");
        assert!(queue.add(Epoch(1), frame(1, 1, 1), (), 2005 * MS));
        queue.hurry(2100 * MS);
        queue.hurry(2200 * MS);
        assert_eq!(queue.due(), Some(2300 * MS));
        assert_eq!(queue.take(2300 * MS).0.sessions.len(), 1);
        assert_eq!(queue.due(), None);
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
            let (batch, permits) = queue.take(LATE);
            assert_eq!((batch.rows(), permits.len()), (10, 10));
            let frames = |session| {
                let mut found = batch.sessions.iter().filter(|it| it.session.get() == session);
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
            std::iter::from_fn(|| queue.due().map(|_| queue.take(LATE).0.sessions[0].frames.len()));
        assert_eq!(taken.collect::<Vec<_>>(), [10, 10, 10]);
    }

    #[test]
    fn each_batch_expects_what_the_one_before_commits() {
        let mut queue = queue();
        assert!(queue.add(Epoch(1), frame(1, 1, 1), (), MS));
        queue.take(LATE);
        assert!(queue.add(Epoch(1), frame(1, 2, 1), (), MS));
        assert_eq!(queue.take(LATE).0.sessions[0].expected, Seq(1));
    }

    #[test]
    fn opening_anew_drops_what_an_earlier_connection_left() {
        let mut queue = queue();
        assert!(queue.add(Epoch(1), frame(1, 1, 1), (), MS));
        queue.open(open(1, 2, 0));
        assert!(!queue.add(Epoch(1), frame(1, 2, 1), (), MS), "the earlier connection's");
        assert!(queue.add(Epoch(2), frame(1, 1, 1), (), MS));
        assert_eq!(queue.take(LATE).0.sessions[0].frames.len(), 1);
        queue.refuse(SessionId::new(1), Epoch(1));
        assert!(queue.add(Epoch(2), frame(1, 2, 1), (), MS), "an old refusal is of no concern");
    }

    #[test]
    fn a_closed_session_is_committed_and_then_forgotten() {
        let mut queue = queue();
        assert!(queue.add(Epoch(1), frame(1, 1, 1), (), MS));
        queue.close(SessionId::new(1), Epoch(1));
        assert_eq!(queue.take(LATE).0.sessions.len(), 1);
        assert!(queue.sessions.is_empty());
        queue.open(open(2, 1, 0));
        queue.close(SessionId::new(2), Epoch(1));
        assert!(queue.sessions.is_empty());
    }
}
