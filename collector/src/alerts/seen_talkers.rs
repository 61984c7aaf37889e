//! The newest talkers of each NIC, as they arrive: messages name who was there at their moment, without
//! asking the store.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use wire::id::{ClientId, NicName};
use wire::talkers::{Talker, TalkerKey, TalkerList, TalkerOwner, Talkers, TalkersKind};
use wire::{Bytes, WallNs};

use crate::time::boot;

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

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskedMoment {
    /// Start of the sample that counts, by the client's clock, nanoseconds since 1970 (UTC).
    pub at_ns: WallNs,
    /// When the condition began.
    pub since_ns: WallNs,
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
/// that of a later sample of the same trouble; else that of the last minute.
#[must_use]
pub fn choose(records: &[SeenRecord], asked: AskedMoment, waited: Duration) -> TalkersChoice {
    let AskedMoment { at_ns, since_ns } = asked;
    let of = |kind| records.iter().filter(move |it| it.kind == kind);
    if let Some(exact) = of(TalkersKind::Moment).find(|it| it.covers(at_ns)) {
        return TalkersChoice::Take(Some(exact.clone()));
    }
    if waited < WAIT {
        return TalkersChoice::Wait;
    }
    let moments = of(TalkersKind::Moment).filter(|it| it.start_ns >= since_ns);
    let near = |it: &&SeenRecord| {
        let end_ns = it.start_ns.saturating_add(it.interval_ns);
        it.start_ns <= at_ns && at_ns.saturating_since(end_ns) <= LAST_MINUTE_NS
    };
    let minutes = of(TalkersKind::Minute).filter(near);
    let newest = |a: &&SeenRecord, b: &&SeenRecord| a.start_ns.cmp(&b.start_ns);
    TalkersChoice::Take(moments.max_by(newest).or_else(|| minutes.max_by(newest)).cloned())
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
    nics: HashMap<NicName, (Vec<SeenRecord>, Duration)>,
}

impl SeenClient {
    fn take(&mut self, nic: NicName, record: SeenRecord, now: Duration) {
        if self.nics.len() >= NICS && !self.nics.contains_key(&nic) {
            // The one that was silent for longest gives way.
            let oldest = self.nics.iter().min_by_key(|(_, (_, heard))| *heard).map(|(nic, _)| *nic);
            oldest.map(|nic| self.nics.remove(&nic));
        }
        let (records, heard) = self.nics.entry(nic).or_default();
        *heard = now;
        let most = if record.kind == TalkersKind::Moment { MOMENTS } else { 1 };
        // A repeated frame.
        records.retain(|it| (it.kind, it.start_ns) != (record.kind, record.start_ns));
        let kind = record.kind;
        records.push(record);
        records.sort_by_key(|it| (it.kind, it.start_ns));
        let many = records.iter().filter(|it| it.kind == kind).count().saturating_sub(most);
        let first = records.iter().position(|it| it.kind == kind).unwrap_or_default();
        // Backlog is older than what is there.
        records.drain(first..first + many);
    }
}

/// The newest talkers of all clients.
#[derive(Debug, Default)]
pub struct SeenTalkers {
    clients: Mutex<HashMap<ClientId, SeenClient>>,
    /// A record of a moment came.
    news: Notify,
}

impl SeenTalkers {
    /// Takes records as they arrive.
    pub fn take(&self, client: &ClientId, records: &[Talkers]) {
        let now = boot();
        let mut clients = lock(&self.clients);
        let seen = clients.entry(client.clone()).or_default();
        for record in records {
            if let Some(short) = SeenRecord::of(record) {
                seen.take(record.nic, short, now);
            }
        }
        drop(clients);
        if records.iter().any(|it| it.kind == TalkersKind::Moment as u8) {
            self.news.notify_one();
        }
    }

    /// Chooses the record for a message about a NIC.
    #[must_use]
    pub fn choose(
        &self,
        client: &ClientId,
        nic: NicName,
        asked: AskedMoment,
        waited: Duration,
    ) -> TalkersChoice {
        let clients = lock(&self.clients);
        let records = clients.get(client).and_then(|it| it.nics.get(&nic));
        choose(records.map_or(&[], |(records, _)| records), asked, waited)
    }

    /// Returns once a record of a moment has come since the last return.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// Forgets NICs that sent nothing for long. Call it every minute.
    pub fn forget_silent(&self, now: Duration) {
        lock(&self.clients).retain(|_, client| {
            client.nics.retain(|_, (_, heard)| now.saturating_sub(*heard) < KEPT);
            !client.nics.is_empty()
        });
    }
}

fn lock(
    clients: &Mutex<HashMap<ClientId, SeenClient>>,
) -> MutexGuard<'_, HashMap<ClientId, SeenClient>> {
    clients.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const HALF: u64 = SECOND / 2;

    fn record(kind: TalkersKind, start_ns: u64, interval_ns: u64) -> Talkers {
        let rx = TalkerList { total_bytes: Bytes(start_ns), ..TalkerList::default() };
        let (start_ns, kind) = (WallNs(start_ns), kind as u8);
        Talkers { start_ns, interval_ns, kind, rx, ..Talkers::default() }
    }

    fn chosen(
        records: &[Talkers],
        at_ns: u64,
        since_ns: u64,
        waited: Duration,
    ) -> Option<Option<u64>> {
        let records: Vec<_> = records.iter().filter_map(SeenRecord::of).collect();
        let asked = AskedMoment { at_ns: WallNs(at_ns), since_ns: WallNs(since_ns) };
        match choose(&records, asked, waited) {
            TalkersChoice::Wait => None,
            TalkersChoice::Take(record) => Some(record.map(|it| it.start_ns.get())),
        }
    }

    #[test]
    fn the_sample_itself_is_taken_at_once_and_anything_else_after_a_wait() {
        let minute = record(TalkersKind::Minute, 60 * SECOND, 60 * SECOND);
        let moment = |start| record(TalkersKind::Moment, start, HALF);
        let at = 130 * SECOND;
        let both = [minute.clone(), moment(at)];
        assert_eq!(chosen(&both, at, at, Duration::ZERO), Some(Some(at)));
        assert_eq!(chosen(&both, at + HALF - 1, at, Duration::ZERO), Some(Some(at)));
        // The next sample is another one: it counts if that of the alert doesn't come.
        let later = [minute.clone(), moment(at + SECOND), moment(at - SECOND)];
        assert_eq!(chosen(&later, at, at, WAIT / 2), None);
        assert_eq!(chosen(&later, at, at, WAIT), Some(Some(at + SECOND)));
        let before = [minute.clone(), moment(at - SECOND)];
        assert_eq!(chosen(&before, at, at, WAIT), Some(Some(60 * SECOND)));
        assert_eq!(chosen(&[], at, at, Duration::ZERO), None);
        assert_eq!(chosen(&[], at, at, WAIT), Some(None));
        // A minute that ended long ago, or begins later, says nothing.
        assert_eq!(chosen(std::slice::from_ref(&minute), 241 * SECOND, at, WAIT), Some(None));
        assert_eq!(chosen(&[minute], 59 * SECOND, at, WAIT), Some(None));
    }

    #[test]
    fn what_is_kept_is_the_newest_and_bounded() {
        let (seen, client) = (SeenTalkers::default(), ClientId::new("web-1").unwrap());
        let nic = NicName::new("eth0").unwrap();
        let named = |record| Talkers { nic, ..record };
        for n in (0..20).rev() {
            seen.take(&client, &[named(record(TalkersKind::Moment, n * SECOND, HALF))]);
            seen.take(&client, &[named(record(TalkersKind::Minute, n * 60 * SECOND, 60 * SECOND))]);
            // Frames come again.
            seen.take(&client, &[named(record(TalkersKind::Moment, n * SECOND, HALF))]);
        }
        let kept = |seen: &SeenTalkers| {
            let clients = lock(&seen.clients);
            let records = &clients[&client].nics[&nic].0;
            records.iter().map(|it| it.start_ns.get() / SECOND).collect::<Vec<_>>()
        };
        assert_eq!(kept(&seen), [1140, 16, 17, 18, 19]);
        for n in 0..200 {
            let nic = NicName::new(&format!("eth{n}")).unwrap();
            let record = Talkers { nic, ..record(TalkersKind::Minute, SECOND, SECOND) };
            seen.take(&client, &[record]);
        }
        assert_eq!(lock(&seen.clients)[&client].nics.len(), NICS);
        seen.forget_silent(boot() + KEPT / 2);
        assert_eq!(lock(&seen.clients).len(), 1);
        seen.forget_silent(boot() + KEPT);
        assert!(lock(&seen.clients).is_empty());
    }
}
