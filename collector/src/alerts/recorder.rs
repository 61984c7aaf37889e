//! Writes what the engine emits into the store, with the messages about it, and reads what other
//! collectors wrote.
//!
//! The store may fail, or take as long as it likes: what comes meanwhile waits in a queue, and after 2 s its
//! messages are sent from memory, so that an alert about the store itself gets out too. They have the ids
//! that the store gets later, and are entered as sent. A message can come twice then: from here and from
//! another collector, or after a crash.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use settings::{Failures, InFull, words};
use tokio::sync::mpsc;
use tokio::time::{sleep, sleep_until, timeout};
use wire::id::ClientId;

use super::config::Severity;
use super::emitted::Emitted;
use super::engine::Engine;
use super::keepers::ended;
use super::looks::Looks;
use super::message::{MessageFacts, Words};
use super::outbox::AlertOutbox;
use super::queued_change::{Prepared, QueuedChange, QueuedWording, incident};
use super::rule::AlertRules;
use crate::live::Live;
use crate::store::{
    AlertChange, AlertEnd, AlertEvent, AlertIncident, AlertRef, AlertSilence, Database, EndMessage,
    StoreError, UnconfirmedAlert,
};
use crate::time::{boot, now_ns};

/// Alerts that fire, by rule.
pub const FIRING: &str = "netmon_alerts_firing";

/// Most changes of one transaction, and most that wait for it. The engine keeps the rest.
const BATCH: usize = 256;
const WAITING_MAX: usize = 4096;

/// Wait before the store is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Longest write, after which nobody knows what became of it; and longest look.
const WRITE_MAX: Duration = Duration::from_secs(30);
const LOOK_MAX: Duration = Duration::from_secs(2);

/// Writes incidents.
#[derive(Clone)]
pub struct Recorder {
    /// What decides.
    pub engine: Arc<Engine>,
    /// Where incidents are.
    pub store: Arc<dyn Database>,
    /// What sends messages.
    pub outbox: Arc<AlertOutbox>,
    /// What clients are called.
    pub live: Live,
    /// Where people reach the pages.
    pub url: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    /// The collector's name in incidents about it.
    pub name: String,
    /// The number of its run.
    pub run: u64,
    /// Interval in which it confirms what it stands behind: [`super::CONFIRM`].
    pub confirm: Duration,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("store", &self.store).finish_non_exhaustive()
    }
}

/// What the store is asked for, one at a time: so what was read is not older than what was written.
type Work = BoxFuture<'static, Answer>;

enum Answer {
    /// What became of a write.
    Written(Result<(), String>, Refused),
    /// What others wrote.
    Read(Result<Seen, String>),
}

/// The store refuses the rows themselves.
type Refused = bool;

/// What others wrote.
struct Seen {
    open: Vec<AlertIncident>,
    silences: Vec<AlertSilence>,
    /// Targets with messages to send.
    to_serve: Vec<String>,
    /// Incidents that this collector doesn't stand behind, if that was asked.
    unconfirmed: Option<Vec<UnconfirmedAlert>>,
}

/// The changes that wait, and the work at the store.
struct Queue {
    waiting: VecDeque<QueuedChange>,
    /// Those that are being written, with how many of their messages were sent before.
    written: Vec<(QueuedChange, usize)>,
    /// Most changes of the next write: less after one that failed, to find a change that is refused, and for a
    /// store that is slow.
    most: usize,
    /// The next write notes what was sent during the last one: nobody is told of messages before.
    notes_sent: bool,
    work: Option<Work>,
    retry_at: Instant,
    failures: Failures<String>,
}

