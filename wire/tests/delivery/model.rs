//! A model of the window's surroundings: an agent with its spool, whose host may be set back to a
//! snapshot; a channel that drops, duplicates, reorders, delays and is cut; two collectors; and a
//! database whose commits may have unknown outcomes. Bugs can be planted, to prove that they are found.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use wire::Seq;
use wire::delivery::{Accepted, Own, Receiver, Sender, StoredProgress, WINDOW, Written, is_fork};
use wire::id::SessionId;
use wire::message::{Ack, SeqRange};

const RTT: Duration = Duration::from_millis(10);

/// Committed numbers that the spool keeps in case the database falls back.
const KEPT: u64 = 4;

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

/// A record and its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    range: SeqRange,
    gap: bool,
    /// Its measurements: numbers that are unique over all futures.
    measured: Rc<[u64]>,
}

impl Record {
    /// Distinguishes it from all others.
    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.range.first, self.range.last, self.gap, &self.measured).hash(&mut hasher);
        hasher.finish()
    }
}

/// A packet in flight to the collector.
#[derive(Debug, Clone)]
struct UnderWay {
    record: Record,
    live: bool,
}

/// A batch that a collector has sent to the database.
#[derive(Debug, Clone)]
struct Batch {
    session: usize,
    epoch: u64,
    expected: Seq,
    records: Vec<Record>,
}

impl Batch {
    fn last(&self) -> Seq {
        self.records.last().map_or(self.expected, |record| record.range.last)
    }
}

/// A collector's state for one opening of the session.
#[derive(Debug, Default)]
struct Collector {
    session: usize,
    epoch: u64,
    committed: Seq,
    /// Sorted records, not yet sent to the database.
    queue: Vec<Record>,
    batch: Option<Batch>,
}

/// The database's state of a session: it survives everything.
#[derive(Debug, Default)]
struct Database {
    /// The number of the opening, counted over all sessions.
    epoch: u64,
    committed: Seq,
    tiles: Vec<Record>,
}

/// The agent, as a snapshot saves it.
#[derive(Debug)]
struct Agent {
    sender: Sender,
    /// Its newest number.
    made: Seq,
    /// Its measurements, including those of the future that it continues.
    measured: BTreeSet<u64>,
    /// The spool's records, by first number; the bounds of sent records stay.
    spool: BTreeMap<Seq, Record>,
    /// First numbers of records that were sent since the last Welcome.
    sent: BTreeSet<Seq>,
    /// The session that it delivers.
    session: usize,
    /// Everything up to here was sent.
    reached: Seq,
}

pub struct World {
    bug: Bug,
    now: Duration,
    agent: Agent,
    snapshot: Option<Agent>,
    /// True if a host was set back.
    reverted: bool,
    /// The agent was set back and hasn't noticed: nobody receives what it sends.
    unheard: bool,
    /// Number of measurements in all futures.
    measured: u64,
    /// Measurements that became gaps on purpose.
    overflowed: BTreeSet<u64>,
    /// Measurements that became gaps because two futures may have them.
    disputed: BTreeSet<u64>,
    under_way: Vec<UnderWay>,
    acks: Vec<Ack>,
    receiver: Receiver<Record>,
    /// The collector to which the agent is connected.
    at: usize,
    collectors: [Collector; 2],
    /// State by session.
    databases: Vec<Database>,
    /// Openings over all sessions.
    openings: u64,
    /// The first violation.
    pub violation: Option<String>,
}

impl World {
    pub fn new(bug: Bug) -> Self {
        let agent = Agent {
            sender: Sender::new(Seq(0), Seq(0)),
            made: Seq(0),
            measured: BTreeSet::new(),
            spool: BTreeMap::new(),
            sent: BTreeSet::new(),
            session: 0,
            reached: Seq(0),
        };
        let mut world = Self {
            bug,
            now: Duration::ZERO,
            agent,
            snapshot: None,
            reverted: false,
            unheard: false,
            measured: 0,
            overflowed: BTreeSet::new(),
            disputed: BTreeSet::new(),
            under_way: Vec::new(),
            acks: Vec::new(),
            receiver: Receiver::new(SessionId::new(1), Seq(0)),
            at: 0,
            collectors: Default::default(),
            databases: vec![Database::default()],
            openings: 0,
            violation: None,
        };
        world.connect(0);
        world
    }

    fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    /// The database's state of the agent's session.
    fn database(&self) -> &Database {
        &self.databases[self.agent.session]
    }

