//! Two collectors, and a database whose commits may have unknown outcomes.

use wire::Seq;
use wire::delivery::{Accepted, Receiver, StoredProgress, WINDOW, is_fork};
use wire::id::SessionId;

use super::{Bug, KEPT, Record, World};

/// A batch that a collector has sent to the database.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) session: usize,
    pub(super) epoch: u64,
    pub(super) expected: Seq,
    pub(super) records: Vec<Record>,
}

impl Batch {
    pub(super) fn last(&self) -> Seq {
        self.records.last().map_or(self.expected, |record| record.range.last)
    }
}

/// A collector's state for one opening of the session.
#[derive(Debug, Default)]
pub(super) struct Collector {
    pub(super) session: usize,
    pub(super) epoch: u64,
    pub(super) committed: Seq,
    /// Sorted records, not yet sent to the database.
    pub(super) queue: Vec<Record>,
    pub(super) batch: Option<Batch>,
}

/// The database's state of a session: it survives everything.
#[derive(Debug, Default)]
pub(super) struct Database {
    /// The number of the opening, counted over all sessions.
    pub(super) epoch: u64,
    pub(super) committed: Seq,
    pub(super) tiles: Vec<Record>,
}

impl World {
    /// The database's state of the agent's session.
    pub(super) fn database(&self) -> &Database {
        &self.databases[self.agent.session]
    }

    pub(super) fn connect(&mut self, collector: usize) {
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
        self.agent.sender.on_connected(committed.min(self.agent.made), self.pace);
        self.agent.sent.clear();
    }

    /// Opens the agent's session. Returns the collector's report on it.
    pub(super) fn open(&mut self) -> StoredProgress {
        self.openings += 1;
        let session = self.agent.session;
        let database = &mut self.databases[session];
        database.epoch = self.openings;
        let digest = database.tiles.last().map(Record::digest);
        StoredProgress { session: SessionId::new(session as u64), seq: database.committed, digest }
    }

    pub(super) fn arrive(&mut self, record: Record) {
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

    pub(super) fn begin(&mut self, collector: usize, records: usize) {
        let Collector { session, epoch, committed, queue, batch } = &mut self.collectors[collector];
        if batch.is_none() && !queue.is_empty() {
            let records: Vec<Record> = queue.drain(..records.min(queue.len())).collect();
            *batch =
                Some(Batch { session: *session, epoch: *epoch, expected: *committed, records });
        }
    }

    /// The database decides on a batch. Returns true if it accepts.
    pub(super) fn decide(&mut self, batch: &Batch) -> bool {
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
    pub(super) fn settled(&mut self, collector: usize, batch: &Batch, made: bool) {
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

    pub(super) fn commit(&mut self, collector: usize) {
        if let Some(batch) = self.collectors[collector].batch.take() {
            let made = self.decide(&batch);
            self.settled(collector, &batch, made);
        }
    }

    pub(super) fn commit_unknown(&mut self, collector: usize, made: bool) {
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

    pub(super) fn fall_back(&mut self, records: usize) {
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

    pub(super) fn ack(&mut self) {
        if self.unheard {
            return;
        }
        let (ack, committed) = (self.receiver.ack(), self.database().committed);
        if ack.committed > committed && self.bug != Bug::AckBeforeCommit {
            self.violate(format!("{ack:?}, but the database has {committed}"));
        }
        self.acks.push(ack);
    }
}
