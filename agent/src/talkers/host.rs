//! What tells this host's own ends: its addresses, and the ports on which it listens.

use super::key::{Ends, KeyAddress, KeyedFlow};

/// TCP, the protocol whose ports are listened on.
const TCP: u8 = 6;

/// Numbers of words in a set of ports.
const WORDS: usize = 1 << 10;

/// Places per address.
const SPARSE: usize = 16;

/// A host's addresses and ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnHost {
    /// Open addressing with linear probing, with no address in at least 15 of 16 places: traffic that is
    /// forwarded looks for both of its ends, and nearly always finds such a place at once.
    addresses: Box<[KeyAddress]>,
    /// The TCP ports that are listened on, a bit each.
    listening: Box<[u64]>,
}

impl Default for OwnHost {
    fn default() -> Self {
        Self::new(Vec::new(), [])
    }
}

impl OwnHost {
    /// A host with these addresses, which listens on these TCP ports.
    #[must_use]
    pub fn new(mut addresses: Vec<KeyAddress>, ports: impl IntoIterator<Item = u16>) -> Self {
        // In order, so that equal hosts are equal.
        addresses.sort_unstable();
        addresses.dedup();
        let places = (SPARSE * addresses.len()).next_power_of_two().max(SPARSE);
        let mut set = vec![KeyAddress::NONE; places].into_boxed_slice();
        for address in addresses.into_iter().filter(|it| *it != KeyAddress::NONE) {
            let free = search(&set, address).find(|&at| set[at] == KeyAddress::NONE);
            free.into_iter().for_each(|at| set[at] = address);
        }
        let mut listening = vec![0; WORDS].into_boxed_slice();
        for port in ports {
            listening[usize::from(port >> 6)] |= 1 << (port & 63);
        }
        Self { addresses: set, listening }
    }

    /// True for one of its addresses.
    #[must_use]
    #[inline(always)]
    pub fn owns(&self, address: KeyAddress) -> bool {
        let found = search(&self.addresses, address).map(|at| self.addresses[at]);
        let mut found = found.take_while(|it| *it != KeyAddress::NONE);
        found.any(|it| it == address)
    }

    /// True if it listens on a port.
    #[must_use]
    #[inline]
    pub fn listens(&self, protocol: u8, port: u16) -> bool {
        protocol == TCP && self.listening[usize::from(port >> 6)] >> (port & 63) & 1 != 0
    }

    /// The flow of a packet, made of its protocol and ends: seen from this host if one end is its own,
    /// else forwarded. `to_group`: the packet was sent to a group, so that its destination is everyone's.
    #[must_use]
    #[inline(always)]
    pub fn flow(
        &self,
        protocol: u8,
        ends: Ends,
        to_group: bool,
        make: impl FnOnce(u8, Ends, bool) -> KeyedFlow,
    ) -> KeyedFlow {
        if to_group || ends.near.is_everywhere() || self.owns(ends.near) {
            make(protocol, ends, self.listens(protocol, ends.near_port))
        } else if self.owns(ends.far) {
            let ends = ends.turned();
            make(protocol, ends, self.listens(protocol, ends.near_port))
        } else {
            make(protocol, ends, false).forwarded()
        }
    }
}