impl Recorder {
    /// Runs until the engine is gone.
    pub async fn run(self, mut emitted: mpsc::Receiver<Emitted>) {
        let mut queue = Queue::new();
        let (mut looks, mut some) = (Looks::new(self.confirm), Vec::new());
        loop {
            // Under a load of changes too, silences and other collectors are heard of.
            if queue.work.is_none() && !queue.notes_sent {
                queue.work = self.look(&mut looks);
            }
            queue.write(&self.store);
            let room = queue.waiting.len() < WAITING_MAX;
            tokio::select! {
                biased;
                number = emitted.recv_many(&mut some, BATCH), if room => {
                    if number == 0 {
                        return;
                    }
                    queue.waiting.extend(some.drain(..).map(|it| self.queued(it)));
                }
                answer = queue.next() => match answer {
                    Some(Answer::Written(written, refused)) => {
                        self.on_written(&mut queue, written, refused);
                    }
                    Some(Answer::Read(Ok(seen))) => self.on_seen(&mut queue, &mut looks, seen),
                    Some(Answer::Read(Err(error))) => looks.on_failed(&error, Instant::now()),
                    None => {}
                },
                () = sleep(looks.wait(boot())), if queue.work.is_none() => {}
            }
            queue.send_what_is_due(&self.outbox);
        }
    }

    /// Takes what became of a write.
    fn on_written(&self, queue: &mut Queue, written: Result<(), String>, refused: Refused) {
        let entries = std::mem::take(&mut queue.written);
        queue.notes_sent = false;
        match written {
            Ok(()) => {
                if queue.failures.succeeded() {
                    tracing::info!("alerts are stored again");
                }
                queue.most = BATCH;
                // What was sent during the write is noted by the same change again.
                let (again, done): (Vec<_>, Vec<_>) =
                    entries.into_iter().partition(|(entry, sent)| entry.sent() > *sent);
                done.iter().for_each(|(entry, _)| self.engine.on_stored(&entry.emitted));
                queue.notes_sent = !again.is_empty();
                queue.put_back(again.into_iter().map(|(entry, _)| entry));
                // Until then the store would send them again.
                if !queue.notes_sent {
                    self.outbox.wake(|_| true);
                }
            }
            Err(error) if refused && entries.len() == 1 => {
                // Nothing helps, and others wait.
                tracing::error!(
                    error,
                    "the store refuses an alert; its messages are sent from memory"
                );
                for (mut entry, _) in entries {
                    entry.send_and_forget(&self.outbox);
                    self.engine.on_stored(&entry.emitted);
                }
            }
            Err(error) => {
                if let Some(tell) = queue.failures.failed(words(&error), Instant::now()) {
                    tracing::error!(
                        error,
                        "alerts can't be stored; they are sent from memory{tell}"
                    );
                }
                // A slow store takes less within its time.
                queue.most = (entries.len() / 2).max(1);
                if !refused {
                    queue.retry_at = Instant::now() + RETRY;
                }
                queue.put_back(entries.into_iter().map(|(entry, _)| entry));
            }
        }
    }

    /// The change of an incident, with its messages.
    fn queued(&self, emitted: Emitted) -> QueuedChange {
        let incident = incident(&emitted);
        let rules = self.engine.rules();
        let facts = self.facts(&incident, &rules);
        let facts = MessageFacts { talkers: emitted.talkers.clone(), ..facts };
        let event = emitted.what.event();
        let resolved = event == AlertEvent::Resolved;
        // Trouble that is over in quiet hours is told after them.
        let quiet = emitted.rule.quiet_until(emitted.at.wall_ns, &rules.zone);
        let held_until_ns = quiet.filter(|_| resolved).unwrap_or_default();
        let unwanted = self.outbox.unwanting(emitted.rule.severity, resolved);
        let wanted = emitted.rule.targets.iter().filter(|it| !unwanted.contains(it));
        let targets: Vec<String> = wanted.cloned().collect();
        let wording = QueuedWording { body: json(&facts), held_until_ns, unwanted };
        let facts = facts.of_incident(&incident.id, event);
        let messages = targets.into_iter().map(|name| Prepared::new(name, facts.clone()));
        let messages = messages.collect();
        QueuedChange::new(emitted, incident, wording, messages)
    }

    /// What messages about an incident say.
    fn facts(&self, incident: &AlertIncident, rules: &AlertRules) -> MessageFacts {
        let client = ClientId::new(&incident.subject.client).ok();
        let alias = client.and_then(|id| self.live.client(&id)).map(|it| it.alias);
        let (alias, url) = (alias.unwrap_or_default(), (self.url)());
        let words = Words { alias: &alias, url: url.as_deref(), zone: &rules.zone };
        MessageFacts::new(incident, words)
    }

