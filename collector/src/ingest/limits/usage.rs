//! A client's usage of its limits. Decisions only; time is an argument.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use settings::Size;
use wire::frame::Frame;
use wire::id::NicName;
use wire::message::{Inventory, LIST_MAX};
use wire::tag::TagSet;

use crate::bucket::Bucket;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Interval between notices to a client about the same limit.
const TOLD_EVERY: Duration = HOUR;

/// Number of NIC names kept per client: some MiB for a client that invents names.
const NAMES_MAX: usize = 1 << 16;

/// Section `limits.client`: the limits of one client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientLimits {
    /// Connections at once that have not been welcomed yet, besides the one served. Beyond that, the
    /// newest stay. 1 to 1,000.
    pub connections: usize,
    /// Streams of frames at once; 1 to 10,000. Further ones wait.
    pub streams: u32,
    /// Connections that introduce themselves, a minute.
    pub introductions: u32,
    /// Frames and messages, a second.
    pub frames: u32,
    /// Rows (samples, mixes and lists of talkers of frames), a second.
    pub rows: u32,
    /// Bytes of frames and messages, a second; 2 MiB to 64 GiB.
    pub bytes: Size,
    /// NICs that were not known, a minute.
    pub nics: u32,
    /// Sessions that are opened, a minute.
    pub sessions: u32,
    /// Inventories, a minute. Of more, the newest is kept.
    pub inventories: u32,
    /// NICs that change in inventories (links that go up and down), a minute.
    pub links: u32,
    /// Certificates, an hour.
    pub renewals: u32,
    /// Messages with tags, a minute. Further ones are refused.
    pub tags: u32,
    /// Messages with other tags than before, an hour. Further ones are refused.
    pub retags: u32,
    /// Memory for frames that wait for a missing one; 2 MiB to 64 GiB.
    pub waiting: Size,
    /// Memory for frames that wait for the store, of writer.max_memory; 2 MiB to 64 GiB. A backlog
    /// goes on as it comes free.
    pub queued: Size,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            // An agent has one. A lost one may still be open, and `agent doctor` opens its own.
            connections: 8,
            streams: 64,
            // Covers an agent's quick retries, and the portions of an agent with thousands of sessions.
            introductions: 120,
            // 2,500 NICs at 10 ms are 250,000 rows in 62,500 frames and 70 MB a second.
            frames: 100_000,
            // Either store takes at least 330,000 rows a second (deploy/SCALING.md). A single client
            // leaves room for others, besides their equal shares of each batch.
            rows: 300_000,
            bytes: Size::mib(128),
            // The most that an inventory may name.
            nics: 4096,
            // An agent introduces up to 1,024 at once, and had made at most one every 5 s.
            sessions: 15_360,
            // Agents send at most one each sample interval, and typically one a day.
            inventories: 240,
            // All of 2,500 NICs go down and up three times.
            links: 15_000,
            // One is due every few weeks.
            renewals: 12,
            // An agent sends one after each welcome, and an hour after a refusal.
            tags: 60,
            // People try some in a row. Each makes new series in Prometheus and a row of history.
            retags: 12,
            // A correct agent has 1,024 frames of 1.2 KB in flight.
            waiting: Size::mib(4),
            // Three batches of writer.max_rows: one is committed while the others arrive.
            queued: Size::mib(16),
        }
    }
}

/// One of the limits of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Connections that introduce themselves.
    Introductions,
    /// Frames and messages.
    Frames,
    /// Rows.
    Rows,
    /// Bytes.
    Bytes,
    /// New NICs.
    Nics,
    /// Opened sessions.
    Sessions,
    /// Inventories.
    Inventories,
    /// NICs that change.
    Links,
    /// Certificates.
    Renewals,
    /// Messages with tags.
    Tags,
    /// Messages with other tags than before.
    Retags,
    /// Memory for frames that wait for a missing one.
    Waiting,
    /// Connections at once.
    Connections,
}

impl Limit {
    /// The limits that pause reading.
    pub const READING: [Self; 4] = [Self::Frames, Self::Rows, Self::Bytes, Self::Nics];

    /// The limits that delay an inventory. They include new NICs, because an agent that sends no frames
    /// would otherwise never receive their notice.
    pub const INVENTORY: [Self; 3] = [Self::Inventories, Self::Links, Self::Nics];

