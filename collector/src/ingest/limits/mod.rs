//! Limits per client and in total, and their current use.

mod budget;
mod enrolments;
mod handshakes;
mod usage;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quinn::Connection;
use settings::{SharedFailures, Size};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use wire::frame::Frame;
use wire::id::ClientId;
use wire::message::Inventory;
use wire::tag::TagSet;

pub use self::budget::{Budget, Share};
use self::enrolments::Enrolments;
pub use self::handshakes::{Handshakes, Origin, Slot, Step};
use self::usage::Usage;
pub use self::usage::{ClientLimits, Limit};
use crate::writer::ClientShare;

/// Close code of a connection that gave way to newer ones of its client.
const CLOSE_NEWER: u32 = 3;

/// Number of accounts above which unused ones are dropped.
const ACCOUNTS: usize = 1024;

/// Limits of all clients together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TotalLimits {
    /// Connected agents.
    pub connections: usize,
    /// Handshakes at once.
    pub handshakes: usize,
    /// Handshakes at once of one address.
    pub address_handshakes: usize,
    /// Memory for frames that wait for a missing one, bytes.
    pub waiting: usize,
}

/// The limits and their current use.
#[derive(Debug, Clone)]
pub struct Quotas(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    total: TotalLimits,
    client: ClientLimits,
    connections: Arc<Semaphore>,
    waiting: Budget,
    accounts: Mutex<HashMap<ClientId, Account>>,
    enrolments: Mutex<Enrolments<Connection>>,
    /// Wakes when an enrolment is over or may give way.
    enrolment_room: Notify,
    started: Instant,
}

impl Quotas {
    /// Unused limits.
    #[must_use]
    pub fn new(total: TotalLimits, client: ClientLimits) -> Self {
        let connections = Arc::new(Semaphore::new(total.connections.min(Semaphore::MAX_PERMITS)));
        let (waiting, accounts) = (Budget::new(total.waiting), Mutex::default());
        Self(Arc::new(Inner {
            total,
            client,
            connections,
            waiting,
            accounts,
            enrolments: Mutex::default(),
            enrolment_room: Notify::new(),
            started: Instant::now(),
        }))
    }

    /// The limits of all clients together.
    #[must_use]
    pub fn total(&self) -> &TotalLimits {
        &self.0.total
    }

    /// The limits of each client.
    #[must_use]
    pub fn client(&self) -> &ClientLimits {
        &self.0.client
    }

    /// A place for an agent that connects; `None` if all are taken.
    #[must_use]
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.0.connections.clone().try_acquire_owned().ok()
    }

    /// A place for a connection that comes to enrol. The oldest connection that has asked for nothing
    /// gives way. Waits while every candidate is busy.
    pub async fn enrolment(&self, connection: &Connection) -> Enrolment {
        let origin = Origin::of(connection.remote_address().ip());
        loop {
            let room = self.0.enrolment_room.notified();
            let entered = self.enrolments().enter(origin, connection.clone());
            let Some((number, gives_way)) = entered else {
                room.await;
                continue;
            };
            if let Some(old) = gives_way {
                count("enrolments");
                old.close(CLOSE_NEWER.into(), b"it requested nothing while others wanted to enrol");
            }
            return Enrolment { limits: self.clone(), number };
        }
    }

    fn enrolments(&self) -> MutexGuard<'_, Enrolments<Connection>> {
        self.0.enrolments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The usage of a client, kept across its connections.
    #[must_use]
    pub fn account(&self, client: &ClientId) -> Account {
        let mut accounts = self.0.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get(client) {
            return account.clone();
        }
        if accounts.len() >= ACCOUNTS {
            let now = self.now();
            accounts.retain(|_, it| Arc::strong_count(&it.0) > 1 || !it.usage().is_fresh(now));
        }
        let bytes = |size: Size| usize::try_from(size.0).unwrap_or(usize::MAX);
        let account = Account(Arc::new(Client {
            client: client.clone(),
            limits: self.clone(),
            usage: Mutex::new(Usage::new(&self.0.client)),
            waiting: Budget::new(bytes(self.0.client.waiting)),
            share: ClientShare::new(bytes(self.0.client.queued)),
            introducing: Mutex::default(),
        }));
        accounts.insert(client.clone(), account.clone());
        account
    }

    fn now(&self) -> Duration {
        self.0.started.elapsed()
    }
}

/// The place of an enrolment.
#[derive(Debug)]
pub struct Enrolment {
    limits: Quotas,
    number: u64,
}

impl Enrolment {
    /// Sets whether the collector works on the request; while it does, the enrolment doesn't give way.
    pub fn set_busy(&self, busy: bool) {
        self.limits.enrolments().set_busy(self.number, busy);
        if !busy {
            self.limits.0.enrolment_room.notify_waiters();
        }
    }
}

impl Drop for Enrolment {
    fn drop(&mut self) {
        self.limits.enrolments().leave(self.number);
        self.limits.0.enrolment_room.notify_waiters();
    }
}

/// The usage of one client.
#[derive(Debug, Clone)]
pub struct Account(Arc<Client>);

