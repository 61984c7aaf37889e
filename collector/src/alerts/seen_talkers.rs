//! The newest talkers of each NIC, as they arrive: messages name who was there at their moment, without
//! asking the store.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use wire::frame::Frame;
use wire::id::{ClientId, NicName, SessionId};
use wire::talkers::{Talker, TalkerKey, TalkerList, TalkerOwner, Talkers, TalkersKind};
use wire::{Bytes, Seq, WallNs};

/// Talkers of a direction that messages name.
pub const NAMED: usize = 5;

/// Records of moments that are kept of a NIC, and NICs of a client. A NIC has about 3 kB, 8 kB at most while
/// it bursts.
const MOMENTS: usize = 4;
const NICS: usize = 64;

/// A client that sent no talkers for this long is forgotten.
const KEPT: Duration = Duration::from_secs(600);

/// How long messages wait for the record of their sample: an agent sends it within a second after that.
pub const WAIT: Duration = Duration::from_millis(1200);

/// The last minute before a moment ended at most this long before.
const LAST_MINUTE_NS: u64 = 120_000_000_000;

/// How much later or earlier than by its times a record may come after the sample, beside its own length: what
/// is further off is backlog, or the client's clock was set meanwhile.
const OUT_OF_STEP_NS: u128 = 10_000_000_000;

/// A client that was heard for this long without any talkers sends none: it would every minute.
const WITHOUT: Duration = Duration::from_secs(150);

/// A session whose talkers stay away for longer is over: they come every minute.
const SESSION_SILENT: Duration = Duration::from_secs(150);

/// The largest talkers of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRecord {
    /// Why it was made.
    pub kind: TalkersKind,
    /// Start of the interval, nanoseconds since 1970 (UTC).
    pub start_ns: WallNs,
    /// Length of the interval, nanoseconds.
    pub interval_ns: u64,
    /// What was received.
    pub rx: SeenList,
    /// What was transmitted.
    pub tx: SeenList,
}

/// The largest talkers of a direction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeenList {
    /// Of all talkers.
    pub total_bytes: Bytes,
    /// Each talker has at most this many bytes more.
    pub error_bytes: Bytes,
    /// The largest.
    pub top: Vec<SeenTalker>,
}

/// A talker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenTalker {
    /// Who.
    pub key: TalkerKey,
    /// At least this many bytes.
    pub bytes: Bytes,
    /// Whose it is, if that is known.
    pub owner: Option<TalkerOwner>,
}

/// A record, and when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrivedRecord {
    /// The record.
    pub record: SeenRecord,
    /// By the boot clock.
    pub arrived: Duration,
    /// The number of its session among those of its client, and of its frame in that.
    order: (u64, Seq),
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskedMoment {
    /// Start of the sample that counts, by the client's clock, nanoseconds since 1970 (UTC).
    pub at_ns: WallNs,
    /// When the condition began, by the same clock.
    pub since_ns: WallNs,
    /// When the sample came, by the boot clock.
    pub heard: Duration,
}

/// What to do about a message's talkers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TalkersChoice {
    /// The record may still come.
    Wait,
    /// These, or none is known.
    Take(Option<SeenRecord>),
}

/// Chooses the record for a message that has waited for so long: that of its sample; else, after a while,
/// that of another sample of the same trouble; else that of the last minute. Of several the last one, and none
/// that is out of step with the sample: the same time may come twice, and not at all.
///
/// `records`: in the order in which the client made them.
#[must_use]
pub fn choose(records: &[ArrivedRecord], asked: AskedMoment, waited: Duration) -> TalkersChoice {
    let AskedMoment { at_ns, since_ns, .. } = asked;
    let of = |kind| {
        let fit = records.iter().rev().filter(move |it| it.is_in_step(asked));
        fit.map(|it| &it.record).filter(move |it| it.kind == kind)
    };
    if let Some(exact) = of(TalkersKind::Moment).find(|it| it.covers(at_ns)) {
        return TalkersChoice::Take(Some(exact.clone()));
    }
    if waited < WAIT {
        return TalkersChoice::Wait;
    }
    let moment = of(TalkersKind::Moment).find(|it| it.start_ns >= since_ns);
    let near = |it: &&SeenRecord| {
        it.start_ns <= at_ns && at_ns.saturating_since(it.end_ns()) <= LAST_MINUTE_NS
    };
    let minute = || of(TalkersKind::Minute).find(near);
    TalkersChoice::Take(moment.or_else(minute).cloned())
}

