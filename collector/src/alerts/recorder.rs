//! Writes what the engine emits into the store, with the messages about it, and reads what other
//! collectors wrote.
//!
//! The store may fail, or take as long as it likes: what comes meanwhile waits in a queue, and after 2 s its
//! messages are sent from memory, so that an alert about the store itself gets out too. They have the ids
//! that the store gets later, and are entered as sent. A message can come twice then: from here and from
//! another collector, or after a crash.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
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

use super::emitted::Emitted;
use super::engine::Engine;
use super::looks::{IDLE, Looks, SYNC};
use super::message::{MessageFacts, Words};
use super::outbox::AlertOutbox;
use super::queued_change::{Prepared, QueuedChange, incident};
use crate::live::Live;
use crate::store::{
    AlertChange, AlertEnd, AlertEvent, AlertIncident, AlertRef, AlertSilence, Database,
    QueuedMessage, StoreError,
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

/// An incident whose rule is gone ends after this long a run: another collector may have a newer config.
const ORPHANED: Duration = Duration::from_secs(600);

/// Interval in which a collector confirms incidents about itself, and how long it may not, until another
/// one ends them.
const CONFIRM: Duration = Duration::from_secs(60);
const GONE: Duration = Duration::from_secs(3600);

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
    /// Incidents about collectors that are gone, if that was asked.
    gone: Option<Vec<String>>,
}

/// The changes that wait, and the work at the store.
struct Queue {
    waiting: VecDeque<QueuedChange>,
    /// Those that are being written, with how many of their messages were sent before.
    written: Vec<(QueuedChange, usize)>,
    /// Most changes of the next write: less after one that failed, to find a change that is refused, and for a
    /// store that is slow.
    most: usize,
    work: Option<Work>,
    retry_at: Instant,
    failures: Failures<String>,
}

impl Recorder {
    /// Runs until the engine is gone.
    pub async fn run(self, mut emitted: mpsc::Receiver<Emitted>) {
        let mut queue = Queue::new();
        let (begin, mut some) = (boot(), Vec::new());
        let mut looks = Looks::new(begin);
        loop {
            // Under a load of changes too, silences and other collectors are heard of.
            if queue.work.is_none() {
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
                    Some(Answer::Read(Err(error))) => looks.on_failed(&error),
                    None => {}
                },
                () = sleep(looks.wait()), if queue.work.is_none() => {}
            }
            queue.send_what_is_due(&self.outbox);
        }
    }

    /// Takes what became of a write.
    fn on_written(&self, queue: &mut Queue, written: Result<(), String>, refused: Refused) {
        let entries = std::mem::take(&mut queue.written);
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
                queue.put_back(again.into_iter().map(|(entry, _)| entry));
                self.outbox.wake();
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
        let client = ClientId::new(&incident.subject.client).ok();
        let alias = client.and_then(|id| self.live.client(&id)).map(|it| it.alias);
        let (alias, url) = (alias.unwrap_or_default(), (self.url)());
        let words = Words { alias: &alias, url: url.as_deref(), zone: &rules.zone };
        let facts = MessageFacts::new(&incident, &emitted.rule, words);
        let event = emitted.what.event();
        let resolved = event == AlertEvent::Resolved;
        // Trouble that is over in quiet hours is told after them.
        let quiet = emitted.rule.quiet_until(emitted.at.wall_ns, &rules.zone);
        let held_until_ns = quiet.filter(|_| resolved).unwrap_or_default();
        let wants = |name: &&String| {
            let target = self.outbox.target(name);
            target.is_some_and(|it| it.wants(emitted.rule.severity, resolved))
        };
        let mut targets = emitted.rule.targets.iter().filter(wants).peekable();
        let mut messages = Vec::new();
        if targets.peek().is_some() {
            match serde_json::to_string(&facts) {
                Ok(body) => {
                    let facts = facts.of_incident(&incident.id, event);
                    messages.extend(targets.map(|name| {
                        let (target, body) = (name.clone(), body.clone());
                        let message = QueuedMessage { target, held_until_ns, sent: false, body };
                        Prepared::new(message, facts.clone())
                    }));
                }
                Err(error) => {
                    tracing::error!(error = %error.in_full(), "a message can't be written as JSON");
                }
            }
        }
        QueuedChange::new(emitted, incident, messages)
    }

    /// Reads what others wrote, if it is time to.
    fn look(&self, looks: &mut Looks) -> Option<Work> {
        let now = boot();
        let every = if self.engine.rules().rules.is_empty() { IDLE } else { SYNC };
        if now.saturating_sub(looks.looked) < every && looks.looked > Duration::ZERO {
            return None;
        }
        looks.looked = now;
        let confirms = now.saturating_sub(looks.confirmed) >= CONFIRM;
        if confirms {
            looks.confirmed = now;
        }
        let (store, name) = (self.store.clone(), self.name.clone());
        let look = async move {
            let (open, silences) = (store.open_alerts().await?, store.silences(now_ns()).await?);
            let gone = match confirms {
                true => Some(store.confirm_alerts(&name, GONE, now_ns()).await?),
                false => None,
            };
            Ok::<_, StoreError>(Seen { open, silences, gone })
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
        let ripe = boot().saturating_sub(looks.begin) > ORPHANED;
        let is_orphan = |incident: &&AlertIncident| {
            ripe && !rules.rules.iter().any(|rule| *rule.name == *incident.rule)
        };
        let orphans: Vec<AlertChange> = seen.open.iter().filter(is_orphan).map(orphaned).collect();
        if looks.failures.succeeded() {
            tracing::info!("the store tells of alerts again");
        }
        if let Some(gone) = &seen.gone {
            // After an outage of the store, the others too must be able to confirm theirs first.
            let since = *looks.confirming_since.get_or_insert_with(boot);
            if boot().saturating_sub(since) >= CONFIRM * 5 {
                self.engine.on_gone(gone);
            }
        }
        self.engine.sync(&seen.open, seen.silences);
        if !orphans.is_empty() {
            queue.work = Some(write(self.store.clone(), orphans));
        }
    }
}

impl Queue {
    fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            written: Vec::new(),
            most: BATCH,
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

/// The end of an incident whose rule is gone.
fn orphaned(incident: &AlertIncident) -> AlertChange {
    let AlertIncident { id, rule, subject, fired_ns, worst, worst_ns, .. } = incident.clone();
    let which = AlertRef { id, rule, subject, fired_ns };
    let (at_ns, ended) = (now_ns(), "rule_removed");
    AlertChange::Resolve(AlertEnd { which, at_ns, worst, worst_ns, ended }, vec![])
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