#[derive(Debug)]
struct Client {
    client: ClientId,
    limits: Quotas,
    usage: Mutex<Usage>,
    waiting: Budget,
    share: ClientShare,
    introducing: Mutex<Introducing>,
}

/// Connections not welcomed yet, the oldest first.
#[derive(Debug, Default)]
struct Introducing {
    next: u64,
    connections: VecDeque<(u64, Connection)>,
}

/// A connection not welcomed yet.
#[derive(Debug)]
pub struct Entry {
    account: Account,
    number: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.account.introducing().connections.retain(|(number, _)| *number != self.number);
    }
}

/// Memory of a frame that waits for a missing one.
#[derive(Debug)]
pub struct Memory {
    _of_client: Share,
    _of_all: Share,
}

/// Clients over their limits. Rate-limits the log.
static OVER: SharedFailures<(ClientId, &'static str)> = SharedFailures::new();

impl Account {
    /// Registers a new connection of the client. If there are too many, closes the oldest ones not
    /// welcomed yet.
    #[must_use]
    pub fn enter(&self, connection: &Connection) -> Entry {
        let mut introducing = self.introducing();
        let number = introducing.next;
        introducing.next += 1;
        introducing.connections.push_back((number, connection.clone()));
        let mut old = Vec::new();
        while introducing.connections.len() > self.limits().connections {
            old.extend(introducing.connections.pop_front());
        }
        drop(introducing);
        for (_, connection) in old {
            let said = self.on_over(Limit::Connections);
            connection.close(CLOSE_NEWER.into(), said.as_bytes());
        }
        Entry { account: self.clone(), number }
    }

    /// Waits until the client is within all the limits given.
    pub async fn ready(&self, limits: &[Limit]) {
        while let Some(wait) = self.over(limits) {
            tokio::time::sleep(wait).await;
        }
    }

    /// How long to wait, if the client is over one of the limits.
    pub fn over(&self, limits: &[Limit]) -> Option<Duration> {
        let (limit, wait) = self.usage().wait(limits, self.now())?;
        self.tell(limit);
        Some(wait)
    }

    /// Uses `count` of a limit.
    pub fn take(&self, limit: Limit, count: u64) {
        self.usage().take(limit, count, self.now());
    }

    /// Counts a frame or message of this size.
    pub fn take_bytes(&self, bytes: usize) {
        self.usage().take_bytes(bytes, self.now());
    }

    /// Counts the contents of a frame.
    pub fn take_frame(&self, frame: &Frame) {
        self.usage().take_frame(frame, self.now());
    }

    /// Counts an inventory.
    pub fn take_inventory(&self, inventory: &Inventory) {
        self.usage().take_inventory(inventory, self.now());
    }

    /// Lets tags through to the store; otherwise, the text about the limit. `known`: those that it has.
    ///
    /// # Errors
    /// That is one change too many.
    pub fn take_tags(&self, tags: &TagSet, known: &TagSet) -> Result<(), String> {
        // The usage is locked by this statement alone.
        let taken = self.usage().take_tags(tags, known, self.now());
        if taken { Ok(()) } else { Err(self.on_over(Limit::Retags)) }
    }

    /// Memory for a frame that waits for a missing one; `None` if there is none left.
    pub fn memory(&self, bytes: usize) -> Option<Memory> {
        let of_client = self.0.waiting.take(bytes);
        if of_client.is_none() {
            let _said = self.on_over(Limit::Waiting);
        }
        let of_all = self.0.limits.0.waiting.take(bytes);
        if of_all.is_none() {
            count("waiting_in_all");
        }
        Some(Memory { _of_client: of_client?, _of_all: of_all? })
    }

    /// The client's share of the memory for frames on the way to the store.
    #[must_use]
    pub fn share(&self) -> &ClientShare {
        &self.0.share
    }

    /// The client is over a limit. Returns the text about it.
    pub fn on_over(&self, limit: Limit) -> String {
        self.usage().on_over(limit, self.now());
        self.tell(limit);
        limit.said(self.limits())
    }

    /// Notices that the client hasn't received about the limits it is over.
    #[must_use]
    pub fn untold(&self) -> Vec<String> {
        let untold = self.usage().untold(self.now());
        untold.into_iter().map(|limit| limit.said(self.limits())).collect()
    }

    /// Texts about the limits that the client was over within the last hour.
    #[must_use]
    pub fn lately(&self) -> Vec<String> {
        let (usage, now) = (self.usage(), self.now());
        usage.lately(now).map(|limit| limit.said(self.limits())).collect()
    }

    fn tell(&self, limit: Limit) {
        count(limit.name());
        let client = &self.0.client;
        if let Some(tell) = OVER.failed((client.clone(), limit.name()), Instant::now()) {
            let said = limit.said(self.limits());
            tracing::warn!(%client, "a client uses {said}{tell}");
        }
    }

    fn limits(&self) -> &ClientLimits {
        &self.0.limits.0.client
    }

    fn now(&self) -> Duration {
        self.0.limits.now()
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.0.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn introducing(&self) -> MutexGuard<'_, Introducing> {
        self.0.introducing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a violation of a limit.
pub fn count(limit: &'static str) {
    metrics::counter!("netmon_collector_limited_total", "limit" => limit).increment(1);
}
