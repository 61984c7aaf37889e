//! Rows of `talkers`: a list of one NIC, interval and direction, and the owners that it refers to. Pure:
//! every store writes the same bytes.
//!
//! Each figure of the entries is a column with all of them in a row: as many bytes per entry as its largest
//! value needs, the highest first, so that SQL can read them. An IPv4 address is such a number; an IPv6
//! address is the number of one in a column of its own, below 2^24 as no IPv4 address that is in use. Owners are hosts' long and lasting names: a table of their own has each once.

use std::collections::BTreeMap;

use ring::digest::{SHA256, digest};
use settings::InFull;
use wire::talkers::{
    KeyKind, TALKERS_MAX, Talker, TalkerKey, TalkerList, TalkerOwner, Talkers, TalkersKind,
};
use wire::{Bytes, Packets, WallNs};

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

/// Columns with a figure of each entry, in the order of [`StoredList::entries`].
pub const ENTRIES: [&str; 10] = [
    "key_kinds",
    "protocols",
    "ports",
    "addresses",
    "others",
    "long_addresses",
    "bytes",
    "packets",
    "owners",
    "owner_ids",
];

/// The columns that [`StoredList::of_row`] takes, for a query.
#[must_use]
pub fn columns() -> String {
    let key = ["time", "interval_ns", "kind", "direction"];
    let columns: Vec<String> =
        key.iter().chain(&LIST).chain(&ENTRIES).map(|name| format!("t.{name}")).collect();
    columns.join(", ")
}

/// Values of [`ENTRIES`]. `None` where no entry has any.
pub type EntryColumns = [Option<Vec<u8>>; ENTRIES.len()];

/// What the first 12 bytes of an IPv4 address are.
const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

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
    pub fn entries(&self) -> EntryColumns {
        let talkers = &self.list.talkers;
        let of = |figure: fn(&Talker) -> u64| talkers.iter().map(figure).collect::<Vec<_>>();
        let owners = of(|it| it.owner.into());
        let known = owners.iter().any(|owner| *owner > 0);
        let mut long = Vec::new();
        let mut address = |address: [u8; 16]| short(address, &mut long);
        let addresses: Vec<u64> = talkers.iter().map(|it| address(it.key.address)).collect();
        let others: Vec<u64> = talkers.iter().map(|it| address(it.key.other)).collect();
        let forwarded = others.iter().any(|other| *other > 0);
        let ids: Vec<u8> = self.owners.iter().flat_map(|owner| owner.0.to_be_bytes()).collect();
        [
            Some(numbers(&of(|it| it.key.kind.into()), 1)),
            Some(numbers(&of(|it| it.key.protocol.into()), 1)),
            Some(numbers(&of(|it| it.key.port.into()), 2)),
            Some(numbers(&addresses, 0)),
            forwarded.then(|| numbers(&others, 0)),
            (!long.is_empty()).then(|| long.concat()),
            Some(numbers(&of(|it| it.bytes.get()), 0)),
            Some(numbers(&of(|it| it.packets.get()), 0)),
            known.then(|| numbers(&owners, 1)),
            known.then_some(ids),
        ]
    }

    /// The list of a row.
    ///
    /// # Errors
    /// [`UnreadableTalkers`] if the columns contradict each other.
    pub fn of_row(
        (start_ns, interval_ns): (WallNs, u64),
        (kind, direction): (u8, u8),
        figures: [u64; LIST.len()],
        entries: &EntryColumns,
    ) -> Result<Self, UnreadableTalkers> {
        let direction = TalkersDirection::of(direction).ok_or(UnreadableTalkers::Direction)?;
        let [total_bytes, total_packets, rest_bytes, rest_packets, figures @ ..] = figures;
        let [error_bytes, unlisted_bytes, distinct, distinct_error] = figures;
        let (talkers, owners) = read(entries)?;
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

/// Numbers, each with so many bytes; 0: as many as the largest needs, at least one.
fn numbers(numbers: &[u64], width: usize) -> Vec<u8> {
    let most = numbers.iter().copied().max().unwrap_or_default();
    let needed = (u64::BITS - most.leading_zeros()).div_ceil(8).max(1) as usize;
    let width = if width == 0 { needed } else { width };
    let bytes = |number: &u64| number.to_be_bytes().into_iter().skip(size_of::<u64>() - width);
    numbers.iter().flat_map(bytes).collect()
}

/// Numbers below this are of long addresses. As IPv4 addresses they would begin with 0, which no host has.
const LONG: u64 = 1 << 24;

/// An address as a number: 0 without one.
fn short(address: [u8; 16], long: &mut Vec<[u8; 16]>) -> u64 {
    if address == [0; 16] {
        return 0;
    }
    let [.., a, b, c, d] = address;
    if address.starts_with(&MAPPED) && a > 0 {
        return u32::from_be_bytes([a, b, c, d]).into();
    }
    let at = long.iter().position(|it| *it == address).unwrap_or_else(|| {
        long.push(address);
        long.len() - 1
    });
    at as u64 + 1
}

/// The address of a number; `None` if it is of a long one that is missing.
fn address(number: u64, long: &[[u8; 16]]) -> Option<[u8; 16]> {
    if number < LONG {
        let Some(at) = number.checked_sub(1) else { return Some([0; 16]) };
        return long.get(usize::try_from(at).ok()?).copied();
    }
    let mut address = [0; 16];
    let (before, last) = address.split_at_mut(MAPPED.len());
    before.copy_from_slice(&MAPPED);
    last.copy_from_slice(&u32::try_from(number).ok()?.to_be_bytes());
    Some(address)
}

/// Why a row of talkers is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableTalkers {
    /// Columns of different lengths.
    #[error("their columns have different numbers of entries")]
    Columns,
    /// An unknown direction.
    #[error("their direction is unknown")]
    Direction,
    /// An unknown kind.
    #[error("their kind is unknown")]
    Kind,
    /// An unknown kind of key.
    #[error("a key is of an unknown kind")]
    KeyKind,
    /// Entries and rest are not the total.
    #[error("entries and rest are not the total")]
    Total,
    /// Not the largest first.
    #[error("the largest is not the first")]
    Order,
    /// The bound of unlisted talkers is below the error.
    #[error("unlisted ones have less than the error")]
    Unlisted,
}

