//! The agent's end of the window: which records of a session to send, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::window::{AckPace, WINDOW};
use crate::message::{Ack, SeqRange};
use crate::seq::Seq;

/// Decides what to send of one session over consecutive connections.
///
/// Times are durations since any fixed start.
#[derive(Debug)]
pub struct Sender {
    /// The database has everything up to here.
    committed: Seq,
    /// The receiver has everything up to here.
    received: Seq,
    /// Newest number made.
    last: Seq,
    connection: Option<Connection>,
}

/// The records that one connection was given.
#[derive(Debug)]
struct Connection {
    /// Highest number sent, or reported as committed at the start.
    given: Seq,
    /// Next number of the backlog, which goes over the stream.
    next: Seq,
    /// The backlog ends before this number. From here on everything was sent live while the receiver
    /// had room for it.
    live_from: Option<Seq>,
    /// Sent live and not yet acknowledged, with the time of sending.
    live: BTreeMap<Seq, Duration>,
    /// Lost on the way, to be sent over the stream.
    lost: BTreeSet<Seq>,
    pace: AckPace,
}

impl Sender {
    /// A session whose numbers `committed + 1 ..= last` are kept for delivery.
    #[must_use]
    pub const fn new(committed: Seq, last: Seq) -> Self {
        Self { committed, received: committed, last, connection: None }
    }

    /// The collector has welcomed the agent and reported the database's commit. A number never made
    /// here is ignored. `pace` is that of its acknowledgements.
    pub fn on_connected(&mut self, committed: Seq, pace: AckPace) {
        let committed = committed.min(self.last);
        self.committed = committed;
        self.received = committed;
        self.connection = Some(Connection {
            given: committed,
            next: committed + 1,
            live_from: None,
            live: BTreeMap::new(),
            lost: BTreeSet::new(),
            pace,
        });
    }

    /// The connection is gone.
    pub fn on_disconnected(&mut self) {
        self.connection = None;
    }

    /// The next number was made at `now`. Returns true if its record should be sent live.
    pub fn on_made(&mut self, now: Duration) -> bool {
        self.last += 1;
        let Some(connection) = &mut self.connection else { return false };
        connection.given = self.last;
        if self.last <= self.received + WINDOW {
            connection.live_from.get_or_insert(self.last);
            connection.live.insert(self.last, now);
        } else {
            // Shown live, but the receiver may have no room to keep it: the backlog delivers it.
            connection.live_from = None;
        }
        true
    }

    /// Everything up to `last` was made but not sent live: the backlog delivers it.
    pub fn on_kept(&mut self, last: Seq) {
        if last > self.last {
            self.last = last;
            if let Some(connection) = &mut self.connection {
                connection.live_from = None;
            }
        }
    }

    /// Nothing more is made. Where acknowledgements of live records may wait for more of them, the
    /// unacknowledged ones go over the stream too, of which commits are acknowledged at once.
    pub fn on_finished(&mut self) {
        if let Some(connection) = &mut self.connection
            && connection.pace == AckPace::Joined
        {
            let unacknowledged = connection.live.keys().copied().collect();
            connection.lose(unacknowledged);
        }
    }

    /// A live record doesn't fit a datagram, so it goes over the stream.
    pub fn on_too_long_for_live(&mut self, seq: Seq) {
        if let Some(connection) = &mut self.connection
            && connection.live.remove(&seq).is_some()
        {
            connection.lost.insert(seq);
        }
    }

    /// The collector has reported its progress. Acknowledged numbers that were never sent are ignored:
    /// they are kept and sent. `rtt` is the connection's round-trip time.
    pub fn on_ack(&mut self, ack: &Ack, now: Duration, rtt: Duration) {
        let Some(connection) = &mut self.connection else { return };
        self.committed = self.committed.max(ack.committed.min(connection.given));
        self.received = self.received.max(ack.received.min(connection.given)).max(self.committed);
        connection.next = connection.next.max(self.received + 1);
        connection.live = connection.live.split_off(&(self.received + 1));
        connection.lost = connection.lost.split_off(&(self.received + 1));
        for range in ack.missing.iter().filter(|range| range.first <= range.last) {
            let lost = connection.live.range(range.first..=range.last);
            // A record younger than a round trip may still have been on its way.
            let lost: Vec<Seq> =
                lost.filter(|(_, sent)| now >= **sent + rtt).map(|(&seq, _)| seq).collect();
            connection.lose(lost);
        }
    }