impl ArrivedRecord {
    /// True if it came as long after the sample as its interval ended after that began.
    fn is_in_step(&self, asked: AskedMoment) -> bool {
        let SeenRecord { interval_ns, .. } = self.record;
        let ns = |time: Duration| i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
        let by_arrival = ns(self.arrived).saturating_sub(ns(asked.heard));
        let by_clock = i128::from(self.record.end_ns().get()) - i128::from(asked.at_ns.get());
        let off = by_arrival.saturating_sub(by_clock).unsigned_abs();
        off <= OUT_OF_STEP_NS + u128::from(interval_ns)
    }
}

impl SeenRecord {
    fn of(record: &Talkers) -> Option<Self> {
        let list = |list: &TalkerList| SeenList {
            total_bytes: list.total_bytes,
            error_bytes: list.error_bytes,
            top: list
                .talkers
                .iter()
                .take(NAMED)
                .map(|it| SeenTalker::of(it, &record.owners))
                .collect(),
        };
        Some(Self {
            kind: TalkersKind::of(record.kind)?,
            start_ns: record.start_ns,
            interval_ns: record.interval_ns,
            rx: list(&record.rx),
            tx: list(&record.tx),
        })
    }

    const fn end_ns(&self) -> WallNs {
        self.start_ns.saturating_add(self.interval_ns)
    }

    fn covers(&self, at_ns: WallNs) -> bool {
        self.start_ns <= at_ns && at_ns.saturating_since(self.start_ns) < self.interval_ns.max(1)
    }
}

impl SeenTalker {
    fn of(talker: &Talker, owners: &[TalkerOwner]) -> Self {
        let owner = usize::from(talker.owner).checked_sub(1).and_then(|at| owners.get(at));
        Self { key: talker.key, bytes: talker.bytes, owner: owner.cloned() }
    }
}

/// What is kept of a client.
#[derive(Debug, Default)]
struct SeenClient {
    /// Records by NIC, and when the last one came, by the boot clock.
    nics: HashMap<NicName, (Vec<ArrivedRecord>, Duration)>,
    /// The session that is not backlog.
    session: Option<SeenSession>,
    /// Sessions so far.
    sessions: u64,
}

/// A session, as its newest frame with talkers left it.
#[derive(Debug)]
struct SeenSession {
    id: SessionId,
    seq: Seq,
    end_ns: WallNs,
    heard: Duration,
}

impl SeenClient {
    /// The place of a frame among those of its client, whose clock may have been set: within a session the
    /// numbers decide. Of two sessions, the one that is heard first and ends first is backlog.
    fn order(&mut self, frame: &Frame, end_ns: WallNs, now: Duration) -> (u64, Seq) {
        let seq = frame.last_seq;
        match &mut self.session {
            Some(known) if known.id == frame.session => {
                known.heard = now;
                if seq > known.seq {
                    (known.seq, known.end_ns) = (seq, end_ns);
                }
            }
            Some(known)
                if end_ns <= known.end_ns && now.saturating_sub(known.heard) < SESSION_SILENT =>
            {
                return (0, seq);
            }
            _ => {
                self.sessions += 1;
                self.session = Some(SeenSession { id: frame.session, seq, end_ns, heard: now });
            }
        }
        (self.sessions, seq)
    }

