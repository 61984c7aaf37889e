//! The tags of clients: what agents and operators say now, and which tag counted when. Pure: every store
//! decides the same.
//!
//! A change counts from the 5-minute mark (UTC) before it, and what counted until then stays: retagging
//! doesn't rewrite history. Marks are the times of `bandwidth_5m`, so that rows and rollups agree to the
//! byte. A sample counts to the tags that were valid at its start, whenever it arrives; of several changes
//! between two marks, the last is valid. A tag of the collector goes before the agent's with the same key.

use std::collections::{BTreeSet, HashSet};

use wire::WallNs;
use wire::tag::{TAGS_MAX, Tag, TagError, TagKey, TagSet};

use crate::store::rows::rollups::FIVE_MINUTES_NS;

/// Most intervals of one client by its agent, and as many by operators: a change of every tag each day, for
/// as long as rollups are kept. Beyond that, tags stay as they are until old intervals expire. Each has its
/// own, so that no agent takes the operators' place.
pub const INTERVALS_MAX: usize = 8192;

/// How often it is noted that an agent says the same tags again.
pub const HEARD_EVERY_NS: u64 = 3_600_000_000_000;

/// Who says a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TagSource {
    /// The agent's config (`client.tags`).
    Agent,
    /// An operator at the collector (`collector tag`), who wins.
    Collector,
}

impl TagSource {
    /// Its name, as in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Collector => "collector",
        }
    }

    /// The source of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        [Self::Agent, Self::Collector].into_iter().find(|source| source.name() == name)
    }
}

/// When a tag of a client counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TagInterval {
    /// The key.
    pub key: TagKey,
    /// The value.
    pub value: String,
    /// Who said it.
    pub source: TagSource,
    /// From this time on, nanoseconds since 1970 (UTC).
    pub from_ns: WallNs,
    /// Until this time, not included; `None`: it still counts.
    pub to_ns: Option<WallNs>,
}

/// What an operator changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagChange {
    /// Sets a tag.
    Set(Tag),
    /// Removes the collector's tag with this key; the agent's counts again.
    Remove(TagKey),
}

impl std::str::FromStr for TagChange {
    type Err = TagError;

    /// `key=value` or `key-`.
    fn from_str(text: &str) -> Result<Self, TagError> {
        match text.strip_suffix('-') {
            Some(key) if !text.contains('=') => Ok(Self::Remove(TagKey::new(key)?)),
            _ => Ok(Self::Set(text.parse()?)),
        }
    }
}

/// What agent and collector say of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientTags {
    /// The agent's tags.
    pub agent: TagSet,
    /// The collector's.
    pub collector: TagSet,
}

impl ClientTags {
    /// The tags that count.
    #[must_use]
    pub fn counting(&self) -> TagSet {
        self.agent.under(&self.collector)
    }

    /// Who says a key that counts.
    #[must_use]
    pub fn source(&self, key: &TagKey) -> Option<TagSource> {
        let collector = self.collector.get(key).map(|_| TagSource::Collector);
        collector.or_else(|| self.agent.get(key).map(|_| TagSource::Agent))
    }

    /// Every tag, with who says it.
    pub(in crate::store) fn iter(&self) -> impl Iterator<Item = (TagSource, &TagKey, &str)> {
        let agent = self.agent.iter().map(|(key, value)| (TagSource::Agent, key, value));
        let collector = self.collector.iter();
        agent.chain(collector.map(|(key, value)| (TagSource::Collector, key, value)))
    }

    /// Sets a tag of a source.
    pub(in crate::store) fn set(&mut self, source: TagSource, tag: Tag) {
        match source {
            TagSource::Agent => self.agent.set(tag),
            TagSource::Collector => self.collector.set(tag),
        }
    }
}

/// The tags of one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedClient {
    /// Its id.
    pub client: String,
    /// Its tags.
    pub tags: ClientTags,
}

/// Why tags are not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagsRefused {
    /// Too many tags of one source.
    #[error(transparent)]
    Tags(#[from] TagError),
    /// Too many intervals.
    #[error(
        "the tags of this client have changed {INTERVALS_MAX} times by {}; they stay as they are until \
         the oldest of these changes are as old as rollups get (retention.rollup_5m)",
        match .0 { TagSource::Agent => "its agent", TagSource::Collector => "`collector tag`" }
    )]
    Changes(TagSource),
}

/// All that a store has about a client's tags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::store) struct TagHistory {
    /// What is said now.
    pub now: ClientTags,
    /// What counted when, in any order.
    pub intervals: Vec<TagInterval>,
    /// When the agent last said its tags, nanoseconds since 1970 (UTC).
    pub heard_ns: Option<WallNs>,
}

impl TagHistory {
    /// The agent says its tags, which it has had since `since_ns`: perhaps since long before it reached a
    /// collector, but not since before it said others.
    pub fn on_agent(
        &self,
        tags: &TagSet,
        since_ns: WallNs,
        now_ns: WallNs,
    ) -> Result<Self, TagsRefused> {
        let mut after = self.clone();
        let earliest_ns = self.heard_ns.filter(|heard_ns| *heard_ns <= now_ns).unwrap_or(WallNs(0));
        after.heard_ns = Some(now_ns);
        after.now.agent = tags.clone();
        after.change(self, since_ns.clamp(earliest_ns, now_ns.max(earliest_ns)), now_ns);
        after.within(self, TagSource::Agent)
    }

