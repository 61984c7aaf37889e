//! Sender against receiver over a channel that drops, duplicates, reorders and cuts, with both
//! ends restarting at any moment: every record gets into the store exactly once.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use proptest::prelude::*;
use wire::delivery::{Accepted, Receiver, Sender, WINDOW};
use wire::message::{Ack, SeqRange};

const RTT: Duration = Duration::from_millis(10);

/// What may happen next.
#[derive(Debug, Clone)]
enum Event {
    /// The agent makes a record.
    Make,
    /// The agent writes what is due to a stream, in records of up to so many numbers.
    Stream { record_len: u64 },
    /// One of what is under way arrives.
    Arrive(prop::sample::Index),
    /// A datagram is lost.
    Lose(prop::sample::Index),
    /// A datagram arrives twice.
    Duplicate(prop::sample::Index),
    /// The collector commits up to so many records.
    Commit(usize),
    /// The collector tells how far it is.
    Ack,
    /// Time passes.
    Pass(u64),
    /// The connection is cut: what is under way is lost.
    Cut,
    /// The collector is killed and starts again: what isn't committed is forgotten.
    KillCollector,
    /// The agent's connection task starts again from the spool.
    KillAgent,
}

fn event() -> impl Strategy<Value = Event> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        8 => Just(Event::Make),
        6 => (1..6_u64).prop_map(|record_len| Event::Stream { record_len }),
        12 => index().prop_map(Event::Arrive),
        3 => index().prop_map(Event::Lose),
        2 => index().prop_map(Event::Duplicate),
        4 => (0..8_usize).prop_map(Event::Commit),
        5 => Just(Event::Ack),
        3 => (1..3000_u64).prop_map(Event::Pass),
        1 => Just(Event::Cut),
        1 => Just(Event::KillCollector),
        1 => Just(Event::KillAgent),
    ]
}

/// Something under way to the collector.
#[derive(Debug, Clone, Copy)]
struct UnderWay {
    range: SeqRange,
    live: bool,
}

struct World {
    now: Duration,
    /// Agent.
    sender: Sender,
    acked: u64,
    made: u64,
    /// Numbers that were ever put into one record, so that a re-send has the same bounds.
    records: Vec<SeqRange>,
    under_way: Vec<UnderWay>,
    /// Collector.
    receiver: Option<Receiver<SeqRange>>,
    queue: Vec<SeqRange>,
    /// Store: survives everything.
    committed: u64,
    tiles: Vec<SeqRange>,
}

impl World {
    fn new() -> Self {
        Self {
            now: Duration::ZERO,
            sender: Sender::new(0, 0),
            acked: 0,
            made: 0,
            records: Vec::new(),
            under_way: Vec::new(),
            receiver: None,
            queue: Vec::new(),
            committed: 0,
            tiles: Vec::new(),
        }
    }

    fn connect(&mut self) {
        self.under_way.clear();
        self.receiver = Some(Receiver::new(1, self.committed));
        self.queue.clear();
        self.sender.on_connected(self.committed);
    }

    fn cut(&mut self) {
        self.under_way.clear();
        self.receiver = None;
        self.queue.clear();
        self.sender.on_disconnected();
    }

    fn make(&mut self) {
        self.made += 1;
        if self.sender.on_made(self.now) {
            let range = SeqRange { first: self.made, last: self.made };
            self.records.push(range);
            self.under_way.push(UnderWay { range, live: true });
        }
    }

    /// The record that holds `seq`, made of up to `len` numbers if there is none yet.
    fn record(&mut self, seq: u64, last: u64, len: u64) -> SeqRange {
        if let Some(known) = self.records.iter().find(|r| (r.first..=r.last).contains(&seq)) {
            return *known;
        }
        let next = self.records.iter().map(|r| r.first).filter(|first| *first > seq).min();
        let last = (seq + len - 1).min(last).min(next.unwrap_or(u64::MAX) - 1);
        let range = SeqRange { first: seq, last };
        self.records.push(range);
        range
    }