/// The places of an address, one after another. Who sends to this host doesn't choose its addresses, so
/// the hash has no key.
#[inline(always)]
fn search(places: &[KeyAddress], address: KeyAddress) -> impl Iterator<Item = usize> + use<> {
    let word = address.low ^ address.high.rotate_left(32);
    // 2^64 divided by the golden ratio. A bit of a factor changes only those above it in the product, so
    // the upper half comes down to the lower one, before and after.
    let product = u128::from(word ^ word >> 32) * 0x9E37_79B9_7F4A_7C15;
    let mask = places.len() - 1;
    #[allow(clippy::cast_possible_truncation, reason = "the lower bits of both halves")]
    let start = (product >> 64) as usize ^ (product >> 32) as usize;
    (0..places.len()).map(move |probe| start.wrapping_add(probe) & mask)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn address(text: &str) -> KeyAddress {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn ends(far: &str, near: &str) -> Ends {
        Ends { far: address(far), near: address(near), far_port: 40_000, near_port: 50_000 }
    }

    #[test]
    fn the_far_end_is_the_one_that_is_not_this_hosts() {
        let host = OwnHost::new(vec![address("192.0.2.1"), address("2001:db8::1")], [50_000]);
        let key = |far, near, to_group| {
            host.flow(TCP, ends(far, near), to_group, KeyedFlow::between_ports).key()
        };
        let here = key("192.0.2.9", "192.0.2.1", false);
        assert_eq!((here.address, here.other), (address("192.0.2.9").bytes(), [0; 16]));
        assert_eq!(here.port, 50_000, "it listens there");
        // Another end's packet, overheard or looped back.
        let turned = key("2001:db8::1", "2001:db8::9", false);
        assert_eq!((turned.address, turned.other), (address("2001:db8::9").bytes(), [0; 16]));
        let forwarded = key("192.0.2.9", "198.51.100.1", false);
        assert_eq!(forwarded.other, address("198.51.100.1").bytes());
        assert_eq!(forwarded.port, 40_000, "the lower one");
        assert_eq!(key("192.0.2.9", "192.0.2.255", true).other, [0; 16], "sent to a group");
        assert_eq!(key("192.0.2.9", "239.1.2.3", false).other, [0; 16]);
        // A router sends on what others sent to a group.
        assert_ne!(key("239.1.2.3", "198.51.100.1", false).other, [0; 16]);
    }

    #[test]
    fn each_of_many_addresses_is_found_and_no_other() {
        let six = |n: u64| KeyAddress { high: (0xFE80 << 48) + n % 7, low: n << 20 };
        for count in [0u32, 1, 4, 5, 1000, 20_000] {
            let four = (0..count).map(|n| KeyAddress::v4((0x0A00_0000 + n).to_be_bytes()));
            let own: Vec<KeyAddress> = four.chain((1..=u64::from(count)).map(six)).collect();
            let host = OwnHost::new(own.clone(), []);
            assert!(own.iter().all(|it| host.owns(*it)), "{count}");
            let near = own.iter().map(|it| KeyAddress { low: it.low + (1 << 19), ..*it });
            assert!(near.chain([KeyAddress::NONE]).all(|it| !host.owns(it)), "{count}");
            let turned = own.into_iter().rev().collect();
            assert_eq!(host, OwnHost::new(turned, []), "in whatever order they come");
        }
    }

    #[test]
    fn regular_addresses_share_few_places() {
        type Regular = fn(u64) -> KeyAddress;
        let regular: [(&str, Regular); 4] = [
            ("one of each /48", |n| KeyAddress { high: 0x2001_0DB8_0000_0000 | n << 16, low: 1 }),
            ("one of each /64", |n| KeyAddress { high: 0x2001_0DB8_0000_0000 | n, low: 1 }),
            ("of one /64", |n| KeyAddress { high: 0x2001_0DB8_0000_0000, low: n }),
            ("of one /64, the upper bits", |n| KeyAddress { high: 0xFE80 << 48, low: n << 40 }),
        ];
        for (what, make) in regular {
            let host = OwnHost::new((1..=1000).map(make).collect(), []);
            let found = |n| {
                let address = make(n);
                let places = &host.addresses;
                search(places, address).position(|at| places[at] == address).unwrap()
            };
            let probes: Vec<usize> = (1..=1000).map(found).collect();
            let (sum, most) = (probes.iter().sum::<usize>(), *probes.iter().max().unwrap());
            assert!(
                sum < 2000 && most < 32,
                "{what}: {sum} probes beyond the first, {most} for one"
            );
        }
    }

    #[test]
    fn every_port_is_one_bit() {
        for port in [0, 1, 63, 64, 443, u16::MAX] {
            let host = OwnHost::new(Vec::new(), [port]);
            let found: Vec<u16> = (0..=u16::MAX).filter(|it| host.listens(TCP, *it)).collect();
            assert_eq!(found, [port]);
            assert!(!host.listens(17, port), "UDP ports aren't listened on");
        }
    }
}
