//! The outbox: sends the store's messages to their targets, each at least once. One task per target, so
//! that a target that hangs delays no other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use settings::{Failures, InFull, words};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::config::Severity;
use super::delivery::{LINES_MAX, RETRY_FIRST, SINGLE_MAX, count, digest, wait};
use super::memory_outbox::{MEMORY_MAX, MemoryDelivery, MemoryMessage, MemoryOutbox};
use super::message::MessageFacts;
use super::targets::{SendError, Target};
use crate::store::{
    ClaimedMessage, Database, MessageLease, MessageOutcome, SettledMessage, StoreError,
};
use crate::time::now_ns;

/// Wait before messages are asked for again after that failed.
const AGAIN: Duration = Duration::from_secs(2);

/// Messages sent at once to a webhook.
const AT_ONCE: usize = 8;

/// What a lease lasts longer than a message: to note what became of it.
const NOTING: Duration = Duration::from_secs(5);

/// Attempts until a message is given up: 24 hours. A target that refuses it is not asked as often.
const ATTEMPTS_MAX: u32 = 297;
const REFUSALS_MAX: u32 = 10;

/// How long it is tried to note what became of messages.
const SETTLING: Duration = Duration::from_secs(60);

/// Sends messages.
#[derive(Debug)]
pub struct AlertOutbox {
    store: Arc<dyn Database>,
    /// The number of this run.
    collector: u64,
    served: Mutex<HashMap<String, Served>>,
}

