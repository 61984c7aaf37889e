//! A model of everything around the window: an agent with its spool, a channel that drops,
//! duplicates, reorders, delays and is cut, two collectors, and a database whose commits may be
//! of unknown outcome. Bugs can be planted in it, to see that they are found.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use wire::delivery::{Accepted, Receiver, Sender, WINDOW};
use wire::message::{Ack, SeqRange};

const RTT: Duration = Duration::from_millis(10);

/// Committed numbers that the spool keeps, in case the database falls back.
const KEPT: u64 = 4;

/// A mistake in what is around the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    None,
    /// A collector acknowledges as committed what it has only received.
    AckBeforeCommit,
    /// The database takes a batch wherever the session is.
    CursorUnguarded,
    /// The agent forgets what was received, and not only what is committed.
    SpoolEntryRemoved,
    /// A full spool drops its oldest records and says nothing.
    GapNotRecorded,
}

/// What may happen next.
#[derive(Debug, Clone)]
pub enum Event {
    /// The agent makes a record.
    Make,
    /// The agent writes what is due to a stream, in records of up to so many numbers.
    Stream { record_len: u64 },
    /// The spool is full: its oldest records, so many numbers, become one gap.
    Overflow(u64),
    /// The spool forgets what has been committed for long enough.
    Forget,
    /// One of what is under way to the collector arrives.
    Arrive(Index),
    /// One datagram is lost.
    Lose(Index),
    /// One datagram arrives, and will again.
    Duplicate(Index),
    /// A collector sends up to so many records to the database: the batch is under way.
    Begin { collector: usize, records: usize },
    /// The database takes or refuses the batch that a collector has under way, and says so.
    Commit { collector: usize },
    /// It takes it or not, and the collector isn't told: it reads back.
    CommitUnknown { collector: usize, made: bool },
    /// The collector tells how far it is; the answer is under way.
    Ack,
    /// The oldest answer arrives.
    Hear,
    /// Time passes.
    Pass(u64),
    /// The connection is cut: what is under way is lost. The agent connects to a collector, which
    /// may have a batch of the old connection under way still.
    Reconnect { collector: usize },
    /// A collector is killed; its batch may still reach the database.
    KillCollector { collector: usize, commits: bool },
    /// The agent is killed and starts again from its spool.
    KillAgent { collector: usize },
    /// The database falls back to an older state, by up to so many records.
    FallBack { records: usize, collector: usize },
}

pub fn event() -> impl Strategy<Value = Event> {
    let index = any::<Index>;
    let collector = || 0..2_usize;
    prop_oneof![
        8 => Just(Event::Make),
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
        1 => (1..4_usize, collector())
            .prop_map(|(records, collector)| Event::FallBack { records, collector }),
    ]
}

/// A record, with what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    range: SeqRange,
    gap: bool,
}

/// Something under way to the collector.
#[derive(Debug, Clone, Copy)]
struct UnderWay {
    record: Record,
    live: bool,
}

/// What a collector has sent to the database.
#[derive(Debug, Clone)]
struct Batch {
    epoch: u64,
    expected: u64,
    records: Vec<Record>,
}

impl Batch {
    fn last(&self) -> u64 {
        self.records.last().map_or(self.expected, |record| record.range.last)
    }
}

/// A collector as one opening of the session knows it.
#[derive(Debug, Default)]
struct Collector {
    epoch: u64,
    committed: u64,
    /// In order, and not sent to the database yet.
    queue: Vec<Record>,
    batch: Option<Batch>,
}

/// The database: survives everything.
#[derive(Debug, Default)]
struct Database {
    epoch: u64,
    committed: u64,
    tiles: Vec<Record>,
}

