//! Which hosts talked to an address. Pure: every store decides the same.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use wire::talkers::{TalkersKind, address_bytes};
use wire::{Bytes, Packets, WallNs};

use crate::store::rows::rollups::MINUTE_NS;
use crate::store::rows::talker_entries::{
    ENTRIES, Entries, EntryColumns, SEARCHED, UnreadableTalkers,
};
use crate::store::rows::talkers::{LIST, TalkersDirection};

/// The request: an address or a prefix, and a time range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TalkerSearch {
    /// The address.
    pub address: IpAddr,
    /// Length of the prefix in bits, at most 32 for IPv4 and 128 for IPv6, which mean the address alone.
    pub prefix: u8,
    /// Start, nanoseconds since 1970 (UTC).
    pub from_ns: WallNs,
    /// Records that start here or later are left out.
    pub to_ns: WallNs,
    /// Most NICs and directions of the answer.
    pub limit: usize,
}

/// Shortest piece of a search, nanoseconds: 40,000 rows of 1,000 hosts with two NICs, some 0.1 s.
const PIECE_NS: u64 = 10 * MINUTE_NS;

/// Most pieces of a search.
const PIECES_MAX: u64 = 256;

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TalkersFound {
    /// NICs and directions, the most bytes first.
    pub found: Vec<TalkerFound>,
    /// Number of those left out beyond the limit.
    pub left_out: u64,
    /// Lists that can't be read, and may name the address. What they hold is missing above.
    pub unreadable: u64,
}

/// What to look for in a row before it is read as a whole: most rows of a fleet name others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needle {
    /// Bytes that each address searched for contains; empty if there are none.
    pub bytes: Vec<u8>,
    /// The columns that may hold them.
    pub columns: &'static [&'static str],
}

/// Traffic of one NIC and direction with the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TalkerFound {
    /// The client.
    pub client: String,
    /// The NIC.
    pub nic: String,
    /// The direction.
    pub direction: TalkersDirection,
    /// At least this many bytes on the wire.
    pub bytes: Bytes,
    /// At least this many packets on the wire.
    pub packets: Packets,
    /// At most this many bytes more, in the records that list the address. What lists leave out of others
    /// is unknown.
    pub error_bytes: Bytes,
    /// Number of records that list it.
    pub records: u64,
    /// Start of the first, nanoseconds since 1970 (UTC).
    pub first_ns: WallNs,
    /// End of the last, nanoseconds since 1970 (UTC).
    pub last_ns: WallNs,
}

impl TalkerSearch {
    /// The address and length as a key has them.
    fn mapped(&self) -> ([u8; 16], usize) {
        let before = if self.address.is_ipv4() { 96 } else { 0 };
        (address_bytes(self.address), (before + usize::from(self.prefix)).min(128))
    }

    /// What each row contains that names an address searched for.
    #[must_use]
    pub fn needle(&self) -> Needle {
        let (address, bits) = self.mapped();
        let bytes: Vec<u8> = address.into_iter().take(bits / 8).collect();
        // IPv4 addresses are numbers of 4 bytes, except those below 1.0.0.0.
        let (bytes, columns): (Vec<u8>, &[&str]) = match (self.address, bytes.get(12)) {
            (IpAddr::V4(_), None) => (vec![], &[]),
            (IpAddr::V4(_), Some(1..)) => (bytes[12..].to_vec(), &["addresses", "others"]),
            _ => (bytes, &["long_addresses"]),
        };
        // A short prefix of IPv6 may hold all of IPv4.
        let holds_v4 =
            !self.address.is_ipv4() && self.wanted().has(address_bytes(Ipv4Addr::BROADCAST.into()));
        Needle { bytes: if holds_v4 { vec![] } else { bytes }, columns }
    }

    /// The same search over pieces of the range, for a store that reads them one by one: long enough that
    /// each is worth it, and so few that none is worth sparing.
    #[must_use]
    pub fn pieces(&self) -> Vec<Self> {
        self.cut(self.length().div_ceil(PIECES_MAX).max(PIECE_NS))
    }

    /// The same search over both halves of the range, for a store that reads them side by side.
    #[must_use]
    pub fn halves(&self) -> Vec<Self> {
        self.cut(self.length().div_ceil(2))
    }

