//! The sessions of one connection: order, duplicates, gaps and acknowledgements. No I/O.

use std::time::Duration;

use wire::delivery::{Accepted, Receiver};
use wire::frame::Frame;
use wire::message::{Ack, SeqRange};

use crate::store::SessionState;

/// Longest time for which progress goes unacknowledged: live frames are, most often, when they are
/// committed; of a backlog the window would stand still until then.
const ACK_DELAY: Duration = Duration::from_millis(500);
const BACKLOG_ACK_DELAY: Duration = Duration::from_millis(100);

/// So many frames since the last acknowledgement are a backlog.
const BACKLOG: u32 = 8;

/// Shortest time between two acknowledgements of a gap.
const GAP_DELAY: Duration = Duration::from_millis(10);

/// Frames out of order that one connection may have waiting, rows.
const WAITING_ROWS_MAX: usize = 64 << 10;

/// Why a frame can't be taken. The connection is of no more use then.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameRefused {
    /// Not one of the sessions that the agent introduced.
    #[error("session {0:016x} was not introduced")]
    UnknownSession(u64),
    /// It covers numbers both known and unknown.
    #[error("record {first}..={last} of session {session:016x} overlaps with another")]
    Overlap {
        /// The session.
        session: u64,
        /// First number of the record.
        first: u64,
        /// Last number of the record.
        last: u64,
    },
    /// More out of order than an honest agent sends.
    #[error("too many frames out of order")]
    TooMuch,
}

/// One session as it is received.
#[derive(Debug)]
struct Session {
    state: SessionState,
    receiver: Receiver<Frame>,
    /// Something is to be told.
    news: bool,
}

/// All sessions of a connection. Times are durations since any fixed moment.
#[derive(Debug)]
pub struct Sessions {
    sessions: Vec<Session>,
    waiting_rows: usize,
    /// When an acknowledgement is due.
    ack_due: Option<Duration>,
    acked: Duration,
    /// Frames that have arrived since then.
    unacked: u32,
}

impl Sessions {
    /// The sessions as the store opened them.
    #[must_use]
    pub fn new(opened: &[SessionState]) -> Self {
        let session = |state: &SessionState| Session {
            state: *state,
            receiver: Receiver::new(state.session, state.seq),
            news: false,
        };
        let sessions = opened.iter().map(session).collect();
        Self { sessions, waiting_rows: 0, ack_due: None, acked: Duration::ZERO, unacked: 0 }
    }

    /// A frame has arrived.
    ///
    /// # Errors
    /// [`FrameRefused`] if no honest agent would send it.
    pub fn on_frame(&mut self, frame: Frame, now: Duration) -> Result<Accepted, FrameRefused> {
        let Frame { session: id, first_seq: first, last_seq: last, .. } = frame;
        let found = self.sessions.iter_mut().find(|session| session.state.session == id);
        let session = found.ok_or(FrameRefused::UnknownSession(id))?;
        let rows = rows(&frame);
        let had_gap = session.receiver.has_gap();
        let accepted = session.receiver.accept(SeqRange { first, last }, frame);
        match accepted {
            Accepted::Kept => self.waiting_rows += rows,
            Accepted::Overlap => return Err(FrameRefused::Overlap { session: id, first, last }),
            Accepted::Duplicate | Accepted::Beyond => {}
        }
        if self.waiting_rows > WAITING_ROWS_MAX {
            return Err(FrameRefused::TooMuch);
        }
        session.news = true;
        self.unacked += 1;
        let delay = if session.receiver.has_gap() && !had_gap {
            // As soon as possible: the agent sends again what is missing.
            (self.acked + GAP_DELAY).saturating_sub(now)
        } else if self.unacked >= BACKLOG {
            BACKLOG_ACK_DELAY
        } else {
            ACK_DELAY
        };
        self.plan_ack(now + delay);
        Ok(accepted)
    }

    /// The next frame that has its turn, and the epoch of its session.
    pub fn next(&mut self) -> Option<(u64, Frame)> {
        let session = self.sessions.iter_mut().find(|session| session.receiver.has_next())?;
        let frame = session.receiver.pop()?;
        self.waiting_rows -= rows(&frame);
        Some((session.state.epoch, frame))
    }

    /// The store has a session up to `committed`.
    pub fn on_committed(&mut self, id: u64, committed: u64, now: Duration) {
        if let Some(session) = self.sessions.iter_mut().find(|it| it.state.session == id) {
            session.receiver.on_committed(committed);
            session.news = true;
            self.plan_ack(now);
        }
    }