pub struct World {
    bug: Bug,
    now: Duration,
    sender: Sender,
    made: u64,
    /// What the spool holds, by first number; bounds of sent records stay.
    spool: BTreeMap<u64, Record>,
    /// First numbers of records that were sent since the last Welcome.
    sent: BTreeSet<u64>,
    /// Numbers that became gaps on purpose.
    overflowed: BTreeSet<u64>,
    under_way: Vec<UnderWay>,
    acks: Vec<Ack>,
    receiver: Receiver<Record>,
    /// To which collector the agent is connected.
    at: usize,
    collectors: [Collector; 2],
    database: Database,
    /// What went wrong.
    pub violation: Option<String>,
}

impl World {
    pub fn new(bug: Bug) -> Self {
        let mut world = Self {
            bug,
            now: Duration::ZERO,
            sender: Sender::new(0, 0),
            made: 0,
            spool: BTreeMap::new(),
            sent: BTreeSet::new(),
            overflowed: BTreeSet::new(),
            under_way: Vec::new(),
            acks: Vec::new(),
            receiver: Receiver::new(1, 0),
            at: 0,
            collectors: Default::default(),
            database: Database::default(),
            violation: None,
        };
        world.connect(0);
        world
    }

    fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    fn connect(&mut self, collector: usize) {
        self.under_way.clear();
        self.acks.clear();
        self.at = collector;
        self.database.epoch += 1;
        let Database { epoch, committed, .. } = self.database;
        // A batch of an earlier connection may be under way still.
        let batch = self.collectors[collector].batch.take();
        self.collectors[collector] = Collector { epoch, committed, queue: Vec::new(), batch };
        self.receiver = Receiver::new(1, committed);
        self.sender.on_disconnected();
        self.sender.on_connected(committed.min(self.made));
        self.sent.clear();
    }

    pub fn make(&mut self) {
        self.made += 1;
        let range = SeqRange { first: self.made, last: self.made };
        let record = Record { range, gap: false };
        self.spool.insert(self.made, record);
        if self.sender.on_made(self.now) {
            self.sent.insert(self.made);
            self.under_way.push(UnderWay { record, live: true });
        }
    }

    /// The record that begins with `first`, made of up to `len` numbers if it was never sent.
    fn record(&mut self, first: u64, len: u64) -> Option<Record> {
        let mut record = *self.spool.get(&first)?;
        while record.range.last < first + len - 1
            && !self.sent.contains(&first)
            && let Some(next) = self.spool.get(&(record.range.last + 1)).copied()
            && next.gap == record.gap
            && !self.sent.contains(&next.range.first)
        {
            self.spool.remove(&next.range.first);
            record.range.last = next.range.last;
        }
        self.spool.insert(first, record);
        self.sent.insert(first);
        Some(record)
    }

    pub fn stream(&mut self, record_len: u64) {
        while let Some(due) = self.sender.poll_stream() {
            let mut first = due.first;
            while first <= due.last {
                let record = match self.record(first, record_len) {
                    Some(record) => record,
                    // What isn't in the spool any more is skipped by who records no gaps.
                    None if self.bug == Bug::GapNotRecorded => {
                        match self.spool.range(first..).next() {
                            Some((_, next)) => *next,
                            None => break,
                        }
                    }
                    None => {
                        return self.violate(format!("{first} is neither stored nor in the spool"));
                    }
                };
                self.under_way.push(UnderWay { record, live: false });
                first = record.range.last + 1;
            }
            self.sender.on_streamed(due.first, first.max(due.first + 1) - 1);
            if first == due.first {
                return;
            }
        }
    }

    fn overflow(&mut self, count: u64) {
        let committed = self.sender.committed();
        let free: Vec<Record> = self
            .spool
            .range(committed + 1..)
            .map(|(_, record)| *record)
            .take_while(|record| !self.sent.contains(&record.range.first))
            .take(usize::try_from(count).unwrap())
            .collect();
        let Some((first, last)) = free.first().zip(free.last()) else { return };
        let range = SeqRange { first: first.range.first, last: last.range.last };
        for record in &free {
            self.spool.remove(&record.range.first);
        }
        self.overflowed.extend(range.first..=range.last);
        if self.bug != Bug::GapNotRecorded {
            self.spool.insert(range.first, Record { range, gap: true });
        }
    }

