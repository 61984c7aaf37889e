//! Whose a packet is: from its two ends to the key of a talker.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use wire::talkers::{KeyKind, TalkerKey};

use super::socket_pair::{SeenSockets, SocketPair};

/// TCP and UDP, the protocols whose sockets can be asked for.
const WITH_SOCKETS: [u8; 2] = [6, 17];

/// An address as two numbers: IPv6, or IPv4 as `::ffff:a.b.c.d`; zero if there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyAddress {
    /// The first eight bytes.
    pub high: u64,
    /// The last eight bytes.
    pub low: u64,
}

impl KeyAddress {
    /// No address, as hosts without one write it (`0.0.0.0` is another form of it).
    pub const NONE: Self = Self { high: 0, low: 0 };

    /// What an IPv4 address has before its 32 bits.
    const MAPPED: u64 = 0xFFFF << 32;

    /// An IPv4 address.
    #[must_use]
    #[inline]
    pub const fn v4(bytes: [u8; 4]) -> Self {
        Self { high: 0, low: Self::MAPPED | u32::from_be_bytes(bytes) as u64 }
    }

    /// An IPv6 address.
    #[must_use]
    #[inline]
    pub const fn v6(bytes: [u8; 16]) -> Self {
        let both = u128::from_be_bytes(bytes);
        #[allow(clippy::cast_possible_truncation, reason = "its two halves")]
        Self { high: (both >> 64) as u64, low: both as u64 }
    }

    /// The address as bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; 16] {
        ((self.high as u128) << 64 | self.low as u128).to_be_bytes()
    }

    /// The address in its own form.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        Ipv6Addr::from(self.bytes()).to_canonical()
    }

    const fn ipv4(self) -> Option<u32> {
        #[allow(clippy::cast_possible_truncation, reason = "the lower half")]
        if self.high == 0 && self.low >> 32 == 0xFFFF { Some(self.low as u32) } else { None }
    }

    /// True for what every host takes as its own: multicast, the limited broadcast, loopback
    /// addresses, and the address of a host that has none yet (RFC 1122, section 3.2.1.3; RFC 4291,
    /// section 2.4).
    #[must_use]
    pub const fn is_everywhere(self) -> bool {
        match self.ipv4() {
            Some(four) => matches!(four >> 24, 0 | 127 | 224..=239) || four == u32::MAX,
            None => self.high >> 56 == 0xFF || self.high == 0 && self.low <= 1,
        }
    }
}

impl From<IpAddr> for KeyAddress {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(four) => Self::v4(four.octets()),
            IpAddr::V6(six) => Self::v6(six.octets()),
        }
    }
}

/// The two ends of a packet, as seen from this host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ends {
    /// Where it comes from if received, where it goes if transmitted.
    pub far: KeyAddress,
    /// Where it goes if received, where it comes from if transmitted.
    pub near: KeyAddress,
    /// Port of the far end; 0 without one.
    pub far_port: u16,
    /// Port of the near end; 0 without one.
    pub near_port: u16,
}

impl Ends {
    /// The same packet, from the other end.
    #[must_use]
    #[inline]
    pub const fn turned(self) -> Self {
        let Self { far, near, far_port, near_port } = self;
        Self { far: near, near: far, far_port: near_port, near_port: far_port }
    }
}

/// All of a key but its addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct KeyTag(pub u32);

impl KeyTag {
    const FORWARDED: u32 = 1 << 31;

    #[inline]
    const fn new(kind: KeyKind, protocol: u8, port: u16) -> Self {
        Self((kind as u32) << 24 | (protocol as u32) << 16 | port as u32)
    }

    #[inline]
    pub const fn is_forwarded(self) -> bool {
        self.0 & Self::FORWARDED != 0
    }

    const fn parts(self) -> (u8, u8, u16) {
        let [kind, protocol, port @ ..] = (self.0 & !Self::FORWARDED).to_be_bytes();
        (kind, protocol, u16::from_be_bytes(port))
    }
}

/// A packet's flow, with the key of the talker that it belongs to.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeyedFlow {
    pub(super) far: KeyAddress,
    /// Part of the key of forwarded traffic only.
    pub(super) near: KeyAddress,
    pub(super) tag: KeyTag,
    /// The port that is no service's.
    pub(super) other_port: u16,
}

