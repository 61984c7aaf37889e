//! The outbox of a target while the store is away: what is sent from memory. As from the store, people get
//! many messages as one, and what is refused is tried again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{join_all, pending};
use settings::{Failures, words};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, sleep_until};

use super::delivery::{LINES_MAX, SINGLE_MAX, count, digest, wait};
use super::message::MessageFacts;
use super::targets::{SendError, Target};

/// Most messages that wait for one target: as many as changes wait for the store. The others are offered again.
pub(super) const MEMORY_MAX: usize = 4096;

/// Attempts to send a message: for an hour.
const ATTEMPTS: u32 = 20;

/// How long it is waited for more, so that what happens at once is told at once.
const GATHERED: Duration = Duration::from_millis(100);

/// A message, to be sent.
pub(super) struct MemoryMessage {
    facts: MessageFacts,
    attempts: u32,
    due: Instant,
    verdict: Arc<AtomicU8>,
    /// `None`: it is sent whoever waits for it.
    asked: Option<oneshot::Receiver<()>>,
}

/// A message that is being sent. If it is dropped, the message is not sent any more.
pub(super) struct MemoryDelivery {
    verdict: Arc<AtomicU8>,
    ask: oneshot::Sender<()>,
}

const WAITS: u8 = 0;
const SENT: u8 = 1;
const GIVEN_UP: u8 = 2;

impl MemoryDelivery {
    pub fn is_sent(&self) -> bool {
        self.verdict.load(Ordering::Relaxed) == SENT
    }

    pub fn has_failed(&self) -> bool {
        self.verdict.load(Ordering::Relaxed) == GIVEN_UP
    }

    /// True if nobody sends it: its target is no longer there, or has changed.
    pub fn is_lost(&self) -> bool {
        let alone = Arc::strong_count(&self.verdict) == 1;
        alone && self.verdict.load(Ordering::Relaxed) == WAITS
    }

    /// It is sent although nobody waits for it.
    pub fn forget(self) {
        // Without a receiver it was sent already.
        let _over = self.ask.send(());
    }
}

impl MemoryMessage {
    /// A message, and what becomes of it.
    pub fn new(facts: MessageFacts) -> (Self, MemoryDelivery) {
        let ((ask, asked), verdict) = (oneshot::channel(), Arc::new(AtomicU8::new(WAITS)));
        let sending = MemoryDelivery { verdict: verdict.clone(), ask };
        let (due, asked) = (Instant::now(), Some(asked));
        (Self { facts, attempts: 0, due, verdict, asked }, sending)
    }

    /// Waits until it is not to be sent any more.
    async fn dropped(&mut self) {
        if let Some(asked) = &mut self.asked {
            let kept = asked.await.is_ok();
            self.asked = None;
            if !kept {
                return;
            }
        }
        pending().await
    }

    fn is_dropped(&mut self) -> bool {
        match self.asked.as_mut().map(oneshot::Receiver::try_recv) {
            Some(Err(oneshot::error::TryRecvError::Closed)) => true,
            Some(Ok(())) => {
                self.asked = None;
                false
            }
            _ => false,
        }
    }

    fn end(&self, verdict: u8) {
        self.verdict.store(verdict, Ordering::Relaxed);
    }
}

/// Sends the messages of one target.
pub(super) struct MemoryOutbox {
    target: Arc<Target>,
    waiting: Vec<MemoryMessage>,
    failures: Failures<String>,
}

impl MemoryOutbox {
    pub const fn new(target: Arc<Target>) -> Self {
        Self { target, waiting: Vec::new(), failures: Failures::new() }
    }

    /// Runs until nobody can give it messages.
    pub async fn run(mut self, mut messages: mpsc::Receiver<MemoryMessage>) {
        loop {
            let next = self.waiting.iter().map(|it| it.due).min();
            let due = async {
                match next {
                    Some(due) => sleep_until(due.into()).await,
                    None => pending().await,
                }
            };
            let room = self.waiting.len() < MEMORY_MAX;
            tokio::select! {
                message = messages.recv(), if room => match message {
                    Some(message) => self.waiting.push(message),
                    None => return,
                },
                () = due => {}
            }
            if self.target.is_for_people() {
                sleep(GATHERED).await;
            }
            while self.waiting.len() < MEMORY_MAX
                && let Ok(message) = messages.try_recv()
            {
                self.waiting.push(message);
            }
            self.waiting.retain_mut(|it| !it.is_dropped());
            self.send_due().await;
        }
    }

    /// Sends what is due, the oldest first.
    async fn send_due(&mut self) {
        let now = Instant::now();
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|it| it.due <= now);
        self.waiting = later;
        let mut due = due.into_iter();
        loop {
            let some: Vec<MemoryMessage> = due.by_ref().take(LINES_MAX).collect();
            if some.is_empty() {
                return;
            }
            for (message, sent) in self.send(some).await {
                self.on_sent(message, sent);
            }
        }
    }

    /// Sends some messages. Without a result they were dropped meanwhile.
    async fn send(
        &self,
        mut some: Vec<MemoryMessage>,
    ) -> Vec<(MemoryMessage, Option<Result<(), SendError>>)> {
        if self.target.is_for_people() && some.len() > SINGLE_MAX {
            let facts = digest(some.iter().map(|it| &it.facts));
            let sent = tokio::select! {
                sent = self.target.send(&facts) => Some(sent),
                _ = join_all(some.iter_mut().map(MemoryMessage::dropped)) => None,
            };
            return some.into_iter().map(|it| (it, sent.clone())).collect();
        }
        let send = async |mut message: MemoryMessage| {
            let facts = message.facts.clone();
            let sent = tokio::select! {
                sent = self.target.send(&facts) => Some(sent),
                () = message.dropped() => None,
            };
            (message, sent)
        };
        join_all(some.into_iter().map(send)).await
    }

    fn on_sent(&mut self, mut message: MemoryMessage, sent: Option<Result<(), SendError>>) {
        let name = &self.target.name;
        match sent {
            None => {}
            Some(Ok(())) => {
                count(name, "sent", 1);
                message.end(SENT);
                if self.failures.succeeded() {
                    tracing::info!(target = name, "alerts are delivered again");
                }
            }
            Some(Err(SendError::Later(why) | SendError::Refused(why))) => {
                count(name, "retried", 1);
                if let Some(tell) = self.failures.failed(words(&why), Instant::now()) {
                    tracing::warn!(target = name, why, "an alert was not delivered yet{tell}");
                }
                message.attempts += 1;
                if message.attempts >= ATTEMPTS {
                    message.end(GIVEN_UP);
                } else {
                    message.due = Instant::now() + wait(message.attempts);
                    self.waiting.push(message);
                }
            }
        }
    }
}