    fn forget(&mut self) {
        let safe = self.sender.committed().saturating_sub(KEPT);
        let safe =
            if self.bug == Bug::SpoolEntryRemoved { self.receiver.ack().received } else { safe };
        self.spool.retain(|_, record| record.range.last > safe);
    }

    fn arrive(&mut self, record: Record) {
        if self.receiver.accept(record.range, record) == Accepted::Overlap {
            return self.violate(format!("{record:?} overlaps"));
        }
        while let Some(record) = self.receiver.pop() {
            self.collectors[self.at].queue.push(record);
        }
        if self.bug == Bug::AckBeforeCommit {
            self.receiver.on_committed(self.receiver.ack().received);
        }
        if self.receiver.waiting() as u64 > WINDOW {
            self.violate(format!("{} records wait", self.receiver.waiting()));
        }
    }

    fn begin(&mut self, collector: usize, records: usize) {
        let Collector { epoch, committed, queue, batch } = &mut self.collectors[collector];
        if batch.is_none() && !queue.is_empty() {
            let records: Vec<Record> = queue.drain(..records.min(queue.len())).collect();
            *batch = Some(Batch { epoch: *epoch, expected: *committed, records });
        }
    }

    /// The database decides on a batch: true if it took it.
    fn decide(&mut self, batch: &Batch) -> bool {
        let guarded = self.bug != Bug::CursorUnguarded;
        let Database { epoch, committed, tiles } = &mut self.database;
        if guarded && (batch.epoch, batch.expected) != (*epoch, *committed) {
            return false;
        }
        tiles.extend(&batch.records);
        *committed = batch.last();
        true
    }

    /// A collector knows what became of its batch.
    fn settled(&mut self, collector: usize, batch: &Batch, made: bool) {
        if self.collectors[collector].epoch != batch.epoch {
            return;
        }
        if made {
            self.collectors[collector].committed = batch.last();
            if self.at == collector {
                self.receiver.on_committed(batch.last());
            }
        } else {
            // Fenced: another opening has the session. Its agent will come again.
            self.collectors[collector].queue.clear();
            if self.at == collector {
                self.connect(collector);
            }
        }
    }

    fn commit(&mut self, collector: usize) {
        if let Some(batch) = self.collectors[collector].batch.take() {
            let made = self.decide(&batch);
            self.settled(collector, &batch, made);
        }
    }

    fn commit_unknown(&mut self, collector: usize, made: bool) {
        let Some(batch) = self.collectors[collector].batch.take() else { return };
        if made {
            self.decide(&batch);
        }
        let Database { epoch, committed, .. } = self.database;
        // Read back: it is done, still to be done, or another's.
        if (epoch, committed) == (batch.epoch, batch.last()) {
            self.settled(collector, &batch, true);
        } else if (epoch, committed) == (batch.epoch, batch.expected) {
            self.collectors[collector].batch = Some(batch);
        } else {
            self.settled(collector, &batch, false);
        }
    }

    fn fall_back(&mut self, records: usize) {
        let floor = self.database.committed.saturating_sub(KEPT / 2);
        // No further than the spool keeps: past that, a gap says so.
        let kept = self.spool.keys().next().map_or(u64::MAX, |first| first - 1);
        for _ in 0..records {
            let Some(tile) = self.database.tiles.last().copied() else { return };
            if tile.range.first - 1 < floor.max(kept) {
                return;
            }
            self.database.tiles.pop();
            self.database.committed = tile.range.first - 1;
        }
    }

    fn ack(&mut self) {
        let (ack, committed) = (self.receiver.ack(), self.database.committed);
        if ack.committed > committed && self.bug != Bug::AckBeforeCommit {
            self.violate(format!("{ack:?}, but the database has {committed}"));
        }
        self.acks.push(ack);
    }