    const ALL: [Self; 13] = [
        Self::Introductions,
        Self::Frames,
        Self::Rows,
        Self::Bytes,
        Self::Nics,
        Self::Sessions,
        Self::Inventories,
        Self::Links,
        Self::Renewals,
        Self::Tags,
        Self::Retags,
        Self::Waiting,
        Self::Connections,
    ];

    /// Its name in the config, below `limits.client`, and as the label of metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Introductions => "introductions",
            Self::Frames => "frames",
            Self::Rows => "rows",
            Self::Bytes => "bytes",
            Self::Nics => "nics",
            Self::Sessions => "sessions",
            Self::Inventories => "inventories",
            Self::Links => "links",
            Self::Renewals => "renewals",
            Self::Tags => "tags",
            Self::Retags => "retags",
            Self::Waiting => "waiting",
            Self::Connections => "connections",
        }
    }

    /// The amount and its period; `None`: at once.
    fn rate(self, limits: &ClientLimits) -> (u64, Option<Duration>) {
        match self {
            Self::Introductions => (limits.introductions.into(), Some(MINUTE)),
            Self::Frames => (limits.frames.into(), Some(SECOND)),
            Self::Rows => (limits.rows.into(), Some(SECOND)),
            Self::Bytes => (limits.bytes.0, Some(SECOND)),
            Self::Nics => (limits.nics.into(), Some(MINUTE)),
            Self::Sessions => (limits.sessions.into(), Some(MINUTE)),
            Self::Inventories => (limits.inventories.into(), Some(MINUTE)),
            Self::Links => (limits.links.into(), Some(MINUTE)),
            Self::Renewals => (limits.renewals.into(), Some(HOUR)),
            Self::Tags => (limits.tags.into(), Some(MINUTE)),
            Self::Retags => (limits.retags.into(), Some(HOUR)),
            Self::Waiting => (limits.waiting.0, None),
            Self::Connections => (limits.connections as u64, None),
        }
    }

    /// The text about a client over this limit, for the client and the operator.
    #[must_use]
    pub fn said(self, limits: &ClientLimits) -> String {
        let (limit, period) = self.rate(limits);
        let per = match period {
            Some(SECOND) => " a second",
            Some(MINUTE) => " a minute",
            Some(_) => " an hour",
            None => " at once",
        };
        let amount = match self {
            Self::Bytes | Self::Waiting => Size(limit).to_string(),
            _ => limit.to_string(),
        };
        let then = match self {
            Self::Inventories | Self::Links => "the newest inventory is kept until later",
            Self::Renewals | Self::Tags | Self::Retags => {
                "further requests are refused until later"
            }
            Self::Waiting => "live frames after a lost one are requested again",
            Self::Connections => "the newest ones stay",
            _ => "the rest waits at the agent",
        };
        let name = self.name();
        format!("more than limits.client.{name} of the collector allows ({amount}{per}): {then}")
    }
}

/// The usage of one client.
#[derive(Debug)]
pub struct Usage {
    buckets: [Bucket; Limit::ALL.len()],
    nics: HashSet<NicName>,
    /// Each NIC of the newest inventory, with true if it is up.
    links: Option<HashMap<NicName, bool>>,
    /// The newest tags that were let through to the store, which may not have them yet.
    tags: Option<TagSet>,
    /// When the client was last over each limit, and when it last received a notice.
    over: [(Option<Duration>, Option<Duration>); Limit::ALL.len()],
}

impl Usage {
    /// No usage.
    #[must_use]
    pub fn new(limits: &ClientLimits) -> Self {
        let bucket = |limit: Limit| {
            let (count, period) = limit.rate(limits);
            Bucket::new(count, period.unwrap_or(Duration::ZERO))
        };
        Self {
            buckets: Limit::ALL.map(bucket),
            nics: HashSet::new(),
            links: None,
            tags: None,
            over: Default::default(),
        }
    }

    /// Uses `count` of a limit.
    pub fn take(&mut self, limit: Limit, count: u64, now: Duration) {
        self.buckets[limit as usize].take(count, now);
    }

    /// Counts a frame or message of this size.
    pub fn take_bytes(&mut self, bytes: usize, now: Duration) {
        self.take(Limit::Frames, 1, now);
        self.take(Limit::Bytes, bytes as u64, now);
    }

