//! What can happen in the model, and the bugs that can be planted in it.

use proptest::prelude::*;
use proptest::sample::Index;

/// A bug in the window's surroundings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    None,
    /// A collector acknowledges received records as committed.
    AckBeforeCommit,
    /// The database accepts a batch wherever the session is.
    CursorUnguarded,
    /// The agent forgets received records before they are committed.
    SpoolEntryRemoved,
    /// A full spool drops its oldest records without a gap.
    GapNotRecorded,
    /// The agent takes the records of another future for its own.
    ForkTakenForRepeat,
}

/// The possible events.
#[derive(Debug, Clone)]
pub enum Event {
    /// The agent makes a record.
    Make,
    /// The agent says that it makes no more, and may do so after all.
    Finish,
    /// The agent writes due records to a stream, each with at most this many numbers.
    Stream { record_len: u64 },
    /// The spool is full: its oldest records, this many numbers, become one gap.
    Overflow(u64),
    /// The spool forgets records that have been committed for long enough.
    Forget,
    /// One of the packets in flight to the collector arrives.
    Arrive(Index),
    /// One datagram is lost.
    Lose(Index),
    /// One datagram arrives, and will arrive again.
    Duplicate(Index),
    /// A collector sends at most this many records to the database: a batch is in flight.
    Begin { collector: usize, records: usize },
    /// The database accepts or refuses a collector's batch in flight, and reports it.
    Commit { collector: usize },
    /// The database accepts it or not, but the report is lost: the collector reads back.
    CommitUnknown { collector: usize, made: bool },
    /// The collector sends its progress: an answer is in flight.
    Ack,
    /// The oldest answer arrives.
    Hear,
    /// Time passes.
    Pass(u64),
    /// The connection is cut, and packets in flight are lost. The agent connects to a collector, which
    /// may still have a batch of the old connection in flight.
    Reconnect { collector: usize },
    /// A collector is killed; its batch may still reach the database.
    KillCollector { collector: usize, commits: bool },
    /// The agent is killed and starts again from its spool.
    KillAgent { collector: usize },
    /// A snapshot is taken of the agent's host.
    Snapshot,
    /// The host is set back to the snapshot, and the agent continues from there. Packets in flight are
    /// lost, and it sends on a connection that the collector no longer knows.
    Revert,
    /// The database falls back by at most this many records.
    FallBack { records: usize, collector: usize },
}

pub fn event() -> impl Strategy<Value = Event> {
    let index = any::<Index>;
    let collector = || 0..2_usize;
    prop_oneof![
        8 => Just(Event::Make),
        1 => Just(Event::Finish),
        6 => (1..6_u64).prop_map(|record_len| Event::Stream { record_len }),
        1 => (1..5_u64).prop_map(Event::Overflow),
        2 => Just(Event::Forget),
        12 => index().prop_map(Event::Arrive),
        3 => index().prop_map(Event::Lose),
        2 => index().prop_map(Event::Duplicate),
        5 => (collector(), 1..8_usize)
            .prop_map(|(collector, records)| Event::Begin { collector, records }),
        5 => collector().prop_map(|collector| Event::Commit { collector }),
        2 => (collector(), any::<bool>())
            .prop_map(|(collector, made)| Event::CommitUnknown { collector, made }),
        5 => Just(Event::Ack),
        6 => Just(Event::Hear),
        3 => (1..3000_u64).prop_map(Event::Pass),
        2 => collector().prop_map(|collector| Event::Reconnect { collector }),
        1 => (collector(), any::<bool>())
            .prop_map(|(collector, commits)| Event::KillCollector { collector, commits }),
        1 => collector().prop_map(|collector| Event::KillAgent { collector }),
        1 => Just(Event::Snapshot),
        1 => Just(Event::Revert),
        1 => (1..4_usize, collector())
            .prop_map(|(records, collector)| Event::FallBack { records, collector }),
    ]
}