    fn connect(&mut self, collector: usize) {
        self.under_way.clear();
        self.acks.clear();
        self.unheard = false;
        self.at = collector;
        self.agent.sender.on_disconnected();
        let told = self.open();
        if self.bug != Bug::ForkTakenForRepeat && is_fork(&self.own(told), told) {
            self.fork(told);
            self.open();
        }
        let session = self.agent.session;
        let Database { epoch, committed, .. } = self.databases[session];
        // A batch of an earlier connection may still be in flight.
        let batch = self.collectors[collector].batch.take();
        self.collectors[collector] =
            Collector { session, epoch, committed, queue: Vec::new(), batch };
        self.receiver = Receiver::new(SessionId::new(1), committed);
        self.agent.sender.on_connected(committed.min(self.agent.made));
        self.agent.sent.clear();
    }

    /// Opens the agent's session. Returns the collector's report on it.
    fn open(&mut self) -> StoredProgress {
        self.openings += 1;
        let session = self.agent.session;
        let database = &mut self.databases[session];
        database.epoch = self.openings;
        let digest = database.tiles.last().map(Record::digest);
        StoredProgress { session: SessionId::new(session as u64), seq: database.committed, digest }
    }

    /// The agent's knowledge of its session.
    fn own(&self, told: StoredProgress) -> Own {
        let Agent { sender, made, spool, sent, reached, .. } = &self.agent;
        let (committed, mut reached) = (sender.committed(), *reached);
        reached = reached.max(committed);
        while let Some(record) =
            spool.get(&(reached + 1)).filter(|it| sent.contains(&it.range.first))
        {
            reached = record.range.last;
        }
        let told = match spool.range(..=told.seq).next_back() {
            Some((_, record)) if record.range.last == told.seq => Written::Ends(record.digest()),
            Some((_, record)) if record.range.last > told.seq => Written::GoesOn,
            _ => Written::Nothing,
        };
        Own { committed, sent: reached, last: *made, whole: true, told }
    }

    /// The session continues under another id, as in the agent's spool.
    fn fork(&mut self, told: StoredProgress) {
        let agent = &mut self.agent;
        let agreed = agent.sender.committed().min(told.seq);
        let told = told.seq.clamp(agreed, agent.made);
        let last = agent.spool.range(..=told).next_back().map_or(Seq(0), |(_, it)| it.range.last);
        let last = last.max(told);
        let numbers = (last - agreed).max(1);
        let lowered = last.get().saturating_sub(numbers);
        let mut spool = BTreeMap::new();
        let mut disputed = Vec::new();
        for record in std::mem::take(&mut agent.spool).into_values() {
            let SeqRange { first, last: end } = record.range;
            if first > last {
                let range = SeqRange { first: first - lowered, last: end - lowered };
                spool.insert(range.first, Record { range, ..record });
            } else if end > agreed {
                disputed.extend_from_slice(&record.measured);
            }
        }
        if agent.made > Seq(0) {
            self.disputed.extend(&disputed);
            let range = SeqRange { first: Seq::FIRST, last: Seq(numbers) };
            spool.insert(Seq::FIRST, Record { range, gap: true, measured: disputed.into() });
        }
        agent.spool = spool;
        agent.made -= lowered;
        agent.session = self.databases.len();
        agent.sender = Sender::new(Seq(0), agent.made);
        agent.sent.clear();
        agent.reached = Seq(0);
        self.databases.push(Database::default());
    }

    /// The agent as a snapshot saves it. Other state of its window is learnt again.
    fn snapshot(&mut self) {
        // A host that was just set back and hasn't noticed makes no snapshot.
        if !self.unheard {
            let sender = Sender::new(self.agent.sender.committed(), self.agent.made);
            let Agent { made, session, reached, .. } = self.agent;
            let Agent { measured, spool, sent, .. } = &self.agent;
            let (measured, spool, sent) = (measured.clone(), spool.clone(), sent.clone());
            self.snapshot = Some(Agent { sender, made, measured, spool, sent, session, reached });
        }
    }

    fn revert(&mut self) {
        let Some(agent) = self.snapshot.take() else { return };
        self.agent = agent;
        (self.unheard, self.reverted) = (true, true);
        self.under_way.clear();
        self.acks.clear();
        // It believes that it is connected.
        let committed = self.agent.sender.committed();
        self.agent.sender.on_connected(committed);
    }