    /// Reads what others wrote, if it is time to.
    fn look(&self, looks: &mut Looks) -> Option<Work> {
        let look = looks.begin(boot(), !self.engine.rules().rules.is_empty())?;
        let (store, name, run) = (self.store.clone(), self.name.clone(), self.run);
        let ids = look.confirms.then(|| self.engine.stands_behind());
        let look = async move {
            let (open, silences) = (store.open_alerts().await?, store.silences(now_ns()).await?);
            let to_serve = store.targets_to_serve(run, now_ns()).await?;
            let unconfirmed = match ids {
                Some(ids) => Some(store.confirm_alerts(&name, &ids, now_ns()).await?),
                None => None,
            };
            Ok::<_, StoreError>(Seen { open, silences, to_serve, unconfirmed })
        };
        let look = async move {
            match timeout(LOOK_MAX, look).await {
                Ok(seen) => Answer::Read(seen.map_err(|error| error.in_full().to_string())),
                Err(_) => {
                    Answer::Read(Err(format!("the store gave no answer within {LOOK_MAX:?}")))
                }
            }
        };
        Some(look.boxed())
    }

    /// Takes what others wrote.
    fn on_seen(&self, queue: &mut Queue, looks: &mut Looks, seen: Seen) {
        let rules = self.engine.rules();
        looks.shown.extend(rules.rules.iter().map(|rule| rule.name.to_string()));
        looks.shown.extend(seen.open.iter().map(|incident| incident.rule.clone()));
        for (rule, number) in numbers(&seen.open, &looks.shown) {
            metrics::gauge!(FIRING, "rule" => rule.to_owned()).set(number);
        }
        looks.on_seen(!seen.open.is_empty() || !seen.to_serve.is_empty());
        self.outbox.wake(|target| seen.to_serve.iter().any(|it| it == target));
        let unconfirmed = seen.unconfirmed.filter(|_| looks.on_confirmed(boot()));
        let open: HashMap<&str, &AlertIncident> =
            seen.open.iter().map(|incident| (incident.id.as_str(), incident)).collect();
        let mut ends: Vec<AlertChange> = Vec::new();
        for it in unconfirmed.unwrap_or_default() {
            if let Some(incident) = open.get(it.id.as_str())
                && let Some(how) = ended(incident, &it, (&rules, &self.name), self.confirm)
            {
                ends.push(self.abandoned(incident, how, &rules));
            }
        }
        self.engine.sync(&seen.open, seen.silences);
        if !ends.is_empty() {
            queue.work = Some(write(self.store.clone(), ends));
        }
    }

    /// The end of an incident that no collector stands behind, for all that were told of it.
    fn abandoned(
        &self,
        incident: &AlertIncident,
        ended: &'static str,
        rules: &AlertRules,
    ) -> AlertChange {
        let at_ns = now_ns();
        let over = AlertIncident {
            resolved_ns: Some(at_ns),
            ended: Some(ended.to_owned()),
            ..incident.clone()
        };
        let message = EndMessage {
            body: json(&self.facts(&over, rules)),
            unwanted: self.outbox.unwanting(Severity::of_name(&over.severity), true),
            ..EndMessage::default()
        };
        let AlertIncident { id, rule, subject, fired_ns, worst, worst_ns, .. } = over;
        let which = AlertRef { id, rule, subject, fired_ns };
        AlertChange::Resolve(AlertEnd { which, at_ns, worst, worst_ns, ended }, message)
    }
}