impl KeyedFlow {
    /// A flow between ports: TCP, UDP and the like.
    ///
    /// The service's port is that of this host if it `listens` there, else the lower one of the two, and
    /// that of this host if they are equal. Servers listen on low ports, and clients get high ones from
    /// the system (RFC 6335, section 6; `ip_local_port_range`).
    #[must_use]
    #[inline]
    pub const fn between_ports(protocol: u8, ends: Ends, listens: bool) -> Self {
        let Ends { far, near, far_port, near_port } = ends;
        let (kind, port, other_port) = if listens || near_port <= far_port {
            (KeyKind::LocalService, near_port, far_port)
        } else {
            (KeyKind::RemoteService, far_port, near_port)
        };
        Self { far, near, tag: KeyTag::new(kind, protocol, port), other_port }
    }

    /// IP without ports: ICMP, other protocols, and fragments after the first.
    #[must_use]
    pub const fn without_ports(protocol: u8, ends: Ends) -> Self {
        const ICMP: [u8; 2] = [1, 58];
        let icmp = protocol == ICMP[0] || protocol == ICMP[1];
        let kind = if icmp { KeyKind::Icmp } else { KeyKind::NoPort };
        let Ends { far, near, .. } = ends;
        Self { far, near, tag: KeyTag::new(kind, protocol, 0), other_port: 0 }
    }

    /// ARP, by the address of the far end.
    #[must_use]
    pub const fn arp(far: KeyAddress) -> Self {
        let tag = KeyTag::new(KeyKind::Arp, 0, 0);
        Self { far, near: KeyAddress::NONE, tag, other_port: 0 }
    }

    /// Another network protocol.
    #[must_use]
    pub const fn of_ethertype(ethertype: u16) -> Self {
        let tag = KeyTag::new(KeyKind::EtherType, 0, ethertype);
        Self { far: KeyAddress::NONE, near: KeyAddress::NONE, tag, other_port: 0 }
    }

    /// Headers that can't be read, or only as far as the addresses.
    #[must_use]
    pub const fn unparsed(protocol: u8, ends: Ends) -> Self {
        let Ends { far, near, .. } = ends;
        Self { far, near, tag: KeyTag::new(KeyKind::Unparsed, protocol, 0), other_port: 0 }
    }

    /// The same, but forwarded: neither end is this host, and both are in the key.
    #[must_use]
    #[inline]
    pub const fn forwarded(mut self) -> Self {
        self.tag.0 |= KeyTag::FORWARDED;
        self
    }

    /// The near end if it is part of the key.
    #[inline]
    pub(super) const fn other(&self) -> KeyAddress {
        if self.tag.is_forwarded() { self.near } else { KeyAddress::NONE }
    }

    /// True if both belong to one talker.
    #[inline]
    pub(super) fn has_key_of(&self, other: &Self) -> bool {
        self.tag == other.tag
            && self.far == other.far
            && (self.near == other.near || !self.tag.is_forwarded())
    }

    /// True if both, which have one key, are of the same flow.
    #[inline]
    pub(super) fn is_same_flow(&self, other: &Self) -> bool {
        self.other_port == other.other_port && self.near == other.near
    }

    /// The key of the talker.
    #[must_use]
    pub fn key(&self) -> TalkerKey {
        let (kind, protocol, port) = self.tag.parts();
        TalkerKey { kind, protocol, port, address: self.far.bytes(), other: self.other().bytes() }
    }