    pub fn make(&mut self) {
        self.measured += 1;
        let agent = &mut self.agent;
        agent.made += 1;
        agent.measured.insert(self.measured);
        let range = SeqRange { first: agent.made, last: agent.made };
        let record = Record { range, gap: false, measured: [self.measured].into() };
        agent.spool.insert(agent.made, record.clone());
        if agent.sender.on_made(self.now) {
            agent.sent.insert(agent.made);
            self.send(UnderWay { record, live: true });
        }
    }

    fn send(&mut self, it: UnderWay) {
        if !self.unheard {
            self.under_way.push(it);
        }
    }

    /// The record that starts with `first`, made of at most `len` numbers if it was never sent.
    fn record(&mut self, first: Seq, len: u64) -> Option<Record> {
        let Agent { spool, sent, .. } = &mut self.agent;
        let mut record = spool.get(&first)?.clone();
        while record.range.last < first + len - 1
            && !sent.contains(&first)
            && let Some(next) = spool.get(&(record.range.last + 1)).cloned()
            && next.gap == record.gap
            && !sent.contains(&next.range.first)
        {
            spool.remove(&next.range.first);
            record.range.last = next.range.last;
            record.measured = [&*record.measured, &*next.measured].concat().into();
        }
        spool.insert(first, record.clone());
        sent.insert(first);
        Some(record)
    }

    pub fn stream(&mut self, record_len: u64) {
        while let Some(due) = self.agent.sender.poll_stream() {
            let mut first = due.first;
            while first <= due.last {
                let record = match self.record(first, record_len) {
                    Some(record) => record,
                    // An agent that records no gaps skips what the spool no longer has.
                    None if self.bug == Bug::GapNotRecorded => {
                        match self.agent.spool.range(first..).next() {
                            Some((_, next)) => next.clone(),
                            None => break,
                        }
                    }
                    None => {
                        return self.violate(format!("{first} is neither stored nor in the spool"));
                    }
                };
                first = record.range.last + 1;
                self.send(UnderWay { record, live: false });
            }
            self.agent.sender.on_streamed(due.first, first.max(due.first + 1) - 1);
            if first == due.first {
                return;
            }
        }
    }

    fn overflow(&mut self, count: u64) {
        let Agent { sender, spool, sent, .. } = &mut self.agent;
        let committed = sender.committed();
        let free: Vec<Record> = spool
            .range(committed + 1..)
            .map(|(_, record)| record.clone())
            .take_while(|record| !sent.contains(&record.range.first))
            .take(usize::try_from(count).unwrap())
            .collect();
        let Some((first, last)) = free.first().zip(free.last()) else { return };
        let range = SeqRange { first: first.range.first, last: last.range.last };
        let measured: Rc<[u64]> = free.iter().flat_map(|it| it.measured.iter().copied()).collect();
        for record in &free {
            spool.remove(&record.range.first);
        }
        self.overflowed.extend(measured.iter());
        if self.bug != Bug::GapNotRecorded {
            spool.insert(range.first, Record { range, gap: true, measured });
        }
    }

    fn forget(&mut self) {
        let safe = self.agent.sender.committed().saturating_sub(KEPT);
        let safe =
            if self.bug == Bug::SpoolEntryRemoved { self.receiver.ack().received } else { safe };
        self.agent.spool.retain(|_, record| record.range.last > safe);
    }

    fn arrive(&mut self, record: Record) {
        if self.receiver.accept(record.range, record.clone()) == Accepted::Overlap {
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
        let Collector { session, epoch, committed, queue, batch } = &mut self.collectors[collector];
        if batch.is_none() && !queue.is_empty() {
            let records: Vec<Record> = queue.drain(..records.min(queue.len())).collect();
            *batch =
                Some(Batch { session: *session, epoch: *epoch, expected: *committed, records });
        }
    }

    /// The database decides on a batch. Returns true if it accepts.
    fn decide(&mut self, batch: &Batch) -> bool {
        let guarded = self.bug != Bug::CursorUnguarded;
        let Database { epoch, committed, tiles } = &mut self.databases[batch.session];
        if guarded && (batch.epoch, batch.expected) != (*epoch, *committed) {
            return false;
        }
        tiles.extend(batch.records.iter().cloned());
        *committed = batch.last();
        true
    }

    /// A collector learns the outcome of its batch.
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
            // Fenced: another opening owns the session. Its agent will reconnect.
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
        let Database { epoch, committed, .. } = self.databases[batch.session];
        // Read back: committed, not committed, or another opening's.
        if (epoch, committed) == (batch.epoch, batch.last()) {
            self.settled(collector, &batch, true);
        } else if (epoch, committed) == (batch.epoch, batch.expected) {
            self.collectors[collector].batch = Some(batch);
        } else {
            self.settled(collector, &batch, false);
        }
    }

