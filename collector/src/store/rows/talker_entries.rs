//! The entries of a row of `talkers`: packed, and read from borrowed columns. Pure: every store writes the
//! same bytes.
//!
//! Each figure of the entries is a column with all of them in a row: as many bytes per entry as its largest
//! value needs, the highest first, so that SQL can read them. An IPv4 address is such a number; an IPv6
//! address is the number of one in columns of their own, below 2^24 as no IPv4 address that is in use.

mod long;

use wire::talkers::{TALKERS_MAX, Talker, TalkerKey};
use wire::{Bytes, Packets};

use self::long::LongAddresses;

/// Columns with a figure of each entry, in the order of [`EntryColumns`]; the first [`SEARCHED`] of them
/// say who had how much.
pub const ENTRIES: [&str; 11] = [
    "key_kinds",
    "addresses",
    "others",
    "long_addresses",
    "long_alike",
    "bytes",
    "packets",
    "protocols",
    "ports",
    "owners",
    "owner_ids",
];

/// Number of the first of [`ENTRIES`] that a search for an address reads.
pub const SEARCHED: usize = 7;

/// Values of [`ENTRIES`] of a row. `None` where no entry has any, or where it isn't asked for.
pub type EntryColumns<'a> = [Option<&'a [u8]>; ENTRIES.len()];

/// The same, as they are written.
pub type PackedEntries = [Option<Vec<u8>>; ENTRIES.len()];

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

/// Packs entries, which refer to owners with these ids.
#[must_use]
pub fn pack(talkers: &[Talker], ids: impl Iterator<Item = i64>) -> PackedEntries {
    let of = |figure: fn(&Talker) -> u64| talkers.iter().map(figure).collect::<Vec<_>>();
    let owners = of(|it| it.owner.into());
    let known = owners.iter().any(|owner| *owner > 0);
    let mut long = Vec::new();
    let mut address = |address: [u8; 16]| short(address, &mut long);
    let addresses: Vec<u64> = talkers.iter().map(|it| address(it.key.address)).collect();
    let others: Vec<u64> = talkers.iter().map(|it| address(it.key.other)).collect();
    let forwarded = others.iter().any(|other| *other > 0);
    let (long, alike) = long::pack(&long);
    [
        Some(numbers(&of(|it| it.key.kind.into()), 1)),
        Some(numbers(&addresses, 0)),
        forwarded.then(|| numbers(&others, 0)),
        long,
        alike,
        Some(numbers(&of(|it| it.bytes.get()), 0)),
        Some(numbers(&of(|it| it.packets.get()), 0)),
        Some(numbers(&of(|it| it.key.protocol.into()), 1)),
        Some(numbers(&of(|it| it.key.port.into()), 2)),
        known.then(|| numbers(&owners, 1)),
        known.then(|| ids.flat_map(i64::to_be_bytes).collect()),
    ]
}

/// Numbers, each with so many bytes; 0: as many as the largest needs, at least one.
fn numbers(numbers: &[u64], width: usize) -> Vec<u8> {
    let most = numbers.iter().copied().max().unwrap_or_default();
    let needed = (u64::BITS - most.leading_zeros()).div_ceil(8).max(1) as usize;
    let width = if width == 0 { needed } else { width };
    let bytes = |number: &u64| number.to_be_bytes().into_iter().skip(size_of::<u64>() - width);
    numbers.iter().flat_map(bytes).collect()
}

/// What the first 12 bytes of an IPv4 address are.
const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

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

/// The columns of a row, with as many entries each. Nothing is copied: a search looks through millions.
#[derive(Debug, Clone, Copy)]
pub struct Entries<'a> {
    count: usize,
    kinds: Column<'a>,
    protocols: Column<'a>,
    ports: Column<'a>,
    addresses: Column<'a>,
    others: Column<'a>,
    long: LongAddresses<'a>,
    bytes: Column<'a>,
    packets: Column<'a>,
    owners: Column<'a>,
    ids: &'a [[u8; 8]],
}

