//! Talkers over a range: grouped, with bounds, and over time. Pure: every store decides the same.
//!
//! The rows are read twice: [`GroupSums`] finds the largest groups in bounded memory, then
//! [`GroupedTalkers`] takes the same rows again for what these had over time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use wire::talkers::{Talker, TalkerKey, TalkerList, TalkerOwner, address_of};
use wire::{Bytes, Packets, WallNs};

use crate::store::rows::rollups::MINUTE_NS;
use crate::store::rows::talkers::{OwnerId, StoredList, TalkersDirection};

/// Most groups that are told apart while rows are read, about 10 MB. Beyond, the smaller half is dropped
/// and makes the bounds of those that come later wider.
const GROUPS_MAX: usize = 65_536;

/// Most buckets of an answer.
pub const BUCKETS_MAX: usize = 2_000;

/// What talkers are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TalkersBy {
    /// Everything: address, service and protocol.
    Key,
    /// The remote end.
    Host,
    /// The service: protocol and port, at the remote end or here.
    Service,
    /// The process or service on this host.
    Owner,
}

/// The request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TalkersRange {
    /// The client.
    pub client: String,
    /// The NIC.
    pub nic: String,
    /// The direction.
    pub direction: TalkersDirection,
    /// Start, nanoseconds since 1970 (UTC).
    pub from_ns: WallNs,
    /// End, not included.
    pub to_ns: WallNs,
    /// How to group.
    pub by: TalkersBy,
    /// Most groups of the answer.
    pub limit: usize,
    /// Most buckets of the answer, at most [`BUCKETS_MAX`]; 0: none.
    pub buckets: usize,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TalkerGroup {
    /// One key, and whose it is, if that is known and always was the same.
    Key(TalkerKey, Option<TalkerOwner>),
    /// A remote end; `None`: traffic without IP.
    Host(Option<IpAddr>),
    /// A service: its kind of key ([`wire::talkers::KeyKind`]), protocol and port.
    Service {
        /// The kind of key.
        kind: u8,
        /// Protocol number of IP.
        protocol: u8,
        /// The port, or an `EtherType`.
        port: u16,
    },
    /// Part of this host.
    Owner(TalkerOwner),
}

/// Bytes and packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TalkerAmount {
    /// Bytes on the wire.
    pub bytes: Bytes,
    /// Packets on the wire.
    pub packets: Packets,
}

/// What a group had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupedTalker {
    /// The group.
    pub group: TalkerGroup,
    /// At least this much.
    pub amount: TalkerAmount,
    /// At most this many bytes more.
    pub error_bytes: Bytes,
}

/// The answer. `total` is exact, and is always the sum of `talkers`, `unattributed` and `rest`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupedTalkers {
    /// Number of records.
    pub records: u64,
    /// Number of those that can't be read. What they hold is missing in all other figures.
    pub unreadable: u64,
    /// Start of the first record, nanoseconds since 1970 (UTC); may be before the range.
    pub from_ns: WallNs,
    /// End of the last record; may be after the range.
    pub to_ns: WallNs,
    /// Time that the records cover, nanoseconds.
    pub covered_ns: u64,
    /// All traffic of the NIC in these records.
    pub total: TalkerAmount,
    /// The largest groups, the most bytes first.
    pub talkers: Vec<GroupedTalker>,
    /// What is listed, but nobody knows whose it is; of groups by owner only.
    pub unattributed: TalkerAmount,
    /// Everything else: what no record lists, and the groups beyond the limit.
    pub rest: TalkerAmount,
    /// A group that is not shown has at most this many bytes.
    pub unlisted_bytes: Bytes,
    /// Estimated number of different keys.
    pub distinct: u64,
    /// The estimate may be wrong by this much.
    pub distinct_error: u64,
    /// Over time, the oldest first, without gaps.
    pub buckets: Vec<TalkersBucket>,
    /// Length of a bucket, nanoseconds: whole minutes.
    pub step_ns: u64,
    /// Where each group is in `talkers`; beyond the end: among those that are nobody's.
    places: HashMap<GroupKey, usize>,
}

