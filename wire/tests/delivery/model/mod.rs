//! A model of the window's surroundings: an agent with its spool, whose host may be set back to a
//! snapshot; a channel that drops, duplicates, reorders, delays and is cut; two collectors; and a
//! database whose commits may have unknown outcomes. Bugs can be planted, to prove that they are found.

mod agent;
mod collector;
mod event;
mod proof;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;

use wire::Seq;
use wire::delivery::{AckPace, Receiver, Sender};
use wire::id::SessionId;
use wire::message::{Ack, SeqRange};

use self::agent::Agent;
use self::collector::{Collector, Database};
pub use self::event::{Bug, Event, event};

const RTT: Duration = Duration::from_millis(10);

/// Committed numbers that the spool keeps in case the database falls back.
const KEPT: u64 = 4;

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

pub struct World {
    bug: Bug,
    pace: AckPace,
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
    pub fn new(bug: Bug, pace: AckPace) -> Self {
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
            pace,
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

    pub fn on(&mut self, event: &Event) {
        match *event {
            Event::Make => self.make(),
            Event::Finish => self.agent.sender.on_finished(),
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
}
