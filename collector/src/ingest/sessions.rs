//! The sessions of one connection: order, duplicates, gaps and acknowledgements. No I/O.

use std::time::Duration;

use wire::Seq;
use wire::codec::frame_size;
use wire::delivery::{ACK_JOINED_MAX, Accepted, AckPace, Receiver};
use wire::frame::Frame;
use wire::id::SessionId;
use wire::message::{Ack, SeqRange};

use super::limits::{Account, Memory};
use crate::store::{Epoch, SessionState};

/// Longest delay of an acknowledgement. Live frames are usually committed by then; for a backlog the
/// window would stall without it.
const ACK_DELAY: Duration = Duration::from_millis(500);
const BACKLOG_ACK_DELAY: Duration = Duration::from_millis(100);

/// Number of unacknowledged frames that indicates a backlog.
const BACKLOG: u32 = 8;

/// From this age on, a joined acknowledgement goes with the packet that answers the next live frame.
const JOINED: Duration = Duration::from_millis(2500);
const _: () = assert!(JOINED.as_nanos() < ACK_JOINED_MAX.as_nanos());

/// Number of live frames that one acknowledgement may stand for: a small part of the window.
const JOINED_FRAMES: u32 = 64;

/// Shortest time between two acknowledgements of a gap.
const GAP_DELAY: Duration = Duration::from_millis(10);

/// Memory of a waiting frame beside its rows: its entry in the queue, bytes.
const PLACE: usize = 2 * size_of::<(u64, Kept)>();

/// Why a frame is refused. The connection is unusable afterwards.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameRefused {
    /// The agent didn't introduce its session.
    #[error("session {0} was not introduced")]
    UnknownSession(SessionId),
    /// It covers known and unknown numbers.
    #[error("record {first}..={last} of session {session} overlaps with another")]
    Overlap {
        /// The session.
        session: SessionId,
        /// First number of the record.
        first: Seq,
        /// Last number of the record.
        last: Seq,
    },
    /// No memory is left to keep it until the missing ones come.
    #[error(
        "frames that wait for a missing one take more memory than limits.client.waiting or \
         limits.waiting of the collector allows; missing ones have to come first"
    )]
    NoMemory,
}

/// How a frame arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As a datagram: the agent sends it again if it isn't kept.
    Live,
    /// By a stream: the agent doesn't send it again over this connection.
    Stream,
}

/// A waiting frame and its memory. A frame whose turn it is needs none.
type Kept = (Frame, Option<Memory>);

/// One session being received.
#[derive(Debug)]
struct Session {
    state: SessionState,
    receiver: Receiver<Kept>,
    /// An acknowledgement is due.
    news: bool,
    /// Last number that came by a stream: commits up to here are acknowledged at once.
    streamed: Seq,
}

/// All sessions of a connection. Times are durations since any fixed moment.
#[derive(Debug)]
pub struct Sessions {
    sessions: Vec<Session>,
    pace: AckPace,
    account: Account,
    /// When an acknowledgement is due.
    ack_due: Option<Duration>,
    acked: Duration,
    /// Since when something is unacknowledged.
    since: Option<Duration>,
    /// Frames that have arrived since then.
    unacked: u32,
}

impl Sessions {
    /// The sessions as the store opened them. `pace` is that of the agent's protocol.
    #[must_use]
    pub fn new(opened: &[SessionState], pace: AckPace, account: Account) -> Self {
        let session = |state: &SessionState| Session {
            state: *state,
            receiver: Receiver::new(state.session, state.seq),
            news: false,
            streamed: Seq(0),
        };
        let sessions = opened.iter().map(session).collect();
        let (ack_due, since) = (None, None);
        Self { sessions, pace, account, ack_due, acked: Duration::ZERO, since, unacked: 0 }
    }

    /// A frame has arrived.
    ///
    /// # Errors
    /// [`FrameRefused`] if no correct agent would send the frame.
    pub fn on_frame(
        &mut self,
        frame: Frame,
        way: Way,
        now: Duration,
    ) -> Result<Accepted, FrameRefused> {
        let Frame { session: id, first_seq: first, last_seq: last, .. } = frame;
        let found = self.sessions.iter_mut().find(|session| session.state.session == id);
        let session = found.ok_or(FrameRefused::UnknownSession(id))?;
        let had_gap = session.receiver.has_gap();
        let range = SeqRange { first, last };
        let mut accepted = session.receiver.judge(range);
        match accepted {
            Accepted::Kept if session.receiver.is_next(first) => {
                session.receiver.accept(range, (frame, None));
            }
            Accepted::Kept => match self.account.memory(bytes(&frame)) {
                Some(memory) => {
                    session.receiver.accept(range, (frame, Some(memory)));
                }
                None if way == Way::Live => accepted = Accepted::Beyond,
                None => return Err(FrameRefused::NoMemory),
            },
            Accepted::Overlap => return Err(FrameRefused::Overlap { session: id, first, last }),
            Accepted::Duplicate | Accepted::Beyond => {}
        }
        session.news = true;
        self.unacked += 1;
        let since = *self.since.get_or_insert(now);
        let joined = self.pace == AckPace::Joined && way == Way::Live;
        if way == Way::Stream {
            session.streamed = session.streamed.max(last);
        }
        let stored = way == Way::Stream && last <= session.receiver.committed();
        let due = if stored || session.receiver.has_gap() && !had_gap {
            // As soon as possible: the agent sends missing frames again, or waits for its end.
            now.max(self.acked + GAP_DELAY)
        } else if joined && self.unacked < JOINED_FRAMES {
            joined_due(since, now)
        } else if self.unacked >= BACKLOG {
            now + BACKLOG_ACK_DELAY
        } else {
            now + ACK_DELAY
        };
        self.plan_ack(due);
        Ok(accepted)
    }