/// The records that start in one step of time. The total is the sum of the other figures of bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TalkersBucket {
    /// Start, nanoseconds since 1970 (UTC).
    pub start_ns: WallNs,
    /// Time that its records cover, nanoseconds; 0: nothing is known.
    pub covered_ns: u64,
    /// All traffic.
    pub total_bytes: Bytes,
    /// What each of [`GroupedTalkers::talkers`] had at least, in their order. Together at least the talker's
    /// amount; more if there were so many groups that it was dropped on the way.
    pub talkers: Vec<Bytes>,
    /// What is listed, but nobody knows whose it is.
    pub unattributed_bytes: Bytes,
    /// Everything else.
    pub rest_bytes: Bytes,
    /// Each of the talkers had at most this many bytes more.
    pub error_bytes: Bytes,
}

/// A group as it is told apart: owners by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum GroupKey {
    Key(TalkerKey),
    Host([u8; 16]),
    Service(u8, u8, u16),
    Owner(OwnerId),
    Unattributed,
}

impl GroupKey {
    fn of(by: TalkersBy, talker: &Talker, owner: Option<OwnerId>) -> Self {
        let TalkerKey { kind, protocol, port, address, .. } = talker.key;
        match by {
            TalkersBy::Key => Self::Key(talker.key),
            TalkersBy::Host => Self::Host(address),
            TalkersBy::Service => Self::Service(kind, protocol, port),
            TalkersBy::Owner => owner.map_or(Self::Unattributed, Self::Owner),
        }
    }
}

/// The owner of an entry.
fn owner_of(stored: &StoredList, talker: &Talker) -> Option<OwnerId> {
    let at = usize::from(talker.owner).checked_sub(1)?;
    stored.owners.get(at).copied()
}

/// How much more than its bytes a key may have, if a list has it, and if not.
fn bounds(by: TalkersBy, list: &TalkerList) -> (Bytes, Bytes) {
    let (rest, _) = list.rest();
    match by {
        TalkersBy::Key => (list.error_bytes.min(rest), list.unlisted_bytes.min(rest)),
        // A group may have many keys that the list leaves out.
        _ => (rest, rest),
    }
}

/// Adds up lists of one NIC and direction, of any times.
#[derive(Debug)]
pub struct GroupSums {
    by: TalkersBy,
    most: usize,
    answer: GroupedTalkers,
    /// Fewest and most different keys.
    distinct: (u64, u64),
    groups: HashMap<GroupKey, Sum>,
    unattributed: TalkerAmount,
    /// Most bytes of a group that no list has.
    unlisted_bytes: Bytes,
    /// Most bytes that a dropped group may have.
    dropped_bytes: Bytes,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    amount: TalkerAmount,
    /// How much less than `unlisted_bytes` the error is, thanks to the lists that have the group.
    known_bytes: Bytes,
    /// What it may have had before, when it was dropped.
    before_bytes: Bytes,
    /// `None` once lists name different owners, or one names none.
    owner: Option<OwnerId>,
}

impl GroupSums {
    /// No list yet.
    #[must_use]
    pub fn new(by: TalkersBy) -> Self {
        Self::with_most(by, GROUPS_MAX)
    }

    fn with_most(by: TalkersBy, most: usize) -> Self {
        Self {
            by,
            most,
            answer: GroupedTalkers { from_ns: WallNs::MAX, ..GroupedTalkers::default() },
            distinct: (0, 0),
            groups: HashMap::new(),
            unattributed: TalkerAmount::default(),
            unlisted_bytes: Bytes(0),
            dropped_bytes: Bytes(0),
        }
    }

