//! The changes that wait for talkers. Each step looks at what it is about and at nothing else, so that
//! thousands may wait.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wire::id::{ClientId, NicName};

use super::super::emitted::{Emitted, What};
use super::super::measure::MeasureSource;
use super::super::message_talkers::AlertTalkers;
use super::super::seen_talkers::{AskedMoment, SeenRecord, TalkersChoice, TalkersPlace, WAIT};
use crate::store::AlertSubject;

/// Chooses the record of a place for a message that has waited for so long.
pub type Chooser<'a> =
    Box<dyn FnMut(&TalkersPlace, AskedMoment, Duration) -> TalkersChoice + Send + 'a>;

/// What tells apart whose changes have to stay in their order.
type SubjectKey = (Arc<str>, AlertSubject);

/// The changes that wait, by the order in which they came.
#[derive(Default)]
pub struct HeldChanges {
    held: BTreeMap<u64, Held>,
    next: u64,
    /// One at most: the next change of a subject ends the wait of the one before.
    by_subject: HashMap<SubjectKey, u64>,
    by_place: HashMap<TalkersPlace, BTreeSet<u64>>,
}

/// A change that waits.
struct Held {
    emitted: Emitted,
    place: TalkersPlace,
    asked: AskedMoment,
    since: Instant,
}

impl HeldChanges {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// When the next one has waited for long enough.
    pub fn due(&self) -> Option<Instant> {
        self.held.first_key_value().map(|(_, it)| it.since + WAIT)
    }

    /// Takes a change; gives those that wait no longer.
    pub fn take(&mut self, new: Emitted, now: Instant, choose: &mut Chooser<'_>) -> Vec<Emitted> {
        let key = key_of(&new);
        let before = self.by_subject.get(&key).copied();
        let mut ready: Vec<Emitted> =
            before.and_then(|it| self.end(it, WAIT, choose)).into_iter().collect();
        let Some((place, asked)) = asked_of(&new) else {
            ready.push(new);
            return ready;
        };
        match choose(&place, asked, Duration::ZERO) {
            TalkersChoice::Take(record) => ready.push(named(new, record)),
            TalkersChoice::Wait => {
                let number = self.next;
                self.next += 1;
                self.by_subject.insert(key, number);
                self.by_place.entry(place.clone()).or_default().insert(number);
                self.held.insert(number, Held { emitted: new, place, asked, since: now });
            }
        }
        ready
    }

    /// Records of a place came; gives what waits no longer.
    pub fn on_news(
        &mut self,
        place: &TalkersPlace,
        now: Instant,
        choose: &mut Chooser<'_>,
    ) -> Vec<Emitted> {
        let numbers: Vec<u64> = self.by_place.get(place).into_iter().flatten().copied().collect();
        let mut ready = Vec::new();
        for number in numbers {
            let Some(since) = self.held.get(&number).map(|it| it.since) else { continue };
            ready.extend(self.end(number, now.duration_since(since), choose));
        }
        ready
    }

    /// Gives those that have waited for long enough.
    pub fn on_time(&mut self, now: Instant, choose: &mut Chooser<'_>) -> Vec<Emitted> {
        let mut ready = Vec::new();
        while self.due().is_some_and(|due| due <= now)
            && let Some((&number, _)) = self.held.first_key_value()
        {
            ready.extend(self.end(number, WAIT, choose));
        }
        ready
    }

    /// Ends a wait, if it has been long enough for what is known.
    fn end(&mut self, number: u64, waited: Duration, choose: &mut Chooser<'_>) -> Option<Emitted> {
        let it = self.held.get(&number)?;
        let TalkersChoice::Take(record) = choose(&it.place, it.asked, waited) else {
            return None;
        };
        let Held { emitted, place, .. } = self.held.remove(&number)?;
        self.by_subject.remove(&key_of(&emitted));
        if let Some(numbers) = self.by_place.get_mut(&place) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.by_place.remove(&place);
            }
        }
        Some(named(emitted, record))
    }
}

fn key_of(emitted: &Emitted) -> SubjectKey {
    (emitted.rule.name.clone(), emitted.subject.clone())
}

/// Whose talkers a change names, and of when; `None`: none.
fn asked_of(emitted: &Emitted) -> Option<(TalkersPlace, AskedMoment)> {
    let firing = match &emitted.what {
        What::Fire { firing, .. } | What::Announce(firing) => firing,
        What::Resolve(..) => return None,
    };
    if emitted.rule.source() != MeasureSource::Sample {
        return None;
    }
    let client = ClientId::new(&emitted.subject.client).ok()?;
    let nic = NicName::new(&emitted.subject.nic)?;
    let asked = AskedMoment {
        at_ns: firing.worst_ns,
        since_ns: firing.since_ns,
        heard: firing.worst_heard,
    };
    Some(((client, nic), asked))
}

/// The change with the talkers of a record.
fn named(emitted: Emitted, record: Option<SeenRecord>) -> Emitted {
    let direction = emitted.subject.direction.as_str();
    let talkers = record.and_then(|record| AlertTalkers::new(&record, direction));
    Emitted { talkers, ..emitted }
}