    const fn length(&self) -> u64 {
        self.to_ns.get().saturating_sub(self.from_ns.get())
    }

    fn cut(&self, length: u64) -> Vec<Self> {
        let Self { from_ns, to_ns, .. } = *self;
        let mut pieces = Vec::new();
        let mut start_ns = from_ns;
        while start_ns < to_ns {
            let end_ns = start_ns.saturating_add(length).min(to_ns);
            pieces.push(Self { from_ns: start_ns, to_ns: end_ns, ..self.clone() });
            start_ns = end_ns;
        }
        pieces
    }

    /// What is searched for.
    fn wanted(&self) -> Wanted {
        let (address, bits) = self.mapped();
        Wanted { address: u128::from_be_bytes(address), bits }
    }
}

/// Addresses that begin as one does.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    address: u128,
    /// So many bits of it.
    bits: usize,
}

impl Wanted {
    /// True if an address of a key is one of them.
    fn has(self, address: [u8; 16]) -> bool {
        let address = u128::from_be_bytes(address);
        (address ^ self.address).leading_zeros() as usize >= self.bits && address != 0
    }
}

/// Number of the first of [`LIST`] that a search reads.
pub const TOTALS: usize = 4;

/// The columns of a [`SearchedRow`] after that of the NIC, for a query: a search of a fleet reads millions of
/// rows, and each column of each has its cost.
#[must_use]
pub fn searched_columns() -> String {
    let key = ["time", "interval_ns", "kind", "direction"];
    let columns = key.iter().chain(&LIST[..TOTALS]).chain(&ENTRIES[..SEARCHED]);
    let columns: Vec<String> = columns.map(|name| format!("t.{name}")).collect();
    columns.join(", ")
}

/// A list as far as a search reads it.
#[derive(Debug, Clone, Copy)]
pub struct SearchedRow<'a> {
    /// Start of the interval, nanoseconds since 1970 (UTC).
    pub start_ns: WallNs,
    /// Length of the interval, nanoseconds.
    pub interval_ns: u64,
    /// Why it was made, a [`TalkersKind`].
    pub kind: u8,
    /// A [`TalkersDirection`].
    pub direction: u8,
    /// Values of the first of [`LIST`]: bytes and packets of all, and of the rest.
    pub totals: [u64; TOTALS],
    /// Values of the first of [`ENTRIES`].
    pub entries: EntryColumns<'a>,
}

/// What entries of one row had.
#[derive(Debug, Default)]
struct Named {
    bytes: Bytes,
    packets: Packets,
    entries: usize,
}

impl SearchedRow<'_> {
    fn named(&self, wanted: Wanted) -> Result<(TalkersDirection, Named), UnreadableTalkers> {
        let direction = TalkersDirection::of(self.direction).ok_or(UnreadableTalkers::Direction)?;
        let [total_bytes, total_packets, rest_bytes, rest_packets] = self.totals;
        let mut sums = (Some(rest_bytes), Some(rest_packets));
        let mut named = Named::default();
        for talker in Entries::of(&self.entries)?.talkers() {
            let talker = talker?;
            let add = |sum: Option<u64>, more| sum.and_then(|sum| sum.checked_add(more));
            sums = (add(sums.0, talker.bytes.get()), add(sums.1, talker.packets.get()));
            if wanted.has(talker.key.address) || wanted.has(talker.key.other) {
                named.bytes = named.bytes.saturating_add(talker.bytes);
                named.packets = named.packets.saturating_add(talker.packets);
                named.entries += 1;
            }
        }
        if sums != (Some(total_bytes), Some(total_packets)) {
            return Err(UnreadableTalkers::Total);
        }
        Ok((direction, named))
    }
}

/// Adds up what is found. Its memory is that of the NICs.
#[derive(Debug)]
pub struct FoundTalkers<'a, K> {
    search: &'a TalkerSearch,
    wanted: Wanted,
    parts: FoundParts<K>,
}

/// What was found in a part of the range.
#[derive(Debug)]
pub struct FoundParts<K> {
    /// By number of the NIC, and direction: of minutes, and of moments.
    found: HashMap<(K, TalkersDirection), [Part; 2]>,
    unreadable: u64,
}