    fn stream(&mut self, record_len: u64) {
        while let Some(due) = self.sender.poll_stream() {
            let mut first = due.first;
            while first <= due.last {
                let range = self.record(first, due.last, record_len);
                self.under_way.push(UnderWay { range, live: false });
                first = range.last + 1;
            }
            self.sender.on_streamed(due.first, first - 1);
        }
    }

    fn arrive(&mut self, range: SeqRange) {
        let Some(receiver) = &mut self.receiver else { return };
        let accepted = receiver.accept(range, range);
        assert_ne!(accepted, Accepted::Overlap, "{range:?}");
        while let Some(record) = receiver.pop() {
            self.queue.push(record);
        }
    }

    fn commit(&mut self, count: usize) {
        let count = count.min(self.queue.len());
        for tile in self.queue.drain(..count) {
            assert_eq!(tile.first, self.committed + 1, "the guarded update would refuse this");
            self.committed = tile.last;
            self.tiles.push(tile);
        }
        if let Some(receiver) = &mut self.receiver {
            receiver.on_committed(self.committed);
        }
    }

    fn ack(&mut self) {
        let Some(receiver) = &self.receiver else { return };
        let ack: Ack = receiver.ack();
        self.sender.on_ack(&ack, self.now, RTT);
        self.acked = self.sender.committed();
    }

    fn on(&mut self, event: &Event) {
        match event {
            Event::Make => self.make(),
            Event::Stream { record_len } => self.stream(*record_len),
            Event::Arrive(index) => {
                if !self.under_way.is_empty() {
                    let it = self.under_way.swap_remove(index.index(self.under_way.len()));
                    self.arrive(it.range);
                }
            }
            Event::Lose(index) => {
                let live: Vec<usize> =
                    (0..self.under_way.len()).filter(|&n| self.under_way[n].live).collect();
                if !live.is_empty() {
                    self.under_way.swap_remove(live[index.index(live.len())]);
                }
            }
            Event::Duplicate(index) => {
                if !self.under_way.is_empty() {
                    self.arrive(self.under_way[index.index(self.under_way.len())].range);
                }
            }
            Event::Commit(count) => self.commit(*count),
            Event::Ack => self.ack(),
            Event::Pass(ms) => {
                self.now += Duration::from_millis(*ms);
                self.sender.on_time(self.now, RTT);
            }
            Event::Cut | Event::KillCollector => {
                self.cut();
                self.connect();
            }
            Event::KillAgent => {
                self.cut();
                self.sender = Sender::new(self.acked, self.made);
                self.connect();
            }
        }
    }

    /// The channel is fair from now on: how many rounds until all is committed?
    fn settle(&mut self) -> usize {
        for round in 0..1000 {
            if self.committed == self.made && self.sender.is_done() {
                return round;
            }
            self.stream(3);
            for it in std::mem::take(&mut self.under_way) {
                self.arrive(it.range);
            }
            self.commit(usize::MAX);
            self.now += RTT;
            self.ack();
            self.now += Duration::from_millis(500);
            self.sender.on_time(self.now, RTT);
        }
        panic!("no progress: committed {} of {}, {:?}", self.committed, self.made, self.sender);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn every_record_is_committed_exactly_once(
        events in prop::collection::vec(event(), 0..300),
    ) {
        let mut world = World::new();
        world.connect();
        for event in &events {
            world.on(event);
        }
        world.settle();
        let mut next = 1;
        for tile in &world.tiles {
            prop_assert_eq!(tile.first, next);
            next = tile.last + 1;
        }
        prop_assert_eq!(next, world.made + 1);
    }
}

#[test]
fn a_backlog_of_many_windows_drains_while_new_records_are_made() {
    let mut world = World::new();
    for _ in 0..20 * WINDOW {
        world.make();
    }
    world.connect();
    for _ in 0..50 {
        world.make();
        world.stream(1);
        for it in std::mem::take(&mut world.under_way) {
            world.arrive(it.range);
        }
        world.commit(usize::MAX);
        world.now += RTT;
        world.ack();
    }
    assert_eq!(world.committed, world.made, "one window per round trip, and all that is new");
}