    /// What to send over the stream next: first lost records, then the backlog, as far as the receiver
    /// has room. [`Sender::on_streamed`] must follow.
    #[must_use]
    pub fn poll_stream(&self) -> Option<SeqRange> {
        let connection = self.connection.as_ref()?;
        if let Some(&first) = connection.lost.first() {
            let run = connection.lost.iter().zip(0..).take_while(|&(&seq, n)| seq == first + n);
            return Some(SeqRange { first, last: first + run.count() as u64 - 1 });
        }
        let end = connection.live_from.map_or(self.last, |live| live - 1);
        let last = end.min(self.received + WINDOW);
        (connection.next <= last).then_some(SeqRange { first: connection.next, last })
    }

    /// Everything from the first number of [`Sender::poll_stream`] up to `last` was written to a
    /// stream.
    pub fn on_streamed(&mut self, first: Seq, last: Seq) {
        let Some(connection) = &mut self.connection else { return };
        connection.lost.retain(|seq| !(first..=last).contains(seq));
        connection.given = connection.given.max(last.min(self.last));
        if (first..=last).contains(&connection.next) {
            connection.next = last + 1;
        }
    }

    /// Repeats live records that are unacknowledged for too long.
    pub fn on_time(&mut self, now: Duration, rtt: Duration) {
        let Some(connection) = &mut self.connection else { return };
        let timeout = connection.pace.timeout(rtt);
        let live = connection.live.iter();
        let lost = live.filter(|(_, sent)| now >= **sent + timeout).map(|(&seq, _)| seq).collect();
        connection.lose(lost);
    }

    /// When [`Sender::on_time`] is due, if nothing else happens.
    #[must_use]
    pub fn deadline(&self, rtt: Duration) -> Option<Duration> {
        let connection = self.connection.as_ref()?;
        let oldest = connection.live.values().min()?;
        Some(*oldest + connection.pace.timeout(rtt))
    }

    /// The database has everything up to here.
    #[must_use]
    pub const fn committed(&self) -> Seq {
        self.committed
    }

    /// Newest number made.
    #[must_use]
    pub const fn last(&self) -> Seq {
        self.last
    }

    /// Number of live records neither acknowledged nor lost: at most [`WINDOW`].
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.connection.as_ref().map_or(0, |it| it.live.len() + it.lost.len())
    }

    /// True once the database has everything made.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.committed >= self.last
    }
}

