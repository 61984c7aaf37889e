//! Which hosts talked to an address. Pure: every store decides the same.

use std::collections::HashMap;
use std::net::IpAddr;

use wire::talkers::{TalkersKind, address_bytes};
use wire::{Bytes, Packets, WallNs};

use crate::store::rows::talkers::{StoredList, TalkersDirection};

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

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TalkersFound {
    /// NICs and directions, the most bytes first.
    pub found: Vec<TalkerFound>,
    /// Number of those left out beyond the limit.
    pub left_out: u64,
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

    /// Bytes that each address searched for contains in a row; empty if the prefix has not one byte.
    #[must_use]
    pub fn needle(&self) -> Vec<u8> {
        let (address, bits) = self.mapped();
        let skip = if self.address.is_ipv4() { 12 } else { 0 };
        address.into_iter().take(bits / 8).skip(skip).collect()
    }

    /// True if an address of a key is searched for.
    #[must_use]
    pub fn matches(&self, address: [u8; 16]) -> bool {
        let (wanted, bits) = self.mapped();
        let differs = u128::from_be_bytes(wanted) ^ u128::from_be_bytes(address);
        differs.leading_zeros() as usize >= bits && address != [0; 16]
    }
}

/// Adds up what is found. Its memory is that of the NICs.
#[derive(Debug)]
pub struct FoundTalkers<'a, K> {
    search: &'a TalkerSearch,
    /// By number of the NIC, and direction.
    found: HashMap<(K, TalkersDirection), [Part; 2]>,
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

impl<'a, K: Copy + Eq + std::hash::Hash> FoundTalkers<'a, K> {
    /// Nothing yet.
    #[must_use]
    pub fn new(search: &'a TalkerSearch) -> Self {
        Self { search, found: HashMap::new() }
    }

    /// Adds a list of a NIC, if it names the address.
    pub fn add(&mut self, nic: K, stored: &StoredList) {
        let wanted = |address| self.search.matches(address);
        let talkers = stored.list.talkers.iter();
        let mut named =
            talkers.filter(|it| wanted(it.key.address) || wanted(it.key.other)).peekable();
        if named.peek().is_none() {
            return;
        }
        let parts = self.found.entry((nic, stored.direction)).or_default();
        let [minutes, moments] = parts;
        let part = if stored.kind == TalkersKind::Moment as u8 { moments } else { minutes };
        for talker in named {
            part.bytes = part.bytes.saturating_add(talker.bytes);
            part.packets = part.packets.saturating_add(talker.packets);
        }
        // Of an address there may be services that the list leaves out.
        part.error_bytes = part.error_bytes.saturating_add(stored.list.rest().0);
        part.records += 1;
        let end_ns = stored.start_ns.saturating_add(stored.interval_ns);
        let (first_ns, last_ns) = part.span.unwrap_or((stored.start_ns, end_ns));
        part.span = Some((first_ns.min(stored.start_ns), last_ns.max(end_ns)));
    }

    /// True if something was found of a NIC.
    pub fn has(&self, nic: K) -> bool {
        TalkersDirection::ALL
            .into_iter()
            .any(|direction| self.found.contains_key(&(nic, direction)))
    }

    /// The NICs that something was found of, some twice.
    pub fn nics(&self) -> Vec<K> {
        self.found.keys().map(|(nic, _)| *nic).collect()
    }

    /// The answer, with names of NICs: client and NIC. Those without a name are left out.
    #[must_use]
    pub fn finish(self, names: &HashMap<K, (String, String)>) -> TalkersFound {
        let named = self.found.into_iter().filter_map(|((nic, direction), [minutes, moments])| {
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
        TalkersFound { found, left_out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let search = search(net, prefix);
            let matches = |address: &str| search.matches(address_bytes(address.parse().unwrap()));
            assert!(matches(inside) && !matches(outside), "{net}/{prefix}");
        }
    }

    #[test]
    fn a_needle_is_of_whole_bytes() {
        assert_eq!(search("10.1.2.3", 32).needle(), [10, 1, 2, 3]);
        assert_eq!(search("10.1.2.3", 23).needle(), [10, 1]);
        assert_eq!(search("10.1.2.3", 7).needle(), [0; 0]);
        assert_eq!(search("2001:db8::1", 48).needle(), [0x20, 1, 0xd, 0xb8, 0, 0]);
    }
}