    /// The sockets that may have the flow; `several`: others of its talker were seen.
    #[must_use]
    pub fn seen(&self, several: bool) -> SeenSockets {
        let (kind, protocol, port) = self.tag.parts();
        let (local_port, remote_port) = match KeyKind::of(kind) {
            Some(KeyKind::LocalService) => (port, self.other_port),
            Some(KeyKind::RemoteService) => (self.other_port, port),
            _ => return SeenSockets::Nothing,
        };
        if self.tag.is_forwarded() || !WITH_SOCKETS.contains(&protocol) {
            return SeenSockets::Nothing;
        }
        let pair = SocketPair {
            protocol,
            local: SocketAddr::new(self.near.ip(), local_port),
            remote: SocketAddr::new(self.far.ip(), remote_port),
        };
        if several { SeenSockets::Several(pair) } else { SeenSockets::One(pair) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: u8 = 6;

    fn address(text: &str) -> KeyAddress {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn ends(far_port: u16, near_port: u16) -> Ends {
        Ends { far: address("192.0.2.9"), near: address("192.0.2.1"), far_port, near_port }
    }

    fn kind_and_port(flow: KeyedFlow) -> (Option<KeyKind>, u16) {
        let TalkerKey { kind, port, .. } = flow.key();
        (KeyKind::of(kind), port)
    }

    #[test]
    fn the_service_is_where_the_host_listens_or_else_at_the_lower_port() {
        let of = |far, near, listens| {
            kind_and_port(KeyedFlow::between_ports(TCP, ends(far, near), listens))
        };
        assert_eq!(of(40_000, 443, false), (Some(KeyKind::LocalService), 443));
        assert_eq!(of(443, 40_000, false), (Some(KeyKind::RemoteService), 443));
        assert_eq!(of(40_000, 50_000, false), (Some(KeyKind::RemoteService), 40_000));
        assert_eq!(of(40_000, 50_000, true), (Some(KeyKind::LocalService), 50_000));
        assert_eq!(of(123, 123, false), (Some(KeyKind::LocalService), 123));
    }

    #[test]
    fn both_directions_of_a_flow_have_one_key_and_one_flow() {
        // Received and transmitted: the far end is the same.
        let flow = KeyedFlow::between_ports(TCP, ends(443, 40_000), false);
        let SeenSockets::One(seen) = flow.seen(false) else { panic!("one flow") };
        assert_eq!(seen.local.to_string(), "192.0.2.1:40000");
        assert_eq!(seen.remote.to_string(), "192.0.2.9:443");
        assert!(matches!(flow.seen(true), SeenSockets::Several(_)));
        let served = KeyedFlow::between_ports(17, ends(40_000, 53), false);
        let SeenSockets::One(seen) = served.seen(false) else { panic!("one flow") };
        assert_eq!((seen.local.port(), seen.remote.port(), seen.protocol), (53, 40_000, 17));
    }

    #[test]
    fn forwarded_traffic_has_both_ends_in_its_key_and_no_socket() {
        let near = KeyedFlow::between_ports(TCP, ends(443, 40_000), false);
        let other = Ends { near: address("192.0.2.2"), ..ends(443, 40_001) };
        let other = KeyedFlow::between_ports(TCP, other, false);
        assert!(near.has_key_of(&other), "one remote service, however many of its clients");
        assert!(!near.is_same_flow(&other));
        assert_eq!(near.key().other, [0; 16]);
        let (near, other) = (near.forwarded(), other.forwarded());
        assert!(!near.has_key_of(&other));
        assert_eq!(near.key().other, address("192.0.2.1").bytes());
        assert_eq!(near.seen(false), SeenSockets::Nothing);
    }

    #[test]
    fn what_has_no_ports_has_keys_of_its_own() {
        let kind = |flow| kind_and_port(flow);
        let ends = ends(0, 0);
        assert_eq!(kind(KeyedFlow::without_ports(1, ends)), (Some(KeyKind::Icmp), 0));
        assert_eq!(kind(KeyedFlow::without_ports(58, ends)), (Some(KeyKind::Icmp), 0));
        assert_eq!(kind(KeyedFlow::without_ports(47, ends)), (Some(KeyKind::NoPort), 0));
        assert_eq!(kind(KeyedFlow::arp(ends.far)), (Some(KeyKind::Arp), 0));
        assert_eq!(kind(KeyedFlow::of_ethertype(0x88CC)), (Some(KeyKind::EtherType), 0x88CC));
        assert_eq!(kind(KeyedFlow::unparsed(6, ends)), (Some(KeyKind::Unparsed), 0));
        assert_eq!(KeyedFlow::unparsed(6, ends).seen(false), SeenSockets::Nothing);
        assert_eq!(
            KeyedFlow::between_ports(132, ends, false).seen(false),
            SeenSockets::Nothing,
            "SCTP"
        );
    }

    #[test]
    fn addresses_are_written_as_keys_hold_them() {
        for text in ["192.0.2.9", "2001:db8::9", "::1", "255.255.255.255"] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(KeyAddress::from(ip).ip(), ip);
            assert_eq!(KeyAddress::from(ip).bytes(), wire::talkers::address_bytes(ip));
        }
    }

    #[test]
    fn multicast_broadcast_loopback_and_no_address_are_every_hosts() {
        for (text, everywhere) in [
            ("224.0.0.251", true),
            ("239.255.255.255", true),
            ("255.255.255.255", true),
            ("127.0.0.53", true),
            ("0.0.0.0", true),
            ("223.255.255.255", false),
            ("240.0.0.1", false),
            ("ff02::fb", true),
            ("::", true),
            ("::1", true),
            ("::2", false),
            ("fe80::1", false),
        ] {
            assert_eq!(address(text).is_everywhere(), everywhere, "{text}");
        }
    }
}