/// A text for whoever wanted to read it.
#[must_use]
pub fn unreadable(error: UnreadableTalkers) -> String {
    format!("a list of talkers can't be read, as {}; `collector fsck` says which", error.in_full())
}

/// The entries of a row and its owners.
fn read(columns: &EntryColumns) -> Result<(Vec<Talker>, Vec<OwnerId>), UnreadableTalkers> {
    let wrong = UnreadableTalkers::Columns;
    let [kinds, protocols, ports, addresses, others, long, bytes, packets, owners, ids] = columns;
    let count = kinds.as_ref().ok_or(wrong)?.len();
    if count > TALKERS_MAX {
        return Err(wrong);
    }
    let of = |column: &Option<Vec<u8>>, most: usize| -> Result<Vec<u64>, UnreadableTalkers> {
        let Some(column) = column else { return Ok(vec![0; count]) };
        let width = column.len().checked_div(count).unwrap_or(1);
        if column.len() != width * count || width == 0 || width > most {
            return Err(wrong);
        }
        let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Ok(column.chunks_exact(width).map(number).collect())
    };
    let (kinds, protocols, ports) = (of(kinds, 1)?, of(protocols, 1)?, of(ports, 2)?);
    let (bytes, packets, owners) = (of(bytes, 8)?, of(packets, 8)?, of(owners, 1)?);
    let (addresses, others) = (of(addresses, 4)?, of(others, 4)?);
    let (long, cut) = long.as_deref().unwrap_or_default().as_chunks();
    let (ids, odd) = ids.as_deref().unwrap_or_default().as_chunks();
    let ids: Vec<OwnerId> = ids.iter().map(|id| OwnerId(i64::from_be_bytes(*id))).collect();
    let no_owner = owners.iter().any(|owner| *owner > ids.len() as u64);
    if !odd.is_empty() || !cut.is_empty() || no_owner {
        return Err(wrong);
    }
    let mut talkers = Vec::with_capacity(count);
    for at in 0..count {
        let number = |column: &[u64]| column.get(at).copied().unwrap_or_default();
        let small = |column| u8::try_from(number(column)).unwrap_or_default();
        let key = TalkerKey {
            kind: small(&kinds),
            protocol: small(&protocols),
            port: u16::try_from(number(&ports)).unwrap_or_default(),
            address: address(number(&addresses), long).ok_or(wrong)?,
            other: address(number(&others), long).ok_or(wrong)?,
        };
        let (bytes, packets) = (Bytes(number(&bytes)), Packets(number(&packets)));
        let owner = u16::try_from(number(&owners)).unwrap_or_default();
        talkers.push(Talker { key, bytes, packets, owner });
    }
    Ok((talkers, ids))
}

#[cfg(test)]
mod tests;
