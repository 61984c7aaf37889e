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
        let skip = if self.address.is_ipv4() { 12 } else { 0 };
        let bytes: Vec<u8> = address.into_iter().take(bits / 8).skip(skip).collect();
        // IPv4 addresses are numbers of 4 bytes, except those below 1.0.0.0.
        let is_number = self.address.is_ipv4() && bytes.first().is_some_and(|first| *first > 0);
        let columns: &[&str] =
            if is_number { &["addresses", "others"] } else { &["long_addresses"] };
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
    bytes: u64,
    packets: u64,
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
            let (bytes, packets) = (talker.bytes.get(), talker.packets.get());
            let add = |sum: Option<u64>, more| sum.and_then(|sum| sum.checked_add(more));
            sums = (add(sums.0, bytes), add(sums.1, packets));
            if wanted.has(talker.key.address) || wanted.has(talker.key.other) {
                named.bytes = named.bytes.saturating_add(bytes);
                named.packets = named.packets.saturating_add(packets);
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
        part.bytes = part.bytes.saturating_add(Bytes(named.bytes));
        part.packets = part.packets.saturating_add(Packets(named.packets));
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
mod tests {
    use wire::talkers::{Talker, TalkerKey, TalkerList};

    use super::*;
    use crate::store::rows::talkers::StoredList;

    fn search(address: &str, prefix: u8) -> TalkerSearch {
        let address = address.parse().unwrap();
        TalkerSearch { address, prefix, from_ns: WallNs(0), to_ns: WallNs(9), limit: 9 }
    }

    #[test]
    fn a_prefix_holds_its_addresses_and_no_other() {
        for (net, prefix, inside, outside) in [
            ("10.1.2.3", 32, "10.1.2.3", "10.1.2.4"),
            ("10.1.2.3", 24, "10.1.2.250", "10.1.3.3"),
            ("10.1.2.3", 20, "10.1.15.1", "10.1.16.1"),
            ("10.1.2.3", 0, "192.0.2.1", "2001:db8::1"),
            ("2001:db8::1", 128, "2001:db8::1", "2001:db8::2"),
            ("2001:db8::1", 45, "2001:db8:7::", "2001:db8:8::"),
            ("2001:db8::1", 0, "2001:db8:8::", "::"),
        ] {
            let wanted = search(net, prefix).wanted();
            let matches = |address: &str| wanted.has(address_bytes(address.parse().unwrap()));
            assert!(matches(inside) && !matches(outside), "{net}/{prefix}");
        }
    }

    #[test]
    fn a_needle_is_of_whole_bytes_and_of_the_columns_that_may_hold_it() {
        const NUMBERS: &[&str] = &["addresses", "others"];
        const LONG: &[&str] = &["long_addresses"];
        let needle = |address, prefix| {
            let Needle { bytes, columns } = search(address, prefix).needle();
            (bytes, columns)
        };
        assert_eq!(needle("10.1.2.3", 32), (vec![10, 1, 2, 3], NUMBERS));
        assert_eq!(needle("10.1.2.3", 23), (vec![10, 1], NUMBERS));
        assert!(needle("10.1.2.3", 7).0.is_empty());
        assert_eq!(needle("0.1.2.3", 32), (vec![0, 1, 2, 3], LONG));
        assert_eq!(needle("2001:db8::1", 48), (vec![0x20, 1, 0xd, 0xb8, 0, 0], LONG));
        // IPv4 within IPv6.
        assert!(needle("::", 80).0.is_empty());
        assert_eq!(needle("::", 96), (vec![0; 12], LONG));
    }

    #[test]
    fn pieces_tile_the_range_and_are_bounded_in_number() {
        for (from, to, pieces) in [
            (0, u64::MAX, 256),
            (5, 5, 0),
            (9, 5, 0),
            (7, 8, 1),
            (100, 100 + 12 * 60 * MINUTE_NS, 72),
            (100, 101 + 12 * 60 * MINUTE_NS, 73),
        ] {
            let (from_ns, to_ns) = (WallNs(from), WallNs(to));
            let found = TalkerSearch { from_ns, to_ns, ..search("::1", 128) }.pieces();
            assert_eq!(found.len(), pieces, "{from} {to}");
            let halves = TalkerSearch { from_ns, to_ns, ..search("::1", 128) }.halves();
            assert_eq!(halves.len() as u64, to.saturating_sub(from).min(2), "{halves:?}");
            let tiled = found.windows(2).all(|two| two[0].to_ns == two[1].from_ns);
            let ends = found.first().zip(found.last()).map(|(a, b)| (a.from_ns, b.to_ns));
            assert!(tiled && ends.is_none_or(|ends| ends == (from_ns, to_ns)), "{found:?}");
        }
    }

    #[test]
    fn parts_of_a_range_add_up_to_the_whole() {
        let list = |start: u64, bytes: u64| {
            let key =
                TalkerKey { address: address_bytes([10, 0, 0, 1].into()), ..TalkerKey::default() };
            let talker = Talker { key, bytes: Bytes(bytes), ..Talker::default() };
            let list = TalkerList {
                total_bytes: Bytes(bytes + 5),
                talkers: vec![talker],
                ..TalkerList::default()
            };
            let (start_ns, interval_ns, kind) = (WallNs(start), 60, (start % 2) as u8);
            let direction = TalkersDirection::Tx;
            StoredList { start_ns, interval_ns, kind, direction, list, owners: vec![] }
        };
        let search = search("10.0.0.1", 32);
        let rows = [(1, list(100, 7)), (2, list(201, 9)), (1, list(40, 11)), (1, list(61, 90))];
        let mut rows = rows.map(|(nic, list)| (nic, list.figures(), list)).to_vec();
        let (nic, mut figures, list) = rows[0].clone();
        figures[0] += 1;
        rows.push((nic, figures, list));
        let of = |rows: &[(u8, [u64; LIST.len()], StoredList)]| {
            let mut found = FoundTalkers::new(&search);
            for (nic, figures, list) in rows {
                let packed = list.entries();
                let row = SearchedRow {
                    start_ns: list.start_ns,
                    interval_ns: list.interval_ns,
                    kind: list.kind,
                    direction: list.direction as u8,
                    totals: *figures.first_chunk().unwrap(),
                    entries: std::array::from_fn(|at| packed[at].as_deref()),
                };
                found.add(*nic, &row);
            }
            found
        };
        let names = [1, 2].map(|nic| (nic, (format!("host-{nic}"), "eth0".to_owned()))).into();
        let whole = of(&rows).finish(&names);
        assert_eq!((whole.found.len(), whole.unreadable), (2, 1));
        for cut in 0..=rows.len() {
            let (first, second) = rows.split_at(cut);
            let mut merged = of(first);
            merged.merge(of(second).parts());
            assert_eq!(merged.finish(&names), whole);
        }
    }
}