    /// Adds a list.
    pub fn add(&mut self, stored: &StoredList) {
        let StoredList { start_ns, interval_ns, list, .. } = stored;
        let answer = &mut self.answer;
        answer.records += 1;
        answer.from_ns = answer.from_ns.min(*start_ns);
        answer.to_ns = answer.to_ns.max(start_ns.saturating_add(*interval_ns));
        answer.covered_ns = answer.covered_ns.saturating_add(*interval_ns);
        answer.total.add(list.total_bytes, list.total_packets);
        let (fewest, most) = &mut self.distinct;
        *fewest = (*fewest).max(list.distinct.saturating_sub(list.distinct_error));
        *most = most.saturating_add(list.distinct.saturating_add(list.distinct_error));
        let (error, unlisted) = bounds(self.by, list);
        self.unlisted_bytes = self.unlisted_bytes.saturating_add(unlisted);
        for talker in &list.talkers {
            let owner = owner_of(stored, talker);
            let key = GroupKey::of(self.by, talker, owner);
            if key == GroupKey::Unattributed {
                self.unattributed.add(talker.bytes, talker.packets);
                continue;
            }
            let before_bytes = self.dropped_bytes;
            let new = || Sum { owner, before_bytes, ..Sum::default() };
            let sum = self.groups.entry(key).or_insert_with(new);
            if sum.owner != owner {
                sum.owner = None;
            }
            sum.amount.add(talker.bytes, talker.packets);
            sum.known_bytes = sum.known_bytes.saturating_add(unlisted.saturating_sub(error));
        }
        if self.groups.len() > self.most {
            self.drop_small();
        }
    }

    /// Drops the smaller half.
    fn drop_small(&mut self) {
        let mut sorted: Vec<(GroupKey, Sum)> = self.groups.drain().collect();
        sorted.sort_unstable_by_key(|(key, sum)| (Reverse(sum.amount.bytes), *key));
        let dropped = sorted.split_off(self.most / 2);
        let most = dropped.iter().map(|(_, sum)| sum.amount.bytes.saturating_add(sum.before_bytes));
        self.dropped_bytes = most.fold(self.dropped_bytes, Bytes::max);
        self.groups.extend(sorted);
    }

    /// How much more than its bytes a group may have.
    fn error(&self, sum: &Sum) -> Bytes {
        let unlisted = self.unlisted_bytes.saturating_sub(sum.known_bytes);
        unlisted.saturating_add(sum.before_bytes)
    }

    /// The largest groups, and the numbers of the owners whose names [`RankedTalkers::named`] needs.
    #[must_use]
    pub fn rank(mut self, limit: usize) -> RankedTalkers {
        let mut sorted: Vec<(GroupKey, Sum)> = self.groups.drain().collect();
        sorted.sort_unstable_by_key(|(key, sum)| (Reverse(sum.amount.bytes), *key));
        let beyond = sorted.split_off(limit.min(sorted.len()));
        // Groups of few bytes that no list has, or that were dropped; and those beyond the limit.
        let none = self.unlisted_bytes.saturating_add(self.dropped_bytes);
        let most = beyond.iter().map(|(_, sum)| sum.amount.bytes.saturating_add(self.error(sum)));
        self.answer.unlisted_bytes = most.fold(none, Bytes::max);
        let (fewest, most) = self.distinct;
        self.answer.distinct_error = most.saturating_sub(fewest).div_ceil(2);
        self.answer.distinct = fewest.saturating_add(self.answer.distinct_error);
        let groups = sorted.iter().map(|(key, sum)| (*key, *sum, self.error(sum))).collect();
        RankedTalkers { groups, sums: self }
    }
}

/// The largest groups of a range, whose owners have no names yet.
#[derive(Debug)]
pub struct RankedTalkers {
    groups: Vec<(GroupKey, Sum, Bytes)>,
    sums: GroupSums,
}

impl RankedTalkers {
    /// The owners to name.
    #[must_use]
    pub fn owners(&self) -> Vec<OwnerId> {
        let owners = self.groups.iter().filter_map(|(key, sum, _)| match key {
            GroupKey::Owner(owner) => Some(*owner),
            GroupKey::Key(_) => sum.owner,
            _ => None,
        });
        let mut owners: Vec<OwnerId> = owners.collect();
        owners.sort_unstable();
        owners.dedup();
        owners
    }

