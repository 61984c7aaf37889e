//! Rows of `talkers`: a list of one NIC, interval and direction, and the owners that it refers to. Pure:
//! every store writes the same bytes. Owners are hosts' long and lasting names: a table of their own has
//! each once.

use std::collections::BTreeMap;

use ring::digest::{SHA256, digest};
use settings::InFull;
use wire::talkers::{KeyKind, Talker, TalkerList, TalkerOwner, Talkers, TalkersKind};
use wire::{Bytes, Packets, WallNs};

use crate::store::rows::talker_entries::{
    ENTRIES, Entries, EntryColumns, PackedEntries, UnreadableTalkers, pack,
};

/// Which way traffic went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum TalkersDirection {
    /// Received.
    Rx = 0,
    /// Transmitted.
    Tx = 1,
}

impl TalkersDirection {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Rx, Self::Tx];

    /// The direction with this number, if known.
    #[must_use]
    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|it| *it as u8 == number)
    }

    /// As labels and columns say it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rx => "rx",
            Self::Tx => "tx",
        }
    }
}

/// Number of an owner in the store, unique among those of a client: from its digest, so that every store
/// gives the same without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnerId(pub i64);

impl OwnerId {
    /// The number of an owner. Databases store it, so the function must never change.
    #[must_use]
    pub fn of(owner: &TalkerOwner) -> Self {
        let mut bytes = vec![owner.kind];
        bytes.extend(owner.name.as_bytes());
        // Neither name contains it.
        bytes.push(0);
        bytes.extend(owner.process.as_bytes());
        let digest = digest(&SHA256, &bytes);
        let first = digest.as_ref().first_chunk().copied().unwrap_or_default();
        Self(i64::from_be_bytes(first))
    }
}

/// How exactly the store knows when an owner was last seen, nanoseconds: to the day.
pub const SEEN_NS: u64 = 86_400_000_000_000;

/// The owners that the lists of a record refer to, each with its number, and the day of the record.
pub fn owners_of(record: &Talkers) -> impl Iterator<Item = (OwnerId, WallNs, &TalkerOwner)> {
    let seen_ns = record.start_ns.floor(SEEN_NS);
    let talkers = || record.rx.talkers.iter().chain(&record.tx.talkers);
    let is_used = move |at: &usize| talkers().any(|it| usize::from(it.owner) == at + 1);
    let owners = record.owners.iter().enumerate().filter(move |(at, _)| is_used(at));
    owners.map(move |(_, owner)| (OwnerId::of(owner), seen_ns, owner))
}

/// A list as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredList {
    /// Start of the interval, nanoseconds since 1970 (UTC).
    pub start_ns: WallNs,
    /// Length of the interval, nanoseconds.
    pub interval_ns: u64,
    /// Why it was made, a [`TalkersKind`].
    pub kind: u8,
    /// The direction.
    pub direction: TalkersDirection,
    /// The list. Its talkers refer to `owners`.
    pub list: TalkerList,
    /// Owners, as their numbers.
    pub owners: Vec<OwnerId>,
}

/// Columns with a figure of the list itself, in the order of [`StoredList::figures`].
pub const LIST: [&str; 8] = [
    "total_bytes",
    "total_packets",
    "rest_bytes",
    "rest_packets",
    "error_bytes",
    "unlisted_bytes",
    "distinct_keys",
    "distinct_error",
];

/// The columns that [`StoredList::of_row`] takes, for a query.
#[must_use]
pub fn columns() -> String {
    let key = ["time", "interval_ns", "kind", "direction"];
    let columns: Vec<String> =
        key.iter().chain(&LIST).chain(&ENTRIES).map(|name| format!("t.{name}")).collect();
    columns.join(", ")
}

impl StoredList {
    /// Both lists of a record.
    #[must_use]
    pub fn both(record: &Talkers) -> [Self; 2] {
        TalkersDirection::ALL.map(|direction| {
            let mut list = match direction {
                TalkersDirection::Rx => record.rx.clone(),
                TalkersDirection::Tx => record.tx.clone(),
            };
            let mut owners = Vec::new();
            for talker in &mut list.talkers {
                let owner = usize::from(talker.owner).checked_sub(1);
                let owner = owner.and_then(|at| record.owners.get(at)).map(OwnerId::of);
                talker.owner = owner.map_or(0, |owner| place(owner, &mut owners));
            }
            let Talkers { start_ns, interval_ns, kind, .. } = *record;
            Self { start_ns, interval_ns, kind, direction, list, owners }
        })
    }