    /// The next frame in order, and the epoch of its session.
    pub fn next(&mut self) -> Option<(Epoch, Frame)> {
        let session = self.sessions.iter_mut().find(|session| session.receiver.has_next())?;
        let (frame, _memory) = session.receiver.pop()?;
        Some((session.state.epoch, frame))
    }

    /// The store has committed a session up to `committed`.
    pub fn on_committed(&mut self, id: SessionId, committed: Seq, now: Duration) {
        if let Some(session) = self.sessions.iter_mut().find(|it| it.state.session == id) {
            if committed <= session.receiver.committed() {
                return;
            }
            // What came by a stream, or anything of an older agent, is acknowledged at once.
            let at_once = self.pace == AckPace::Prompt
                || session.receiver.committed() < session.streamed.min(committed);
            session.receiver.on_committed(committed);
            session.news = true;
            let since = *self.since.get_or_insert(now);
            self.plan_ack(if at_once { now } else { since + ACK_JOINED_MAX });
        }
    }

    fn plan_ack(&mut self, due: Duration) {
        self.ack_due = Some(self.ack_due.map_or(due, |planned| planned.min(due)));
    }

    /// When acknowledgements are due; `None` if there are none.
    #[must_use]
    pub const fn ack_due(&self) -> Option<Duration> {
        self.ack_due
    }

    /// The acknowledgements to send now. Joined ones of commits that are still to come are due later.
    pub fn take_acks(&mut self, now: Duration) -> Vec<Ack> {
        (self.ack_due, self.acked, self.since, self.unacked) = (None, now, None, 0);
        let ack = |session: &mut Session| {
            std::mem::take(&mut session.news).then(|| session.receiver.ack())
        };
        let acks = self.sessions.iter_mut().filter_map(ack).collect();
        if self.pace == AckPace::Joined && self.sessions.iter().any(|it| it.receiver.is_owed()) {
            self.since = Some(now);
            self.plan_ack(now + ACK_JOINED_MAX);
        }
        acks
    }
}

/// When a joined acknowledgement is due that is owed since `since`, at the arrival of a live frame: with
/// the answer to this one, or to a later one.
fn joined_due(since: Duration, now: Duration) -> Duration {
    if now >= since + JOINED { now } else { since + ACK_JOINED_MAX }
}

/// Approximate memory of a waiting frame.
fn bytes(frame: &Frame) -> usize {
    PLACE + frame_size(frame)
}

#[cfg(test)]
mod tests {
    use wire::frame::Sample;
    use wire::id::ClientId;

