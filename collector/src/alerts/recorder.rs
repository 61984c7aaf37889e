//! Writes what the engine emits into the store, with the messages about it, and reads what other
//! collectors wrote.
//!
//! While the store is away, messages are sent from memory, so that an alert about the store itself gets
//! out too. Once it is back, they are entered as sent. Then a message can come twice, from here and from
//! another collector, or after a crash.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use settings::{Failures, InFull, words};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::engine::{Emitted, Engine, What};
use super::message::{MessageFacts, Words};
use super::outbox::{AlertOutbox, count, wait};
use super::targets::{SendError, Target};
use crate::live::Live;
use crate::store::{
    AlertChange, AlertEnd, AlertEvent, AlertIncident, AlertRef, Database, QueuedMessage, StoreError,
};
use crate::time::{boot, now_ns};
use wire::id::ClientId;

/// Alerts that fire, by rule.
pub const FIRING: &str = "netmon_alerts_firing";

/// Interval between looks at what other collectors and operators wrote.
const SYNC: Duration = Duration::from_secs(2);

/// Most changes of one transaction.
const BATCH: usize = 256;

/// Wait before the store is tried again, and how long it may fail until messages are sent without it: of
/// the 5 s that an alert may take, time is left to send it.
const RETRY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);

/// Attempts to send a message without the store: for an hour.
const ATTEMPTS: u32 = 20;

/// An incident whose rule is gone ends after this long a run: another collector may have a newer config.
const ORPHANED: Duration = Duration::from_secs(600);

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
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("store", &self.store).finish_non_exhaustive()
    }
}

/// A change to write.
struct Entry {
    emitted: Emitted,
    /// The incident as it is after the change. Its id counts only if this change opens it.
    incident: AlertIncident,
    messages: Vec<Prepared>,
}

/// A message, and whether it was sent without the store.
struct Prepared {
    message: QueuedMessage,
    facts: MessageFacts,
    sent: Arc<AtomicBool>,
    sending: Option<JoinHandle<()>>,
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some(sending) = &self.sending {
            sending.abort();
        }
    }
}

impl Recorder {
    /// Runs forever.
    pub async fn run(self, mut emitted: mpsc::Receiver<Emitted>) {
        let (mut ticks, begin) = (interval(SYNC), boot());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut some, mut failures) = (Vec::new(), Failures::new());
        loop {
            tokio::select! {
                biased;
                number = emitted.recv_many(&mut some, BATCH) => {
                    if number == 0 {
                        return;
                    }
                    let entries = some.drain(..).map(|it| self.entry(it)).collect();
                    self.write(entries, &mut failures).await;
                }
                _ = ticks.tick() => {
                    if let Err(error) = self.sync(boot().saturating_sub(begin)).await {
                        tracing::debug!(error = %error.in_full(), "can't read alerts");
                    }
                }
            }
        }
    }

    /// Writes changes, however long it takes.
    async fn write(&self, mut entries: Vec<Entry>, failures: &mut Failures<String>) {
        // Two collectors change incidents in the same order, so that neither waits for the other.
        entries.sort_by(|a, b| key(a).cmp(&key(b)));
        let begin = Instant::now();
        loop {
            let changes: Vec<AlertChange> = entries.iter().map(Entry::change).collect();
            match self.store.change_alerts(&changes, now_ns()).await {
                Ok(()) => break,
                Err(error) => {
                    if let Some(tell) =
                        failures.failed(words(&error.in_full().to_string()), Instant::now())
                    {
                        let error = error.in_full().to_string();
                        tracing::error!(
                            error,
                            "alerts can't be stored; they are sent from memory{tell}"
                        );
                    }
                }
            }
            if begin.elapsed() >= PATIENCE {
                entries.iter_mut().for_each(|entry| self.send_without_store(entry));
            }
            sleep(RETRY).await;
        }
        if failures.succeeded() {
            tracing::info!("alerts are stored again");
        }
        entries.iter().for_each(|entry| self.engine.on_stored(&entry.emitted));
        self.outbox.wake();
    }

    fn send_without_store(&self, entry: &mut Entry) {
        let announced = entry.incident.announced;
        for prepared in &mut entry.messages {
            let due = prepared.message.held_until_ns <= now_ns();
            if let (None, true, true) = (&prepared.sending, announced, due)
                && let Some(target) = self.outbox.target(&prepared.message.target)
            {
                let (facts, sent) = (prepared.facts.clone(), prepared.sent.clone());
                prepared.sending = Some(tokio::spawn(send(target, facts, sent)));
            }
        }
    }

    /// The change of an incident, with its messages.
    fn entry(&self, emitted: Emitted) -> Entry {
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
        let mut messages = Vec::new();
        for name in &emitted.rule.targets {
            let target = self.outbox.target(name);
            if !target.is_some_and(|it| it.wants(emitted.rule.severity, resolved)) {
                continue;
            }
            match serde_json::to_string(&facts) {
                Ok(body) => messages.push(Prepared {
                    message: QueuedMessage {
                        target: name.clone(),
                        held_until_ns,
                        sent: false,
                        body,
                    },
                    facts: facts.clone().of_incident(&incident.id, event),
                    sent: Arc::default(),
                    sending: None,
                }),
                Err(error) => {
                    tracing::error!(error = %error.in_full(), "a message can't be written as JSON");
                }
            }
        }
        Entry { emitted, incident, messages }
    }

    /// Reads what others wrote.
    async fn sync(&self, run: Duration) -> Result<(), StoreError> {
        let open = self.store.open_alerts().await?;
        let silences = self.store.silences(now_ns()).await?;
        let rules = self.engine.rules();
        let mut firing: HashMap<&str, f64> = HashMap::new();
        for rule in &rules.rules {
            firing.insert(&rule.name, 0.0);
        }
        let mut orphans = Vec::new();
        for incident in &open {
            *firing.entry(&incident.rule).or_default() += 1.0;
            if run > ORPHANED && !rules.rules.iter().any(|rule| *rule.name == *incident.rule) {
                orphans.push(AlertChange::Resolve(
                    AlertEnd {
                        which: AlertRef {
                            rule: incident.rule.clone(),
                            subject: incident.subject.clone(),
                            fired_ns: incident.fired_ns,
                        },
                        at_ns: now_ns(),
                        worst: incident.worst,
                        worst_ns: incident.worst_ns,
                        ended: "rule_removed",
                    },
                    vec![],
                ));
            }
        }
        for (rule, number) in firing {
            metrics::gauge!(FIRING, "rule" => rule.to_owned()).set(number);
        }
        self.engine.sync(&open, silences);
        if !orphans.is_empty() {
            self.store.change_alerts(&orphans, now_ns()).await?;
        }
        Ok(())
    }
}