    /// Values of [`LIST`].
    #[must_use]
    pub fn figures(&self) -> [u64; LIST.len()] {
        let (rest_bytes, rest_packets) = self.list.rest();
        let TalkerList { total_bytes, total_packets, error_bytes, unlisted_bytes, .. } = self.list;
        [
            total_bytes.get(),
            total_packets.get(),
            rest_bytes.get(),
            rest_packets.get(),
            error_bytes.get(),
            unlisted_bytes.get(),
            self.list.distinct,
            self.list.distinct_error,
        ]
    }

    /// Values of [`ENTRIES`].
    #[must_use]
    pub fn entries(&self) -> PackedEntries {
        pack(&self.list.talkers, self.owners.iter().map(|owner| owner.0))
    }

    /// The list of a row.
    ///
    /// # Errors
    /// [`UnreadableTalkers`] if the columns contradict each other.
    pub fn of_row(
        (start_ns, interval_ns): (WallNs, u64),
        (kind, direction): (u8, u8),
        figures: [u64; LIST.len()],
        entries: &EntryColumns<'_>,
    ) -> Result<Self, UnreadableTalkers> {
        let direction = TalkersDirection::of(direction).ok_or(UnreadableTalkers::Direction)?;
        let [total_bytes, total_packets, rest_bytes, rest_packets, figures @ ..] = figures;
        let [error_bytes, unlisted_bytes, distinct, distinct_error] = figures;
        let entries = Entries::of(entries)?;
        let talkers: Vec<Talker> = entries.talkers().collect::<Result<_, _>>()?;
        let owners = entries.owner_ids().map(OwnerId).collect();
        let bytes = talkers.iter().map(|it| it.bytes.get()).try_fold(rest_bytes, u64::checked_add);
        let packets =
            talkers.iter().map(|it| it.packets.get()).try_fold(rest_packets, u64::checked_add);
        if (bytes, packets) != (Some(total_bytes), Some(total_packets)) {
            return Err(UnreadableTalkers::Total);
        }
        let list = TalkerList {
            total_bytes: Bytes(total_bytes),
            total_packets: Packets(total_packets),
            error_bytes: Bytes(error_bytes),
            unlisted_bytes: Bytes(unlisted_bytes),
            distinct,
            distinct_error,
            talkers,
        };
        Ok(Self { start_ns, interval_ns, kind, direction, list, owners })
    }

    /// What is wrong with a list that can be read.
    ///
    /// # Errors
    /// [`UnreadableTalkers`] names it.
    pub fn check(&self) -> Result<(), UnreadableTalkers> {
        if TalkersKind::of(self.kind).is_none() {
            return Err(UnreadableTalkers::Kind);
        }
        let TalkerList { talkers, error_bytes, unlisted_bytes, .. } = &self.list;
        if talkers.iter().any(|it| KeyKind::of(it.key.kind).is_none()) {
            return Err(UnreadableTalkers::KeyKind);
        }
        if !talkers.is_sorted_by(|a, b| a.bytes >= b.bytes) {
            return Err(UnreadableTalkers::Order);
        }
        if unlisted_bytes < error_bytes {
            return Err(UnreadableTalkers::Unlisted);
        }
        Ok(())
    }
}

/// The number of an owner in a row, from 1.
fn place(owner: OwnerId, owners: &mut Vec<OwnerId>) -> u16 {
    let at = owners.iter().position(|it| *it == owner).unwrap_or_else(|| {
        owners.push(owner);
        owners.len() - 1
    });
    u16::try_from(at + 1).unwrap_or(0)
}

/// The record of two lists, or of one if the other is missing. `names` has the owners that are known.
#[must_use]
pub fn record(
    nic: wire::id::NicName,
    lists: &[StoredList],
    names: &BTreeMap<OwnerId, TalkerOwner>,
) -> Option<Talkers> {
    let StoredList { start_ns, interval_ns, kind, .. } = *lists.first()?;
    let mut record = Talkers { nic, start_ns, interval_ns, kind, ..Talkers::default() };
    for stored in lists {
        let mut list = stored.list.clone();
        for talker in &mut list.talkers {
            let owner = usize::from(talker.owner).checked_sub(1);
            let owner = owner.and_then(|at| stored.owners.get(at)).and_then(|id| names.get(id));
            talker.owner = owner.map_or(0, |owner| {
                let at = record.owners.iter().position(|it| it == owner).unwrap_or_else(|| {
                    record.owners.push(owner.clone());
                    record.owners.len() - 1
                });
                u16::try_from(at + 1).unwrap_or(0)
            });
        }
        match stored.direction {
            TalkersDirection::Rx => record.rx = list,
            TalkersDirection::Tx => record.tx = list,
        }
    }
    Some(record)
}

/// A text for whoever wanted to read it.
#[must_use]
pub fn unreadable(error: UnreadableTalkers) -> String {
    format!("a list of talkers can't be read, as {}; `collector fsck` says which", error.in_full())
}

#[cfg(test)]
mod tests;