    /// Counts the contents of a frame.
    pub fn take_frame(&mut self, frame: &Frame, now: Duration) {
        let Frame { samples, mixes, talkers, .. } = frame;
        // A record of talkers has a list per direction, and its owners are rows of their own.
        let of_talkers = talkers.iter().map(|it| 2 + it.owners.len()).sum::<usize>();
        let rows = samples.len() + mixes.len() + of_talkers;
        self.take(Limit::Rows, rows as u64, now);
        let nics = samples.iter().map(|it| it.nic).chain(mixes.iter().map(|it| it.nic));
        self.take_nics(nics.chain(talkers.iter().map(|it| it.nic)), now);
    }

    /// Counts new NICs.
    pub fn take_nics(&mut self, nics: impl Iterator<Item = NicName>, now: Duration) {
        let mut new = 0;
        for nic in nics {
            if self.nics.len() >= NAMES_MAX {
                self.nics.clear();
            }
            new += u64::from(self.nics.insert(nic));
        }
        if new > 0 {
            self.take(Limit::Nics, new, now);
        }
    }

    /// Counts an inventory: itself, its new NICs, and those that came, went or changed their state.
    pub fn take_inventory(&mut self, inventory: &Inventory, now: Duration) {
        let links: HashMap<NicName, bool> =
            inventory.nics.iter().map(|nic| (nic.name, nic.up)).collect();
        let other = |(nic, up): &(&NicName, &bool), than: &HashMap<NicName, bool>| {
            than.get(*nic) != Some(*up)
        };
        let changed = self.links.as_ref().map_or(0, |before| {
            let gone = before.keys().filter(|nic| !links.contains_key(*nic)).count();
            gone + links.iter().filter(|link| other(link, before)).count()
        });
        self.take(Limit::Inventories, 1, now);
        self.take(Limit::Links, changed as u64, now);
        self.take_nics(links.keys().copied(), now);
        self.links = Some(links);
    }

    /// Lets tags through to the store, unless that is one change too many. `known`: those that it has.
    /// Requests are answered side by side, so what is no change for the store may be one after another that
    /// is on its way.
    pub fn take_tags(&mut self, tags: &TagSet, known: &TagSet, now: Duration) -> bool {
        if tags == known && self.tags.as_ref().is_none_or(|newest| newest == tags) {
            return true;
        }
        if self.wait(&[Limit::Retags], now).is_some() {
            return false;
        }
        self.take(Limit::Retags, 1, now);
        self.tags = Some(tags.clone());
        true
    }

    /// How long to wait until the client is within all the limits given; `None` if it is.
    pub fn wait(&mut self, limits: &[Limit], now: Duration) -> Option<(Limit, Duration)> {
        let waits = limits.iter().map(|limit| (*limit, self.buckets[*limit as usize].wait(now)));
        let longest = waits.max_by_key(|(_, wait)| *wait).filter(|(_, wait)| !wait.is_zero())?;
        self.on_over(longest.0, now);
        Some(longest)
    }

    /// The client is over a limit.
    pub fn on_over(&mut self, limit: Limit, now: Duration) {
        self.over[limit as usize].0 = Some(now);
    }

    /// The limits that the client was over and has received no notice about.
    pub fn untold(&mut self, now: Duration) -> Vec<Limit> {
        let mut untold = Vec::new();
        for (limit, (over, told)) in Limit::ALL.into_iter().zip(&mut self.over) {
            let since = told.map_or(Duration::MAX, |told| now.saturating_sub(told));
            if over.is_some_and(|over| told.is_none_or(|told| over > told)) && since >= TOLD_EVERY {
                *told = Some(now);
                untold.push(limit);
            }
        }
        untold
    }

    /// The limits that the client was over within the last hour.
    pub fn lately(&self, now: Duration) -> impl Iterator<Item = Limit> {
        let late = move |over: Option<Duration>| over.is_some_and(|at| now <= at + TOLD_EVERY);
        let all = Limit::ALL.into_iter().zip(&self.over);
        all.filter(move |(_, (over, _))| late(*over)).map(|(limit, _)| limit)
    }

    /// True if there is nothing to remember.
    #[must_use]
    pub fn is_fresh(&self, now: Duration) -> bool {
        self.buckets.iter().all(|bucket| bucket.is_full(now)) && self.lately(now).next().is_none()
    }
}

// All NICs of an inventory fit without waiting.
const _: () = assert!(NAMES_MAX >= LIST_MAX);

#[cfg(test)]
mod tests;