/// A target that is served.
#[derive(Debug)]
struct Served {
    target: Arc<Target>,
    /// There may be messages for it.
    news: Arc<Notify>,
    /// What is sent to it from memory.
    memory: mpsc::Sender<MemoryMessage>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Served {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl AlertOutbox {
    /// The outbox of a store, for a run of a collector with a random number.
    #[must_use]
    pub fn new(store: Arc<dyn Database>, collector: u64) -> Self {
        Self { store, collector, served: Mutex::default() }
    }

    /// Serves these targets from now on. What is being sent to one that has changed is sent again.
    pub fn serve(&self, targets: Vec<Target>) {
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        served.retain(|name, it| {
            targets.iter().any(|new| new.name == *name && new.is_same(&it.target))
        });
        for target in targets {
            let name = target.name.clone();
            served.entry(name).or_insert_with(|| {
                let target = Arc::new(target);
                for outcome in ["sent", "retried", "failed"] {
                    count(&target.name, outcome, 0);
                }
                let worker = Worker {
                    store: self.store.clone(),
                    target: target.clone(),
                    collector: self.collector,
                    failures: Failures::new(),
                };
                let news = Arc::new(Notify::new());
                let (memory, given) = mpsc::channel(MEMORY_MAX);
                let sender = MemoryOutbox::new(target.clone());
                let tasks =
                    [tokio::spawn(worker.run(news.clone())), tokio::spawn(sender.run(given))];
                Served { target, news, memory, tasks }
            });
        }
    }

    /// Sends a message without the store. `None` if there is no such target, or too much waits for it.
    pub(super) fn send_from_memory(
        &self,
        target: &str,
        facts: &MessageFacts,
    ) -> Option<MemoryDelivery> {
        let served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        let (message, sending) = MemoryMessage::new(facts.clone());
        served.get(target)?.memory.try_send(message).ok().map(|()| sending)
    }

    /// The targets that want no messages of a severity, or none that trouble is over.
    #[must_use]
    pub fn unwanting(&self, severity: Severity, resolved: bool) -> Vec<String> {
        let served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        let unwanting = served.iter().filter(|(_, it)| !it.target.wants(severity, resolved));
        unwanting.map(|(name, _)| name.clone()).collect()
    }

    /// There may be messages for these targets.
    pub fn wake(&self, which: impl Fn(&str) -> bool) {
        let served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        served.iter().filter(|(name, _)| which(name)).for_each(|(_, it)| it.news.notify_one());
    }
}

/// Serves one target.
struct Worker {
    store: Arc<dyn Database>,
    target: Arc<Target>,
    collector: u64,
    failures: Failures<String>,
}

impl Worker {
    async fn run(mut self, news: Arc<Notify>) {
        loop {
            match self.send_some().await {
                Ok(0) => news.notified().await,
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(error = %error.in_full(), "can't read the outbox of alerts");
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// Sends what is due; gives the number of messages.
    async fn send_some(&mut self) -> Result<usize, StoreError> {
        let people = self.target.is_for_people();
        let most = if people { LINES_MAX } else { AT_ONCE };
        let lease = MessageLease {
            collector: self.collector,
            lasts: self.target.timeout.saturating_add(NOTING),
        };
        let claimed = self.store.claim_messages(&self.target.name, lease, most, now_ns()).await?;
        let number = claimed.len();
        let mut some: Vec<(ClaimedMessage, MessageFacts)> = Vec::new();
        let mut outcomes = Vec::new();
        for message in claimed {
            match serde_json::from_str::<MessageFacts>(&message.body) {
                Ok(facts) => {
                    let facts = facts.of_incident(&message.incident, message.event);
                    some.push((message, facts));
                }
                Err(error) => {
                    let why = format!("its facts can't be read: {}", error.in_full());
                    outcomes.push(settled(&message, MessageOutcome::Failed(why)));
                }
            }
        }
        if people && some.len() > SINGLE_MAX {
            let facts = digest(some.iter().map(|(_, facts)| facts));
            let sent = self.target.send(&facts).await;
            for (message, _) in &some {
                outcomes.push(self.on_sent(message, sent.clone()));
            }
        } else {
            let sends = some.iter().map(|(_, facts)| self.target.send(facts));
            let sent = join_all(sends).await;
            for ((message, _), sent) in some.iter().zip(sent) {
                outcomes.push(self.on_sent(message, sent));
            }
        }
        self.settle(&outcomes).await;
        Ok(number)
    }

    fn on_sent(&mut self, message: &ClaimedMessage, sent: Result<(), SendError>) -> SettledMessage {
        let (name, error) = (self.target.name.clone(), sent.err());
        let outcome = match &error {
            None => MessageOutcome::Sent,
            Some(SendError::Later(why)) if message.attempts < ATTEMPTS_MAX => {
                MessageOutcome::Retry(wait(message.attempts), why.clone())
            }
            Some(SendError::Refused(why)) if message.attempts < REFUSALS_MAX => {
                MessageOutcome::Retry(wait(message.attempts), why.clone())
            }
            Some(SendError::Later(why) | SendError::Refused(why)) => {
                MessageOutcome::Failed(why.clone())
            }
        };
        match (&outcome, &error) {
            (MessageOutcome::Sent, _) => {
                count(&name, "sent", 1);
                if self.failures.succeeded() {
                    tracing::info!(target = name, "alerts are delivered again");
                }
            }
            (MessageOutcome::Retry(_, why), _) => {
                count(&name, "retried", 1);
                if let Some(tell) = self.failures.failed(words(why), Instant::now()) {
                    tracing::warn!(target = name, why, "an alert was not delivered yet{tell}");
                }
            }
            (MessageOutcome::Failed(why), _) => {
                count(&name, "failed", 1);
                let incident = &message.incident;
                tracing::error!(target = name, why, incident, "an alert is given up");
            }
        }
        settled(message, outcome)
    }

    /// Notes what became of messages: of those that were claimed together, together. If the store is away for
    /// long, they are sent again.
    async fn settle(&self, settled: &[SettledMessage]) {
        if settled.is_empty() {
            return;
        }
        let settle = async {
            loop {
                match self.store.settle_messages(&self.target.name, settled, now_ns()).await {
                    Ok(()) => return,
                    Err(error) => {
                        tracing::debug!(error = %error.in_full(), "can't note deliveries yet");
                        sleep(RETRY_FIRST).await;
                    }
                }
            }
        };
        let _late = timeout(SETTLING, settle).await;
    }
}

fn settled(message: &ClaimedMessage, outcome: MessageOutcome) -> SettledMessage {
    SettledMessage { incident: message.incident.clone(), event: message.event, outcome }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_end_after_a_day_or_ten_refusals() {
        let all: Duration = (1..ATTEMPTS_MAX).map(wait).sum();
        assert_eq!(all.as_secs() / 3600, 24);
        let refused: Duration = (1..REFUSALS_MAX).map(wait).sum();
        assert!(refused < Duration::from_secs(600), "{refused:?}");
    }
}