impl Queue {
    fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            written: Vec::new(),
            most: BATCH,
            notes_sent: false,
            work: None,
            retry_at: Instant::now(),
            failures: Failures::new(),
        }
    }

    /// Begins to write what waits, if the store is free.
    fn write(&mut self, store: &Arc<dyn Database>) {
        if self.work.is_some() || self.waiting.is_empty() || Instant::now() < self.retry_at {
            return;
        }
        let most = self.most.min(self.waiting.len());
        let mut entries: Vec<QueuedChange> = self.waiting.drain(..most).collect();
        // Two collectors change incidents in the same order, so that neither waits for the other.
        entries.sort_by(|a, b| a.key().cmp(&b.key()));
        let with_sent = |entry: QueuedChange| (entry.sent(), entry);
        self.written = entries.into_iter().map(with_sent).map(|(sent, it)| (it, sent)).collect();
        let changes = self.written.iter().map(|(entry, _)| entry.change()).collect();
        self.work = Some(write(store.clone(), changes));
    }

    /// What the store answers; `None` if something else is due first: a message without the store, or the
    /// next write.
    async fn next(&mut self) -> Option<Answer> {
        let messages = self.entries().filter_map(QueuedChange::impatient_at).min();
        let retry = (self.work.is_none() && !self.waiting.is_empty()).then_some(self.retry_at);
        let due = async {
            match messages.into_iter().chain(retry).min() {
                Some(at) => sleep_until(at.into()).await,
                None => pending().await,
            }
        };
        let work = async {
            match &mut self.work {
                Some(work) => work.await,
                None => pending().await,
            }
        };
        let answer = tokio::select! {
            answer = work => answer,
            () = due => return None,
        };
        self.work = None;
        Some(answer)
    }

    fn send_what_is_due(&mut self, outbox: &AlertOutbox) {
        let now = Instant::now();
        if !self.entries().any(|it| it.is_due(now)) {
            return;
        }
        let untold = self.entries().flat_map(QueuedChange::untold).collect();
        let written = self.written.iter_mut().map(|(entry, _)| entry);
        self.waiting.iter_mut().chain(written).for_each(|it| it.send_if_due(outbox, now, &untold));
    }

    /// All that is not known to be stored.
    fn entries(&self) -> impl Iterator<Item = &QueuedChange> {
        self.waiting.iter().chain(self.written.iter().map(|(entry, _)| entry))
    }

    /// Puts changes in front again.
    fn put_back(&mut self, entries: impl DoubleEndedIterator<Item = QueuedChange>) {
        entries.rev().for_each(|entry| self.waiting.push_front(entry));
    }
}

fn write(store: Arc<dyn Database>, changes: Vec<AlertChange>) -> Work {
    let write = async move {
        match timeout(WRITE_MAX, store.change_alerts(&changes, now_ns())).await {
            Ok(Ok(())) => Answer::Written(Ok(()), false),
            Ok(Err(error)) => {
                let refused = matches!(error, StoreError::Refused { .. });
                Answer::Written(Err(error.in_full().to_string()), refused)
            }
            Err(_) => {
                let why = format!("the store gave no answer within {WRITE_MAX:?}");
                Answer::Written(Err(why), false)
            }
        }
    };
    write.boxed()
}

/// How many incidents of each rule are open: also 0 of one that is gone.
fn numbers<'a>(
    open: &[AlertIncident],
    rules: &'a BTreeSet<String>,
) -> impl Iterator<Item = (&'a str, f64)> {
    let mut numbers: BTreeMap<&str, f64> = rules.iter().map(|rule| (rule.as_str(), 0.0)).collect();
    for incident in open {
        if let Some(number) = numbers.get_mut(incident.rule.as_str()) {
            *number += 1.0;
        }
    }
    numbers.into_iter()
}

/// The facts of a message as the store keeps them.
fn json(facts: &MessageFacts) -> String {
    // It has no maps with other keys than texts, which alone can fail.
    serde_json::to_string(facts).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_is_gone_counts_its_open_incidents_and_then_none() {
        let rules = BTreeSet::from(["full".to_owned(), "gone".to_owned()]);
        let open = AlertIncident { rule: "gone".into(), ..AlertIncident::default() };
        let counted = |open: &[AlertIncident]| numbers(open, &rules).collect::<Vec<_>>();
        assert_eq!(counted(&[open.clone(), open]), [("full", 0.0), ("gone", 2.0)]);
        assert_eq!(counted(&[]), [("full", 0.0), ("gone", 0.0)]);
    }
}