    fn fall_back(&mut self, records: usize) {
        let floor = self.database().committed.saturating_sub(KEPT / 2);
        // At most as far as the spool reaches: further back, a gap reports it.
        let kept = self.agent.spool.keys().next().map_or(Seq::MAX, |&first| first - 1);
        let database = &mut self.databases[self.agent.session];
        for _ in 0..records {
            let Some(tile) = database.tiles.last() else { return };
            let before = tile.range.first - 1;
            if before < floor.max(kept) {
                return;
            }
            database.tiles.pop();
            database.committed = before;
        }
    }

    fn ack(&mut self) {
        if self.unheard {
            return;
        }
        let (ack, committed) = (self.receiver.ack(), self.database().committed);
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
        let sender = &mut self.agent.sender;
        sender.on_ack(&ack, self.now, RTT);
        let under_way = sender.under_way();
        if under_way as u64 > WINDOW {
            self.violate(format!("{under_way} numbers under way"));
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
                    let it = self.under_way[index.index(self.under_way.len())].clone();
                    self.arrive(it.record);
                }
            }
            Event::Begin { collector, records } => self.begin(collector, records),
            Event::Commit { collector } => self.commit(collector),
            Event::CommitUnknown { collector, made } => self.commit_unknown(collector, made),
            Event::Ack => self.ack(),
            Event::Hear => self.hear(),
            Event::Pass(ms) => {
                self.now += Duration::from_millis(ms);
                self.agent.sender.on_time(self.now, RTT);
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
                let Agent { sender, made, .. } = &mut self.agent;
                *sender = Sender::new(sender.committed(), *made);
                self.connect(collector);
            }
            Event::Snapshot => self.snapshot(),
            Event::Revert => self.revert(),
            Event::FallBack { records, collector } => {
                self.fall_back(records);
                // It is another server: every connection to the old one is broken, and batches in
                // flight to it are lost.
                self.collectors = Default::default();
                self.connect(collector);
            }
        }
    }

    /// Everything in flight arrives.
    pub fn arrive_all(&mut self) {
        for it in std::mem::take(&mut self.under_way) {
            self.arrive(it.record);
        }
    }

    /// True once the database has everything made.
    pub fn is_committed(&self) -> bool {
        self.database().committed == self.agent.made
    }

    /// From now on the channel is fair, and nothing fails.
    pub fn settle(&mut self) {
        if self.unheard {
            self.connect(0);
        }
        for _ in 0..1000 {
            if self.violation.is_some() {
                return;
            }
            if self.is_committed() && self.agent.sender.is_done() {
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
            self.agent.sender.on_time(self.now, RTT);
        }
        let (committed, Agent { made, sender, .. }) = (self.database().committed, &self.agent);
        self.violate(format!("no progress: {committed} of {made}, {sender:?}"));
    }

    /// Every number of every session is in the database once. Nothing is stored twice, everything in
    /// gaps has a reason, and every measurement is stored or in a gap.
    fn check(&mut self) {
        let (mut stored, mut in_gaps) = (BTreeSet::new(), BTreeSet::new());
        let mut found = None;
        for Database { committed, tiles, .. } in &self.databases {
            let mut next = Seq::FIRST;
            for tile in tiles {
                if tile.range.first != next {
                    found =
                        found.or_else(|| Some(format!("{next} follows, but there is {tile:?}")));
                }
                next = tile.range.last + 1;
                for it in &*tile.measured {
                    let given_up = self.overflowed.contains(it);
                    let wrong = if tile.gap {
                        in_gaps.insert(*it);
                        let reason = given_up || self.disputed.contains(it);
                        (!reason).then(|| format!("{it} is in a gap without a reason"))
                    } else if !stored.insert(*it) {
                        Some(format!("{it} is stored twice"))
                    } else {
                        // Unless another future kept it.
                        let wrong = given_up && !self.reverted;
                        wrong.then(|| format!("{it} is stored though it was given up"))
                    };
                    found = found.or(wrong);
                }
            }
            if next != *committed + 1 {
                found = found.or_else(|| Some(format!("{next} is missing of {committed}")));
            }
        }
        let mut measured = self.agent.measured.iter();
        let lost = measured.find(|it| !stored.contains(it) && !in_gaps.contains(it));
        let found = found.or_else(|| lost.map(|it| format!("{it} is lost silently")));
        if let Some(found) = found {
            self.violate(found);
        }
    }
}