    fn hear(&mut self) {
        if self.acks.is_empty() {
            return;
        }
        let ack = self.acks.remove(0);
        self.sender.on_ack(&ack, self.now, RTT);
        if self.sender.under_way() as u64 > WINDOW {
            self.violate(format!("{} numbers under way", self.sender.under_way()));
        }
    }

    pub fn on(&mut self, event: &Event) {
        match *event {
            Event::Make => self.make(),
            Event::Stream { record_len } => self.stream(record_len),
            Event::Overflow(count) => self.overflow(count),
            Event::Forget => self.forget(),
            Event::Arrive(index) => {
                if !self.under_way.is_empty() {
                    let it = self.under_way.swap_remove(index.index(self.under_way.len()));
                    self.arrive(it.record);
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
                    self.arrive(self.under_way[index.index(self.under_way.len())].record);
                }
            }
            Event::Begin { collector, records } => self.begin(collector, records),
            Event::Commit { collector } => self.commit(collector),
            Event::CommitUnknown { collector, made } => self.commit_unknown(collector, made),
            Event::Ack => self.ack(),
            Event::Hear => self.hear(),
            Event::Pass(ms) => {
                self.now += Duration::from_millis(ms);
                self.sender.on_time(self.now, RTT);
            }
            Event::Reconnect { collector } => self.connect(collector),
            Event::KillCollector { collector, commits } => {
                if let Some(batch) = self.collectors[collector].batch.take()
                    && commits
                {
                    self.decide(&batch);
                }
                self.collectors[collector].queue.clear();
                if self.at == collector {
                    self.connect(collector);
                }
            }
            Event::KillAgent { collector } => {
                self.sender = Sender::new(self.sender.committed(), self.made);
                self.connect(collector);
            }
            Event::FallBack { records, collector } => {
                self.fall_back(records);
                // It was another server: every connection to the old one is broken, and what was
                // under way to it is lost.
                self.collectors = Default::default();
                self.connect(collector);
            }
        }
    }

    /// Everything under way arrives.
    pub fn arrive_all(&mut self) {
        for it in std::mem::take(&mut self.under_way) {
            self.arrive(it.record);
        }
    }

    /// True once the database has all that was made.
    pub fn is_committed(&self) -> bool {
        self.database.committed == self.made
    }

    /// From now on the channel is fair, and nothing breaks.
    pub fn settle(&mut self) {
        for _ in 0..1000 {
            if self.violation.is_some() {
                return;
            }
            if self.database.committed == self.made && self.sender.is_done() {
                return self.check();
            }
            self.stream(3);
            self.arrive_all();
            for collector in 0..2 {
                self.begin(collector, usize::MAX);
                self.commit(collector);
            }
            self.now += RTT;
            self.ack();
            while !self.acks.is_empty() {
                self.hear();
            }
            self.now += Duration::from_millis(500);
            self.sender.on_time(self.now, RTT);
        }
        let Database { committed, .. } = self.database;
        self.violate(format!("no progress: {committed} of {}, {:?}", self.made, self.sender));
    }

    /// Every number made is in the database once, and those lost are in gaps.
    fn check(&mut self) {
        let mut next = 1;
        for tile in self.database.tiles.clone() {
            let SeqRange { first, last } = tile.range;
            if first != next {
                return self.violate(format!("{next} follows, but the database has {tile:?}"));
            }
            if let Some(lost) = (first..=last).find(|n| self.overflowed.contains(n) && !tile.gap) {
                return self.violate(format!("{lost} is stored though it was given up"));
            }
            if let Some(lost) = (first..=last).find(|n| tile.gap && !self.overflowed.contains(n)) {
                return self.violate(format!("{lost} is a gap without a reason"));
            }
            next = last + 1;
        }
        if next != self.made + 1 {
            self.violate(format!("{next} is missing of {}", self.made));
        }
    }
}