    /// The answer, with empty buckets to fill by the same lists. An owner without a name is nobody known.
    #[must_use]
    pub fn named(
        self,
        range: &TalkersRange,
        names: &BTreeMap<OwnerId, TalkerOwner>,
    ) -> GroupedTalkers {
        let Self { groups, sums } = self;
        let GroupSums { mut answer, mut unattributed, .. } = sums;
        answer.from_ns = answer.from_ns.min(answer.to_ns);
        for (key, sum, error_bytes) in groups {
            let name = |owner: Option<OwnerId>| owner.and_then(|owner| names.get(&owner)).cloned();
            let group = match key {
                GroupKey::Key(key) => Some(TalkerGroup::Key(key, name(sum.owner))),
                GroupKey::Host(address) => Some(TalkerGroup::Host(address_of(address))),
                GroupKey::Service(kind, protocol, port) => {
                    Some(TalkerGroup::Service { kind, protocol, port })
                }
                GroupKey::Owner(owner) => name(Some(owner)).map(TalkerGroup::Owner),
                GroupKey::Unattributed => None,
            };
            let amount = sum.amount;
            let Some(group) = group else {
                unattributed.add(amount.bytes, amount.packets);
                answer.places.insert(key, usize::MAX);
                continue;
            };
            answer.places.insert(key, answer.talkers.len());
            answer.talkers.push(GroupedTalker { group, amount, error_bytes });
        }
        answer.unattributed = unattributed;
        let mut shown = unattributed;
        answer.talkers.iter().for_each(|it| shown.add(it.amount.bytes, it.amount.packets));
        answer.rest = TalkerAmount {
            bytes: answer.total.bytes.saturating_sub(shown.bytes),
            packets: answer.total.packets.saturating_sub(shown.packets),
        };
        answer.lay_out(range);
        answer
    }
}

impl TalkerAmount {
    fn add(&mut self, bytes: Bytes, packets: Packets) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.packets = self.packets.saturating_add(packets);
    }
}

impl GroupedTalkers {
    /// Makes the buckets, none without records.
    fn lay_out(&mut self, range: &TalkersRange) {
        let most = range.buckets.min(BUCKETS_MAX) as u64;
        let from_ns = range.from_ns.max(self.from_ns).floor(MINUTE_NS);
        let to_ns = range.to_ns.min(self.to_ns);
        let minutes = to_ns.saturating_since(from_ns).div_ceil(MINUTE_NS);
        if self.records == 0 || most == 0 || minutes == 0 {
            return;
        }
        let step = minutes.div_ceil(most);
        self.step_ns = step * MINUTE_NS;
        let bucket = |n: u64| TalkersBucket {
            start_ns: from_ns.saturating_add(n * self.step_ns),
            talkers: vec![Bytes(0); self.talkers.len()],
            ..TalkersBucket::default()
        };
        self.buckets = (0..minutes.div_ceil(step)).map(bucket).collect();
    }

    /// Adds a list to the bucket in which it starts, the first if it starts before the range.
    pub fn fill(&mut self, by: TalkersBy, stored: &StoredList) {
        let Some(first) = self.buckets.first().map(|it| it.start_ns) else { return };
        let at = stored.start_ns.saturating_since(first) / self.step_ns.max(1);
        let Some(bucket) = usize::try_from(at).ok().and_then(|at| self.buckets.get_mut(at)) else {
            return;
        };
        let list = &stored.list;
        bucket.covered_ns = bucket.covered_ns.saturating_add(stored.interval_ns);
        bucket.total_bytes = bucket.total_bytes.saturating_add(list.total_bytes);
        // A talker that this list leaves out may have what is unlisted.
        bucket.error_bytes = bucket.error_bytes.saturating_add(bounds(by, list).1);
        let mut shown = Bytes(0);
        for talker in &list.talkers {
            let key = GroupKey::of(by, talker, owner_of(stored, talker));
            let figure = match self.places.get(&key) {
                Some(&usize::MAX) => &mut bucket.unattributed_bytes,
                Some(&at) => match bucket.talkers.get_mut(at) {
                    Some(figure) => figure,
                    None => continue,
                },
                None if key == GroupKey::Unattributed => &mut bucket.unattributed_bytes,
                None => continue,
            };
            *figure = figure.saturating_add(talker.bytes);
            shown = shown.saturating_add(talker.bytes);
        }
        let rest = list.total_bytes.saturating_sub(shown);
        bucket.rest_bytes = bucket.rest_bytes.saturating_add(rest);
    }
}

#[cfg(test)]
mod tests;