    fn plan_ack(&mut self, due: Duration) {
        self.ack_due = Some(self.ack_due.map_or(due, |planned| planned.min(due)));
    }

    /// When acknowledgements are due, if there is anything to tell.
    #[must_use]
    pub const fn ack_due(&self) -> Option<Duration> {
        self.ack_due
    }

    /// The acknowledgements to send now.
    pub fn take_acks(&mut self, now: Duration) -> Vec<Ack> {
        (self.ack_due, self.acked, self.unacked) = (None, now, 0);
        let ack = |session: &mut Session| {
            std::mem::take(&mut session.news).then(|| session.receiver.ack())
        };
        self.sessions.iter_mut().filter_map(ack).collect()
    }
}

fn rows(frame: &Frame) -> usize {
    frame.samples.len() + frame.mixes.len()
}

#[cfg(test)]
mod tests {
    use wire::frame::Sample;

    use super::*;

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn frame(session: u64, seq: u64) -> Frame {
        let samples = vec![Sample::default()];
        Frame { session, first_seq: seq, last_seq: seq, gap: 0, samples, mixes: vec![] }
    }

    fn sessions() -> Sessions {
        let state = |session, seq| SessionState { session, seq, epoch: 3, digest: None };
        Sessions::new(&[state(1, 10), state(2, 0)])
    }

    #[test]
    fn frames_of_each_session_come_out_in_order() {
        let mut sessions = sessions();
        assert_eq!(sessions.on_frame(frame(1, 12), at(0)), Ok(Accepted::Kept));
        assert_eq!(sessions.on_frame(frame(2, 1), at(0)), Ok(Accepted::Kept));
        assert_eq!(sessions.next(), Some((3, frame(2, 1))));
        assert_eq!(sessions.next(), None);
        assert_eq!(sessions.on_frame(frame(1, 11), at(0)), Ok(Accepted::Kept));
        assert_eq!(sessions.next(), Some((3, frame(1, 11))));
        assert_eq!(sessions.next(), Some((3, frame(1, 12))));
    }

    #[test]
    fn progress_is_acknowledged_after_a_while_and_a_gap_at_once() {
        let mut sessions = sessions();
        sessions.on_frame(frame(2, 1), at(1000)).unwrap();
        sessions.next();
        assert_eq!(sessions.ack_due(), Some(at(1500)));
        sessions.on_frame(frame(2, 3), at(1020)).unwrap();
        assert_eq!(sessions.ack_due(), Some(at(1020)));
        let acks = sessions.take_acks(at(1020));
        assert_eq!((acks.len(), acks[0].received), (1, 1));
        assert_eq!(acks[0].missing, [SeqRange { first: 2, last: 2 }]);
        assert_eq!(sessions.ack_due(), None);
        sessions.on_frame(frame(2, 2), at(1021)).unwrap();
        sessions.on_frame(frame(2, 3), at(1022)).unwrap();
        while sessions.next().is_some() {}
        sessions.on_frame(frame(2, 5), at(1023)).unwrap();
        assert_eq!(sessions.ack_due(), Some(at(1030)), "not more often than every 10 ms");
    }

    #[test]
    fn progress_of_a_backlog_is_acknowledged_sooner() {
        let mut sessions = sessions();
        for seq in 1..=u64::from(BACKLOG) {
            sessions.on_frame(frame(2, seq), at(1000)).unwrap();
        }
        assert_eq!(sessions.ack_due(), Some(at(1100)));
    }

    #[test]
    fn what_is_committed_is_told_even_if_nothing_arrives() {
        let mut sessions = sessions();
        sessions.on_committed(2, 0, at(5));
        assert_eq!(sessions.take_acks(at(5)).len(), 1);
        sessions.on_committed(7, 1, at(6));
        assert_eq!(sessions.ack_due(), None);
    }

    #[test]
    fn what_no_honest_agent_sends_is_refused() {
        let mut sessions = sessions();
        let unknown = sessions.on_frame(frame(9, 1), at(0));
        assert_eq!(unknown, Err(FrameRefused::UnknownSession(9)));
        let across = Frame { last_seq: 12, ..frame(1, 9) };
        assert!(matches!(sessions.on_frame(across, at(0)), Err(FrameRefused::Overlap { .. })));
        let mut flood =
            (0..).map(|n| Frame { samples: vec![Sample::default(); 1024], ..frame(2, 2 + n) });
        let refused = flood.find_map(|frame| sessions.on_frame(frame, at(0)).err());
        assert_eq!(refused, Some(FrameRefused::TooMuch));
    }
}