impl Connection {
    /// Marks live records as lost.
    fn lose(&mut self, lost: Vec<Seq>) {
        for seq in lost {
            self.live.remove(&seq);
            self.lost.insert(seq);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::window::ACK_JOINED_MAX;
    use super::*;
    use crate::id::SessionId;

    const RTT: Duration = Duration::from_millis(20);

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    const fn range(first: u64, last: u64) -> SeqRange {
        SeqRange { first: Seq(first), last: Seq(last) }
    }

    fn ack(received: u64, missing: &[SeqRange]) -> Ack {
        Ack {
            session: SessionId::new(1),
            committed: Seq(0),
            received: Seq(received),
            missing: missing.to_vec(),
        }
    }

    #[test]
    fn the_backlog_goes_by_stream_and_what_is_made_goes_live() {
        let mut sender = Sender::new(Seq(0), Seq(5));
        assert!(!sender.on_made(at(0)), "not connected");
        sender.on_connected(Seq(2), AckPace::Prompt);
        assert!(sender.on_made(at(1)));
        assert_eq!(sender.poll_stream(), Some(range(3, 6)));
        sender.on_streamed(Seq(3), Seq(6));
        assert_eq!(sender.poll_stream(), None);
    }

    #[test]
    fn a_missing_live_record_is_sent_again_once_a_round_trip_has_passed() {
        let mut sender = Sender::new(Seq(0), Seq(0));
        sender.on_connected(Seq(0), AckPace::Prompt);
        for _ in 0..3 {
            sender.on_made(at(100));
        }
        sender.on_ack(&ack(1, &[range(2, 2)]), at(110), RTT);
        assert_eq!(sender.poll_stream(), None, "it may still be under way");
        sender.on_ack(&ack(1, &[range(2, 2)]), at(125), RTT);
        assert_eq!(sender.poll_stream(), Some(range(2, 2)));
        sender.on_streamed(Seq(2), Seq(2));
        sender.on_ack(&ack(1, &[range(2, 2)]), at(500), RTT);
        assert_eq!(sender.poll_stream(), None, "a stream loses nothing");
    }

    #[test]
    fn a_lost_last_record_is_sent_again_after_the_timeout() {
        let mut sender = Sender::new(Seq(0), Seq(0));
        sender.on_connected(Seq(0), AckPace::Prompt);
        sender.on_made(at(0));
        assert_eq!(sender.deadline(RTT), Some(at(1000)));
        sender.on_time(at(999), RTT);
        assert_eq!(sender.poll_stream(), None);
        sender.on_time(at(1000), RTT);
        assert_eq!(sender.poll_stream(), Some(range(1, 1)));
    }

    #[test]
    fn a_live_record_is_given_the_time_that_a_joined_acknowledgement_takes() {
        let mut sender = Sender::new(Seq(0), Seq(0));
        sender.on_connected(Seq(0), AckPace::Joined);
        sender.on_made(at(0));
        let timeout = ACK_JOINED_MAX + at(1000);
        assert_eq!(sender.deadline(RTT), Some(timeout));
        sender.on_time(timeout - at(1), RTT);
        assert_eq!(sender.poll_stream(), None);
        sender.on_time(timeout, RTT);
        assert_eq!(sender.poll_stream(), Some(range(1, 1)));
    }

    #[test]
    fn at_the_end_what_waits_for_a_joined_acknowledgement_goes_by_stream() {
        for (pace, sent) in [(AckPace::Joined, Some(range(2, 3))), (AckPace::Prompt, None)] {
            let mut sender = Sender::new(Seq(0), Seq(0));
            sender.on_connected(Seq(0), pace);
            for _ in 0..3 {
                sender.on_made(at(100));
            }
            sender.on_ack(&ack(1, &[]), at(150), RTT);
            sender.on_finished();
            assert_eq!(sender.poll_stream(), sent, "{pace:?}");
        }
    }

    #[test]
    fn no_more_is_under_way_than_the_receiver_has_room_for() {
        let mut sender = Sender::new(Seq(0), Seq(3 * WINDOW));
        sender.on_connected(Seq(0), AckPace::Prompt);
        assert_eq!(sender.poll_stream(), Some(range(1, WINDOW)));
        sender.on_streamed(Seq(1), Seq(WINDOW));
        assert_eq!(sender.poll_stream(), None);
        sender.on_made(at(0));
        sender.on_ack(&ack(WINDOW, &[]), at(1), RTT);
        assert_eq!(sender.poll_stream(), Some(range(WINDOW + 1, 2 * WINDOW)));
        sender.on_streamed(Seq(WINDOW + 1), Seq(2 * WINDOW));
        sender.on_ack(&ack(2 * WINDOW, &[]), at(2), RTT);
        let rest = sender.poll_stream();
        assert_eq!(rest, Some(range(2 * WINDOW + 1, 3 * WINDOW)), "the one sent live lies beyond");
        sender.on_streamed(Seq(2 * WINDOW + 1), Seq(3 * WINDOW));
        sender.on_ack(&ack(3 * WINDOW, &[]), at(3), RTT);
        assert_eq!(sender.poll_stream(), Some(range(3 * WINDOW + 1, 3 * WINDOW + 1)));
    }

    #[test]
    fn a_record_that_spans_several_numbers_moves_the_backlog_past_them() {
        let mut sender = Sender::new(Seq(0), Seq(20));
        sender.on_connected(Seq(0), AckPace::Prompt);
        sender.on_streamed(Seq(1), Seq(12));
        assert_eq!(sender.poll_stream(), Some(range(13, 20)));
    }

    #[test]
    fn what_was_made_and_not_sent_live_joins_the_backlog() {
        let mut sender = Sender::new(Seq(0), Seq(0));
        sender.on_connected(Seq(0), AckPace::Prompt);
        sender.on_made(at(0));
        sender.on_kept(Seq(5));
        sender.on_made(at(1));
        assert_eq!(sender.poll_stream(), Some(range(1, 5)));
    }

    #[test]
    fn a_collector_that_claims_more_than_it_was_sent_is_not_believed() {
        let mut sender = Sender::new(Seq(0), Seq(5));
        sender.on_connected(Seq(u64::MAX), AckPace::Prompt);
        assert_eq!((sender.committed(), sender.last()), (Seq(5), Seq(5)), "more than was made");
        let mut sender = Sender::new(Seq(0), Seq(5));
        sender.on_connected(Seq(0), AckPace::Prompt);
        sender.on_streamed(Seq(1), Seq(3));
        sender.on_ack(
            &Ack {
                session: SessionId::new(1),
                committed: Seq(99),
                received: Seq(99),
                missing: vec![],
            },
            at(0),
            RTT,
        );
        assert_eq!((sender.committed(), sender.last()), (Seq(3), Seq(5)));
        assert_eq!(sender.poll_stream(), Some(range(4, 5)));
    }
}