    /// An operator changes the collector's tags.
    pub fn on_collector(&self, changes: &[TagChange], now_ns: WallNs) -> Result<Self, TagsRefused> {
        let mut after = self.clone();
        for change in changes {
            match change {
                TagChange::Set(tag) => after.now.collector.set(tag.clone()),
                TagChange::Remove(key) => drop(after.now.collector.remove(key)),
            }
        }
        if after.now.collector.len() > TAGS_MAX {
            return Err(TagError::TooMany(after.now.collector.len()).into());
        }
        after.change(self, now_ns, now_ns);
        after.within(self, TagSource::Collector)
    }

    /// The client is forgotten: nothing is said of it any more.
    pub fn on_forgotten(&self, now_ns: WallNs) -> Self {
        let mut after = Self { now: ClientTags::default(), ..self.clone() };
        after.heard_ns = None;
        after.end_missing(self, now_ns, now_ns);
        after
    }

    /// The intervals that `before` has and this one doesn't, and those that are new.
    pub fn differences<'a>(
        &'a self,
        before: &'a Self,
    ) -> (Vec<&'a TagInterval>, Vec<&'a TagInterval>) {
        let set = |it: &'a Self| it.intervals.iter().collect::<HashSet<_>>();
        let (old, new) = (set(before), set(self));
        (old.difference(&new).copied().collect(), new.difference(&old).copied().collect())
    }

    /// Makes the intervals of what differs from `before`.
    fn change(&mut self, before: &Self, since_ns: WallNs, now_ns: WallNs) {
        self.end_missing(before, since_ns, now_ns);
        let counting = self.now.counting();
        for (key, value) in counting.iter() {
            let Some(source) = self.now.source(key) else { continue };
            let said = |tags: &ClientTags| tags.counting().get(key) == Some(value);
            if said(&before.now) && before.now.source(key) == Some(source) {
                continue;
            }
            let from_ns = self.end(key, since_ns, now_ns);
            let same = |it: &&mut TagInterval| {
                it.key == *key
                    && it.to_ns == Some(from_ns)
                    && it.value == value
                    && it.source == source
            };
            // Back to what it was at the mark.
            if let Some(same) = self.intervals.iter_mut().find(same) {
                same.to_ns = None;
                continue;
            }
            let (key, value) = (key.clone(), value.to_owned());
            self.intervals.push(TagInterval { key, value, source, from_ns, to_ns: None });
        }
    }

    /// Refuses what has made too many intervals of the one who changes. An operator who removes a tag may
    /// bring back one of an agent that has none left.
    fn within(self, before: &Self, source: TagSource) -> Result<Self, TagsRefused> {
        let count = |it: &Self| it.intervals.iter().filter(|it| it.source == source).count();
        let grown = count(&self) > count(before);
        if grown && count(&self) > INTERVALS_MAX {
            Err(TagsRefused::Changes(source))
        } else {
            Ok(self)
        }
    }

    /// Ends keys that count no more.
    fn end_missing(&mut self, before: &Self, since_ns: WallNs, now_ns: WallNs) {
        let keys: BTreeSet<TagKey> = before
            .intervals
            .iter()
            .filter(|it| it.to_ns.is_none())
            .map(|it| it.key.clone())
            .collect();
        let counting = self.now.counting();
        for key in keys.iter().filter(|key| counting.get(key).is_none()) {
            self.end(key, since_ns, now_ns);
        }
    }

    /// Ends the last interval of a key at the mark before `since_ns`, and returns that time. An interval
    /// that would begin later was set after the same mark, or by a clock that was ahead: it never counted.
    fn end(&mut self, key: &TagKey, since_ns: WallNs, now_ns: WallNs) -> WallNs {
        let changes = self.intervals.iter().filter(|it| it.key == *key);
        let changes = changes.flat_map(|it| [Some(it.from_ns), it.to_ns]).flatten();
        // Never before the last change.
        let last_ns = changes.filter(|at_ns| *at_ns <= now_ns).max().unwrap_or(WallNs(0));
        let from_ns = mark(since_ns).max(last_ns);
        self.intervals.retain(|it| it.key != *key || it.from_ns < from_ns);
        for it in self.intervals.iter_mut().filter(|it| it.key == *key) {
            if it.to_ns.is_none_or(|to_ns| to_ns > from_ns) {
                it.to_ns = Some(from_ns);
            }
        }
        from_ns
    }
}

/// The 5-minute mark before a time.
const fn mark(time_ns: WallNs) -> WallNs {
    time_ns.floor(FIVE_MINUTES_NS)
}

/// What is wrong with the intervals of clients, in any order: the findings of `fsck`, each with its client.
pub(in crate::store) fn findings(intervals: &[(String, TagInterval)]) -> Vec<(String, String)> {
    let mut sorted: Vec<&(String, TagInterval)> = intervals.iter().collect();
    sorted.sort_by(|(a, x), (b, y)| (a, &x.key, x.from_ns).cmp(&(b, &y.key, y.from_ns)));
    let mut findings = Vec::new();
    for (at, (client, it)) in sorted.iter().enumerate() {
        let mut find = |wrong: &str| {
            let wrong = format!("client {client}, tag {}={}: {wrong}", it.key, it.value);
            findings.push((client.clone(), wrong));
        };
        let ends = [Some(it.from_ns), it.to_ns];
        if ends.into_iter().flatten().any(|time_ns| mark(time_ns) != time_ns) {
            find("it begins or ends between 5-minute marks");
        }
        if it.to_ns.is_some_and(|to_ns| to_ns <= it.from_ns) {
            find("it ends before it begins");
        }
        let next = sorted.get(at + 1).filter(|(other, next)| other == client && next.key == it.key);
        if next.is_some_and(|(_, next)| it.to_ns.is_none_or(|to_ns| to_ns > next.from_ns)) {
            find("it still counts when the next value of its key begins");
        }
    }
    findings
}

#[cfg(test)]
mod tests;