/// The records of one kind.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    bytes: Bytes,
    packets: Packets,
    error_bytes: Bytes,
    records: u64,
    span: Option<(WallNs, WallNs)>,
}

impl Part {
    fn reach(&mut self, from_ns: WallNs, to_ns: WallNs) {
        let (first_ns, last_ns) = self.span.unwrap_or((from_ns, to_ns));
        self.span = Some((first_ns.min(from_ns), last_ns.max(to_ns)));
    }
}

impl<'a, K: Copy + Eq + std::hash::Hash> FoundTalkers<'a, K> {
    /// Nothing yet.
    #[must_use]
    pub fn new(search: &'a TalkerSearch) -> Self {
        let parts = FoundParts { found: HashMap::new(), unreadable: 0 };
        Self { search, wanted: search.wanted(), parts }
    }

    /// Adds a list of a NIC, if it names the address. One that can't be read is counted.
    pub fn add(&mut self, nic: K, row: &SearchedRow<'_>) {
        let (direction, named) = match row.named(self.wanted) {
            Ok((_, Named { entries: 0, .. })) => return,
            Ok(found) => found,
            Err(_) => {
                self.parts.unreadable += 1;
                return;
            }
        };
        let [minutes, moments] = self.parts.found.entry((nic, direction)).or_default();
        let part = if row.kind == TalkersKind::Moment as u8 { moments } else { minutes };
        part.bytes = part.bytes.saturating_add(named.bytes);
        part.packets = part.packets.saturating_add(named.packets);
        let [_, _, rest_bytes, _] = row.totals;
        // Of an address there may be services that the list leaves out.
        part.error_bytes = part.error_bytes.saturating_add(Bytes(rest_bytes));
        part.records += 1;
        part.reach(row.start_ns, row.start_ns.saturating_add(row.interval_ns));
    }

    /// Adds what was found in another part of the range.
    pub fn merge(&mut self, FoundParts { found, unreadable }: FoundParts<K>) {
        self.parts.unreadable += unreadable;
        for (key, more) in found {
            for (sum, part) in self.parts.found.entry(key).or_default().iter_mut().zip(more) {
                sum.bytes = sum.bytes.saturating_add(part.bytes);
                sum.packets = sum.packets.saturating_add(part.packets);
                sum.error_bytes = sum.error_bytes.saturating_add(part.error_bytes);
                sum.records += part.records;
                if let Some((first_ns, last_ns)) = part.span {
                    sum.reach(first_ns, last_ns);
                }
            }
        }
    }

    /// What was found, to [merge](Self::merge) it.
    pub fn parts(self) -> FoundParts<K> {
        self.parts
    }

    /// The NICs that something was found of, some twice.
    pub fn nics(&self) -> Vec<K> {
        self.parts.found.keys().map(|(nic, _)| *nic).collect()
    }

    /// The answer, with names of NICs: client and NIC. Those without a name are left out.
    #[must_use]
    pub fn finish(self, names: &HashMap<K, (String, String)>) -> TalkersFound {
        let named =
            self.parts.found.into_iter().filter_map(|((nic, direction), [minutes, moments])| {
                let (client, nic) = names.get(&nic)?.clone();
                // A minute has what its moments have. Both are at least what there was, so the larger counts.
                let part = if moments.bytes > minutes.bytes { moments } else { minutes };
                let Part { bytes, packets, error_bytes, records, span } = part;
                let (first_ns, last_ns) = span?;
                Some(TalkerFound {
                    client,
                    nic,
                    direction,
                    bytes,
                    packets,
                    error_bytes,
                    records,
                    first_ns,
                    last_ns,
                })
            });
        let mut found: Vec<TalkerFound> = named.collect();
        let by = |it: &TalkerFound| (it.client.clone(), it.nic.clone(), it.direction);
        found.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| by(a).cmp(&by(b))));
        let left_out = found.len().saturating_sub(self.search.limit) as u64;
        found.truncate(self.search.limit);
        TalkersFound { found, left_out, unreadable: self.parts.unreadable }
    }
}

#[cfg(test)]
mod tests;