impl<'a> Entries<'a> {
    /// Those of a row.
    ///
    /// # Errors
    /// [`UnreadableTalkers::Columns`] if the columns contradict each other.
    pub fn of(columns: &EntryColumns<'a>) -> Result<Self, UnreadableTalkers> {
        let wrong = UnreadableTalkers::Columns;
        let [kinds, addresses, others, long, alike, bytes, packets, rest @ ..] = *columns;
        let [protocols, ports, owners, ids] = rest;
        let count = kinds.ok_or(wrong)?.len();
        if count > TALKERS_MAX {
            return Err(wrong);
        }
        let of = |column, most| Column::of(column, count, most).ok_or(wrong);
        let (ids, odd) = ids.unwrap_or_default().as_chunks();
        let entries = Self {
            count,
            kinds: of(kinds, 1)?,
            protocols: of(protocols, 1)?,
            ports: of(ports, 2)?,
            addresses: of(addresses, 4)?,
            others: of(others, 4)?,
            long: LongAddresses::of(long, alike).ok_or(wrong)?,
            bytes: of(bytes, 8)?,
            packets: of(packets, 8)?,
            owners: of(owners, 1)?,
            ids,
        };
        let no_owner = (0..count).any(|at| entries.owners.get(at) > ids.len() as u64);
        if !odd.is_empty() || no_owner {
            return Err(wrong);
        }
        Ok(entries)
    }

    /// The entries, in their order.
    pub fn talkers(&self) -> impl Iterator<Item = Result<Talker, UnreadableTalkers>> + use<'a> {
        let entries = *self;
        (0..entries.count).map(move |at| entries.talker(at).ok_or(UnreadableTalkers::Columns))
    }

    /// The ids of the owners that they refer to, from 1.
    pub fn owner_ids(&self) -> impl Iterator<Item = i64> + use<'a> {
        self.ids.iter().map(|id| i64::from_be_bytes(*id))
    }

    fn talker(&self, at: usize) -> Option<Talker> {
        let small = |column: &Column<'_>| u8::try_from(column.get(at)).unwrap_or_default();
        let key = TalkerKey {
            kind: small(&self.kinds),
            protocol: small(&self.protocols),
            port: u16::try_from(self.ports.get(at)).unwrap_or_default(),
            address: self.address(self.addresses.get(at))?,
            other: self.address(self.others.get(at))?,
        };
        let (bytes, packets) = (Bytes(self.bytes.get(at)), Packets(self.packets.get(at)));
        Some(Talker { key, bytes, packets, owner: small(&self.owners).into() })
    }

    /// The address of a number; `None` if it is of a long one that is missing.
    fn address(&self, number: u64) -> Option<[u8; 16]> {
        if number < LONG {
            let Some(at) = number.checked_sub(1) else { return Some([0; 16]) };
            return self.long.get(usize::try_from(at).ok()?);
        }
        let mut address = [0; 16];
        let (before, last) = address.split_at_mut(MAPPED.len());
        before.copy_from_slice(&MAPPED);
        last.copy_from_slice(&u32::try_from(number).ok()?.to_be_bytes());
        Some(address)
    }
}

/// A number of each entry, with equally many bytes; zeros if the row has none.
#[derive(Debug, Clone, Copy)]
struct Column<'a> {
    bytes: &'a [u8],
    width: usize,
}

impl<'a> Column<'a> {
    /// `None` if the bytes aren't `count` numbers of at most `most` bytes.
    fn of(bytes: Option<&'a [u8]>, count: usize, most: usize) -> Option<Self> {
        let Some(bytes) = bytes else { return Some(Self { bytes: &[], width: 0 }) };
        let width = bytes.len().checked_div(count).unwrap_or(1);
        let fits = bytes.len() == width * count && (1..=most).contains(&width);
        fits.then_some(Self { bytes, width })
    }

    fn get(&self, at: usize) -> u64 {
        let bytes = self.bytes.get(at * self.width..(at + 1) * self.width).unwrap_or_default();
        bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }
}