    fn take(&mut self, nic: NicName, new: ArrivedRecord) {
        if self.nics.len() >= NICS && !self.nics.contains_key(&nic) {
            // The one that was silent for longest gives way.
            let oldest = self.nics.iter().min_by_key(|(_, (_, heard))| *heard).map(|(nic, _)| *nic);
            oldest.map(|nic| self.nics.remove(&nic));
        }
        let (records, heard) = self.nics.entry(nic).or_default();
        *heard = new.arrived;
        if records.iter().any(|it| it.order == new.order && it.record == new.record) {
            // A frame that came again.
            return;
        }
        let kind = new.record.kind;
        let most = if kind == TalkersKind::Moment { MOMENTS } else { 1 };
        let place = |it: &ArrivedRecord| (it.order, it.record.start_ns);
        let at = records.partition_point(|it| place(it) <= place(&new));
        records.insert(at, new);
        if records.iter().filter(|it| it.record.kind == kind).count() > most
            && let Some(first) = records.iter().position(|it| it.record.kind == kind)
        {
            records.remove(first);
        }
    }
}

/// A NIC of a client.
pub type TalkersPlace = (ClientId, NicName);

/// When a client was heard first and last, by the boot clock.
#[derive(Debug, Clone, Copy)]
struct Heard {
    first: Duration,
    last: Duration,
}

/// The newest talkers of all clients.
#[derive(Debug, Default)]
pub struct SeenTalkers {
    clients: Mutex<HashMap<ClientId, SeenClient>>,
    /// Of every client, with talkers or without.
    heard: Mutex<HashMap<ClientId, Heard>>,
    /// Where records of moments came: as many as NICs are kept at most.
    fresh: Mutex<HashSet<TalkersPlace>>,
    news: Notify,
}

impl SeenTalkers {
    /// Notes that a client sent samples.
    pub fn hear(&self, client: &ClientId, now: Duration) {
        let mut heard = lock(&self.heard);
        if let Some(known) = heard.get_mut(client) {
            known.last = now;
        } else {
            heard.insert(client.clone(), Heard { first: now, last: now });
        }
    }

    /// True unless a client would have sent talkers by this time.
    fn may_send(&self, client: &ClientId, now: Duration) -> bool {
        let heard = lock(&self.heard).get(client).copied();
        heard.is_none_or(|it| now.saturating_sub(it.first) < WITHOUT)
    }

    /// Takes a frame's records as they arrive.
    pub fn take(&self, client: &ClientId, frame: &Frame, now: Duration) {
        let short: Vec<(NicName, SeenRecord)> = frame
            .talkers
            .iter()
            .filter_map(|record| Some((record.nic, SeenRecord::of(record)?)))
            .collect();
        let Some(end_ns) = short.iter().map(|(_, it)| it.end_ns()).max() else { return };
        let moments: Vec<NicName> = short
            .iter()
            .filter(|(_, it)| it.kind == TalkersKind::Moment)
            .map(|(nic, _)| *nic)
            .collect();
        let mut clients = lock(&self.clients);
        let seen = clients.entry(client.clone()).or_default();
        let order = seen.order(frame, end_ns, now);
        for (nic, record) in short {
            seen.take(nic, ArrivedRecord { record, arrived: now, order });
        }
        drop(clients);
        if !moments.is_empty() {
            lock(&self.fresh).extend(moments.into_iter().map(|nic| (client.clone(), nic)));
            self.news.notify_one();
        }
    }

    /// Chooses the record for a message about a NIC. There is none to wait for if the client sends none.
    #[must_use]
    pub fn choose(
        &self,
        (client, nic): &TalkersPlace,
        asked: AskedMoment,
        waited: Duration,
    ) -> TalkersChoice {
        let clients = lock(&self.clients);
        let seen = clients.get(client);
        if seen.is_none() && !self.may_send(client, asked.heard) {
            return TalkersChoice::Take(None);
        }
        let records = seen.and_then(|it| it.nics.get(nic));
        choose(records.map_or(&[], |(records, _)| records), asked, waited)
    }

    /// Returns once records of moments have come since the last return, and where.
    pub async fn news(&self) -> HashSet<TalkersPlace> {
        self.news.notified().await;
        std::mem::take(&mut *lock(&self.fresh))
    }

    /// Forgets NICs that sent nothing for long. Call it every minute.
    pub fn forget_silent(&self, now: Duration) {
        lock(&self.clients).retain(|_, client| {
            client.nics.retain(|_, (_, heard)| now.saturating_sub(*heard) < KEPT);
            !client.nics.is_empty()
        });
        lock(&self.heard).retain(|_, it| now.saturating_sub(it.last) < KEPT);
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