    use super::super::limits::{ClientLimits, Quotas, TotalLimits};
    use super::*;

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn frame(session: u64, seq: u64) -> Frame {
        let samples = vec![Sample::default()];
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

    fn sessions() -> Sessions {
        sessions_at(AckPace::Prompt)
    }

    fn sessions_at(pace: AckPace) -> Sessions {
        let state = |session, seq| SessionState {
            session: SessionId::new(session),
            seq,
            epoch: Epoch(3),
            digest: None,
        };
        Sessions::new(&[state(1, Seq(10)), state(2, Seq(0))], pace, account(64 << 20))
    }

    /// An account of a collector with this much memory for waiting frames, bytes.
    fn account(waiting: usize) -> Account {
        let total = TotalLimits { connections: 1, handshakes: 1, address_handshakes: 1, waiting };
        Quotas::new(total, ClientLimits::default()).account(&ClientId::new("web-1").unwrap())
    }

    #[test]
    fn frames_of_each_session_come_out_in_order() {
        let mut sessions = sessions();
        assert_eq!(sessions.on_frame(frame(1, 12), Way::Stream, at(0)), Ok(Accepted::Kept));
        assert_eq!(sessions.on_frame(frame(2, 1), Way::Stream, at(0)), Ok(Accepted::Kept));
        assert_eq!(sessions.next(), Some((Epoch(3), frame(2, 1))));
        assert_eq!(sessions.next(), None);
        assert_eq!(sessions.on_frame(frame(1, 11), Way::Stream, at(0)), Ok(Accepted::Kept));
        assert_eq!(sessions.next(), Some((Epoch(3), frame(1, 11))));
        assert_eq!(sessions.next(), Some((Epoch(3), frame(1, 12))));
    }

    #[test]
    fn progress_is_acknowledged_after_a_while_and_a_gap_at_once() {
        let mut sessions = sessions();
        sessions.on_frame(frame(2, 1), Way::Stream, at(1000)).unwrap();
        sessions.next();
        assert_eq!(sessions.ack_due(), Some(at(1500)));
        sessions.on_frame(frame(2, 3), Way::Stream, at(1020)).unwrap();
        assert_eq!(sessions.ack_due(), Some(at(1020)));
        let acks = sessions.take_acks(at(1020));
        assert_eq!((acks.len(), acks[0].received), (1, Seq(1)));
        assert_eq!(acks[0].missing, [SeqRange { first: Seq(2), last: Seq(2) }]);
        assert_eq!(sessions.ack_due(), None);
        sessions.on_frame(frame(2, 2), Way::Stream, at(1021)).unwrap();
        sessions.on_frame(frame(2, 3), Way::Stream, at(1022)).unwrap();
        while sessions.next().is_some() {}
        sessions.on_frame(frame(2, 5), Way::Stream, at(1023)).unwrap();
        assert_eq!(sessions.ack_due(), Some(at(1030)), "not more often than every 10 ms");
    }

    #[test]
    fn progress_of_a_backlog_is_acknowledged_sooner() {
        let mut sessions = sessions();
        for seq in 1..=u64::from(BACKLOG) {
            sessions.on_frame(frame(2, seq), Way::Stream, at(1000)).unwrap();
        }
        assert_eq!(sessions.ack_due(), Some(at(1100)));
    }

    /// Live frames of session 2 arrive every `interval` ms, each committed 200 ms later. Gives the times
    /// of the acknowledgements, ms, and the last number that each calls committed.
    fn acknowledged(sessions: &mut Sessions, interval: u64, frames: u64) -> Vec<(u64, u64)> {
        let mut acks = Vec::new();
        for ms in 0..interval * frames + 8000 {
            let now = at(ms);
            if ms.is_multiple_of(interval) && ms / interval < frames {
                sessions.on_frame(frame(2, ms / interval + 1), Way::Live, now).unwrap();
                while sessions.next().is_some() {}
            }
            if ms >= 200 && (ms - 200).is_multiple_of(interval) && (ms - 200) / interval < frames {
                sessions.on_committed(SessionId::new(2), Seq((ms - 200) / interval + 1), now);
            }
            if sessions.ack_due().is_some_and(|due| due <= now) {
                let taken = sessions.take_acks(now);
                acks.extend(taken.iter().map(|ack| (ms, ack.committed.get())));
            }
        }
        acks
    }

    #[test]
    fn live_frames_are_acknowledged_together_with_the_answer_to_a_later_one() {
        let acks = acknowledged(&mut sessions_at(AckPace::Joined), 1000, 9);
        assert_eq!(acks, [(3000, 3), (6000, 6), (10_000, 9)], "the last by itself");
        let acks = acknowledged(&mut sessions(), 1000, 2);
        assert_eq!(acks, [(200, 1), (1200, 2)], "each by itself to an older agent");
    }

    #[test]
    fn a_commit_that_nobody_tells_is_found_in_time() {
        let mut sessions = sessions_at(AckPace::Joined);
        sessions.on_frame(frame(2, 1), Way::Live, at(0)).unwrap();
        while sessions.next().is_some() {}
        assert_eq!(sessions.take_acks(ACK_JOINED_MAX).len(), 1, "received");
        assert_eq!(sessions.ack_due(), Some(2 * ACK_JOINED_MAX), "not committed yet");
        assert_eq!(sessions.take_acks(2 * ACK_JOINED_MAX), [], "nothing has happened");
        sessions.on_committed(SessionId::new(2), Seq(1), 3 * ACK_JOINED_MAX);
        assert_eq!(sessions.take_acks(3 * ACK_JOINED_MAX)[0].committed, Seq(1));
        assert_eq!(sessions.ack_due(), None);
    }

    #[test]
    fn frames_that_come_rarely_are_acknowledged_without_a_later_one() {
        let acks = acknowledged(&mut sessions_at(AckPace::Joined), 10_000, 2);
        assert_eq!(acks, [(4000, 1), (14_000, 2)]);
    }

    #[test]
    fn no_acknowledgement_stands_for_more_than_a_part_of_the_window() {
        let acks = acknowledged(&mut sessions_at(AckPace::Joined), 10, 400);
        let (mut before, mut most) = (0, 0);
        for (_, committed) in &acks {
            most = most.max(committed - before);
            before = *committed;
        }
        assert!((u64::from(JOINED_FRAMES)..100).contains(&most), "{acks:?}");
    }

    #[test]
    fn what_came_by_a_stream_is_acknowledged_as_soon_as_it_is_committed() {
        let mut sessions = sessions_at(AckPace::Joined);
        for seq in 1..=2 {
            sessions.on_frame(frame(2, seq), Way::Live, at(0)).unwrap();
        }
        while sessions.next().is_some() {}
        sessions.on_committed(SessionId::new(2), Seq(1), at(200));
        assert_eq!(sessions.ack_due(), Some(ACK_JOINED_MAX));
        // The agent ends, and sends again what is not acknowledged.
        for seq in 1..=2 {
            let known = sessions.on_frame(frame(2, seq), Way::Stream, at(300));
            assert_eq!(known, Ok(Accepted::Duplicate));
        }
        assert_eq!(sessions.ack_due(), Some(at(300)), "the first is committed");
        sessions.take_acks(at(300));
        sessions.on_committed(SessionId::new(2), Seq(2), at(400));
        assert_eq!(sessions.ack_due(), Some(at(400)));
    }

    #[test]
    fn a_missing_live_frame_is_named_at_once_however_others_are_acknowledged() {
        let mut sessions = sessions_at(AckPace::Joined);
        sessions.on_frame(frame(2, 1), Way::Live, at(1000)).unwrap();
        while sessions.next().is_some() {}
        sessions.on_frame(frame(2, 3), Way::Live, at(1100)).unwrap();
        assert_eq!(sessions.ack_due(), Some(at(1100)));
    }

    #[test]
    fn what_is_committed_is_told_even_if_nothing_arrives() {
        let mut sessions = sessions();
        sessions.on_committed(SessionId::new(2), Seq(1), at(5));
        assert_eq!(sessions.take_acks(at(5)).len(), 1);
        sessions.on_committed(SessionId::new(7), Seq(1), at(6));
        assert_eq!(sessions.ack_due(), None);
    }

    #[test]
    fn what_no_honest_agent_sends_is_refused() {
        let mut sessions = sessions();
        let unknown = sessions.on_frame(frame(9, 1), Way::Stream, at(0));
        assert_eq!(unknown, Err(FrameRefused::UnknownSession(SessionId::new(9))));
        let across = Frame { last_seq: Seq(12), ..frame(1, 9) };
        assert!(matches!(
            sessions.on_frame(across, Way::Stream, at(0)),
            Err(FrameRefused::Overlap { .. })
        ));
    }

    #[test]
    fn what_waits_for_a_missing_frame_takes_bounded_memory_and_the_missing_one_frees_it() {
        let mut sessions = sessions();
        let empty = |seq| Frame { samples: vec![], ..frame(2, seq) };
        let live = (2..=1024).map(|seq| sessions.on_frame(empty(seq), Way::Live, at(0)));
        assert!(live.into_iter().all(|it| it == Ok(Accepted::Kept)), "an honest window");
        let long = |seq| Frame { samples: vec![Sample::default(); 1024], ..frame(1, seq) };
        let accepted: Vec<_> =
            (12..100).map(|seq| sessions.on_frame(long(seq), Way::Live, at(0))).collect();
        let kept = accepted.iter().filter(|it| **it == Ok(Accepted::Kept)).count();
        assert!((5..20).contains(&kept), "{kept} of 300 KiB each within 4 MiB");
        assert_eq!(accepted.last(), Some(&Ok(Accepted::Beyond)), "it is sent again");
        let refused = sessions.on_frame(long(101), Way::Stream, at(0));
        assert_eq!(refused, Err(FrameRefused::NoMemory), "it would not be sent again");
        // A frame in order is always accepted.
        assert_eq!(sessions.on_frame(long(11), Way::Stream, at(0)), Ok(Accepted::Kept));
        while sessions.next().is_some() {}
        assert_eq!(sessions.on_frame(long(101), Way::Stream, at(0)), Ok(Accepted::Kept));
    }

    #[test]
    fn what_all_clients_have_waiting_has_a_bound_of_its_own() {
        let state =
            SessionState { session: SessionId::new(2), seq: Seq(0), epoch: Epoch(1), digest: None };
        let mut sessions = Sessions::new(&[state], AckPace::Prompt, account(1000));
        let accepted: Vec<_> =
            (2..20).map(|seq| sessions.on_frame(frame(2, seq), Way::Live, at(0))).collect();
        assert_eq!(accepted.first(), Some(&Ok(Accepted::Kept)));
        assert_eq!(accepted.last(), Some(&Ok(Accepted::Beyond)));
    }
}
