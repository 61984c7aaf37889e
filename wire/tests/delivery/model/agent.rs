//! The agent with its spool, whose host may be set back to a snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use wire::Seq;
use wire::delivery::{Own, Sender, StoredProgress, WINDOW, Written};
use wire::message::SeqRange;

use super::collector::Database;
use super::{Bug, KEPT, RTT, Record, UnderWay, World};

/// The agent, as a snapshot saves it.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) sender: Sender,
    /// Its newest number.
    pub(super) made: Seq,
    /// Its measurements, including those of the future that it continues.
    pub(super) measured: BTreeSet<u64>,
    /// The spool's records, by first number; the bounds of sent records stay.
    pub(super) spool: BTreeMap<Seq, Record>,
    /// First numbers of records that were sent since the last Welcome.
    pub(super) sent: BTreeSet<Seq>,
    /// The session that it delivers.
    pub(super) session: usize,
    /// Everything up to here was sent.
    pub(super) reached: Seq,
}

impl World {
    /// The agent's knowledge of its session.
    pub(super) fn own(&self, told: StoredProgress) -> Own {
        let Agent { sender, made, spool, sent, reached, .. } = &self.agent;
        let (committed, mut reached) = (sender.committed(), *reached);
        reached = reached.max(committed);
        while let Some(record) =
            spool.get(&(reached + 1)).filter(|it| sent.contains(&it.range.first))
        {
            reached = record.range.last;
        }
        let told = match spool.range(..=told.seq).next_back() {
            Some((_, record)) if record.range.last == told.seq => {
                let digest = record.digest();
                Written::Ends { digest, without_talkers: digest }
            }
            Some((_, record)) if record.range.last > told.seq => Written::GoesOn,
            _ => Written::Nothing,
        };
        Own { committed, sent: reached, last: *made, whole: true, told }
    }

    /// The session continues under another id, as in the agent's spool.
    pub(super) fn fork(&mut self, told: StoredProgress) {
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
    pub(super) fn snapshot(&mut self) {
        // A host that was just set back and hasn't noticed makes no snapshot.
        if !self.unheard {
            let sender = Sender::new(self.agent.sender.committed(), self.agent.made);
            let Agent { made, session, reached, .. } = self.agent;
            let Agent { measured, spool, sent, .. } = &self.agent;
            let (measured, spool, sent) = (measured.clone(), spool.clone(), sent.clone());
            self.snapshot = Some(Agent { sender, made, measured, spool, sent, session, reached });
        }
    }

    pub(super) fn revert(&mut self) {
        let Some(agent) = self.snapshot.take() else { return };
        self.agent = agent;
        (self.unheard, self.reverted) = (true, true);
        self.under_way.clear();
        self.acks.clear();
        // It believes that it is connected.
        let committed = self.agent.sender.committed();
        self.agent.sender.on_connected(committed, self.pace);
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

    pub(super) fn send(&mut self, it: UnderWay) {
        if !self.unheard {
            self.under_way.push(it);
        }
    }

    /// The record that starts with `first`, made of at most `len` numbers if it was never sent.
    pub(super) fn record(&mut self, first: Seq, len: u64) -> Option<Record> {
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

    pub(super) fn overflow(&mut self, count: u64) {
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

    pub(super) fn forget(&mut self) {
        let safe = self.agent.sender.committed().saturating_sub(KEPT);
        let safe =
            if self.bug == Bug::SpoolEntryRemoved { self.receiver.ack().received } else { safe };
        self.agent.spool.retain(|_, record| record.range.last > safe);
    }

    pub(super) fn hear(&mut self) {
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
}