impl What {
    /// What its messages tell.
    const fn event(&self) -> AlertEvent {
        match self {
            Self::Fire { .. } | Self::Announce(_) => AlertEvent::Firing,
            Self::Resolve(..) => AlertEvent::Resolved,
        }
    }
}

impl Entry {
    fn change(&self) -> AlertChange {
        let messages = self.messages.iter().map(|prepared| QueuedMessage {
            sent: prepared.sent.load(Ordering::Relaxed),
            ..prepared.message.clone()
        });
        let messages = messages.collect();
        let AlertIncident { rule, subject, fired_ns, worst, worst_ns, .. } = &self.incident;
        let which =
            || AlertRef { rule: rule.clone(), subject: subject.clone(), fired_ns: *fired_ns };
        match &self.emitted.what {
            What::Fire { .. } if self.incident.announced => {
                AlertChange::Open(self.incident.clone(), messages)
            }
            What::Fire { .. } => AlertChange::Open(self.incident.clone(), vec![]),
            What::Announce(_) => AlertChange::Announce(which(), messages),
            What::Resolve(_, ended) => {
                let at_ns = self.emitted.at.wall_ns;
                let (which, worst, worst_ns) = (which(), *worst, *worst_ns);
                AlertChange::Resolve(AlertEnd { which, at_ns, worst, worst_ns, ended }, messages)
            }
        }
    }
}

/// What orders changes: those of one subject stay in their order.
fn key(entry: &Entry) -> (&str, &crate::store::AlertSubject) {
    (&entry.incident.rule, &entry.incident.subject)
}

/// The incident as it is after a change.
fn incident(emitted: &Emitted) -> AlertIncident {
    let Emitted { rule, subject, what, at, .. } = emitted;
    let (firing, value, detail, muted, ended) = match what {
        What::Fire { value, firing, detail, muted } => {
            (firing, *value, detail.clone(), muted.clone(), None)
        }
        What::Announce(firing) => (firing, firing.worst, String::new(), None, None),
        What::Resolve(firing, ended) => {
            (firing, firing.worst, String::new(), None, Some((*ended).to_owned()))
        }
    };
    AlertIncident {
        id: new_id(),
        rule: rule.name.to_string(),
        measure: rule.measure.name().to_owned(),
        severity: rule.severity.name().to_owned(),
        subject: subject.clone(),
        since_ns: firing.since_ns,
        fired_ns: firing.fired_ns,
        resolved_ns: ended.as_ref().map(|_| at.wall_ns),
        value,
        bound: rule.bounds.bound,
        worst: firing.worst,
        worst_ns: firing.worst_ns,
        detail,
        muted,
        announced: firing.announced,
        ended,
    }
}

/// A new id: 16 hexadecimal digits.
fn new_id() -> String {
    let mut random = [0; 8];
    if getrandom::fill(&mut random).is_err() {
        // Unique all the same: the clock doesn't stand still.
        random = now_ns().get().to_be_bytes();
    }
    format!("{:016x}", u64::from_be_bytes(random))
}

/// Sends a message without the store.
async fn send(target: Arc<Target>, facts: MessageFacts, sent: Arc<AtomicBool>) {
    for attempt in 1..=ATTEMPTS {
        match target.send(&facts).await {
            Ok(()) => {
                count(&target.name, "sent", 1);
                sent.store(true, Ordering::Relaxed);
                return;
            }
            Err(SendError::Later(why) | SendError::Refused(why)) => {
                count(&target.name, "retried", 1);
                tracing::warn!(target = target.name, why, "an alert was not delivered yet");
            }
        }
        sleep(wait(attempt)).await;
    }
}
