//! Who keeps a place where there is room for some only. Each peer has the same share, so that one with many
//! connections can't push out what is known of others.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use wire::BootNs;

/// A remote host, as far as addresses tell one: the address, or the /64 of IPv6, all of which one host may
/// use (RFC 4291, section 2.5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RemoteHost(Ipv6Addr);

impl RemoteHost {
    /// Of sockets without a remote end: those that listen, and datagram sockets.
    pub const NONE: Self = Self(Ipv6Addr::UNSPECIFIED);

    /// The peer at a remote end.
    #[must_use]
    pub fn of(remote: SocketAddr) -> Self {
        match remote.ip().to_canonical() {
            ip if ip.is_unspecified() => Self::NONE,
            IpAddr::V4(four) => Self(four.to_ipv6_mapped()),
            IpAddr::V6(six) => Self((six.to_bits() >> 64 << 64).into()),
        }
    }
}

/// Those that keep their place, at most `room`. Each peer keeps its latest, and none has more than one above
/// another that lost a place; the times say which are the latest.
pub fn shares<T: Copy + Eq + Hash>(
    all: impl Iterator<Item = (T, RemoteHost, BootNs)>,
    room: usize,
) -> HashSet<T> {
    let mut all: Vec<(T, RemoteHost, BootNs)> = all.collect();
    all.sort_by_key(|(.., at)| Reverse(*at));
    let mut peers: HashMap<RemoteHost, usize> = HashMap::new();
    let mut ranked: Vec<(usize, T)> = Vec::with_capacity(all.len());
    for (which, peer, _) in all {
        let rank = peers.entry(peer).or_default();
        ranked.push((*rank, which));
        *rank += 1;
    }
    // Of equal ranks the latest stay in front.
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().take(room).map(|(_, which)| which).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> RemoteHost {
        RemoteHost::of(text.parse().unwrap())
    }

    #[test]
    fn a_peer_is_an_address_or_a_64_of_ipv6() {
        assert_eq!(peer("10.0.0.1:80"), peer("[::ffff:10.0.0.1]:443"));
        assert_ne!(peer("10.0.0.1:80"), peer("10.0.0.2:80"));
        assert_eq!(peer("[2001:db8::1]:80"), peer("[2001:db8::ffff:0:0:7]:9"));
        assert_ne!(peer("[2001:db8::1]:80"), peer("[2001:db8:0:1::1]:80"));
        assert_eq!([peer("0.0.0.0:0"), peer("[::]:53")], [RemoteHost::NONE; 2]);
    }

    #[test]
    fn the_one_with_most_gives_way_and_keeps_its_latest() {
        let many = (0..100).map(|n| (n, peer("10.0.0.1:1"), BootNs(n)));
        let few = [(200, peer("10.0.0.2:1"), BootNs(1)), (201, peer("10.0.0.3:1"), BootNs(0))];
        let kept = shares(many.chain(few), 10);
        let mut kept: Vec<u64> = kept.into_iter().collect();
        kept.sort_unstable();
        assert_eq!(kept, [92, 93, 94, 95, 96, 97, 98, 99, 200, 201]);
    }

    #[test]
    fn peers_with_the_same_number_give_way_by_age() {
        let all =
            (0..20).map(|n| (n, RemoteHost(Ipv6Addr::from(u128::from(n % 10) << 64)), BootNs(n)));
        let kept = shares(all, 12);
        assert!((10..20).all(|latest| kept.contains(&latest)), "one of each");
        assert!(kept.contains(&9) && kept.contains(&8), "{kept:?}");
    }
}
