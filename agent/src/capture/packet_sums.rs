//! Counting: what one packet adds to the sums of its block.
//!
//! A packet touches the fewest sums that suffice: one per protocol, where every packet and byte counts
//! once, and its size class. The rest of a tally is derived when the block is done.

use wire::frame::{MixCounts, SIZE_CLASSES};

use super::fields::{ethernet, ipv4, ipv6, protocol, tcp};
use super::packet::{Headers, Network};
use super::ring::Packet;
use super::size_class::size_class;
use super::wire_len::{WireLen, wire_len, wire_len_without_header};
use crate::account::bank::{Direction, DirectionTally, Tally};

/// Transport protocols with their own counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
    Icmp,
    Other,
}

/// Number of network protocols, and of transport protocols.
const NETWORKS: usize = 4;
const TRANSPORTS: usize = 4;

/// Packets on the wire, and their bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    packets: u64,
    bytes: u64,
}

/// The sums of one direction.
#[derive(Debug, Default)]
struct Sums {
    /// By [`Network`] and [`Transport`].
    protocols: [[Sum; TRANSPORTS]; NETWORKS],
    size_packets: [u64; SIZE_CLASSES],
    /// Packets on the wire beyond the first of each packet that the tap saw.
    segments: u64,
    multicast_packets: u64,
    broadcast_packets: u64,
    tcp_syn_packets: u64,
    tcp_rst_packets: u64,
}

/// The sums of the packets counted since they were last taken.
#[derive(Debug, Default)]
pub struct PacketSums {
    /// By [`Direction`].
    sums: [Sums; 2],
    inexact: u64,
    /// Packets counted in a later slot than their own.
    pub late: u64,
    /// Packets from before the ring began; no other sum includes them.
    pub early: u64,
    /// Packets that the kernel decapsulated and handed to the NIC again. They were counted when they
    /// came from the wire.
    again: u64,
}

impl PacketSums {
    /// Adds a packet of a known kind. Returns its bytes on the wire and its direction.
    #[inline]
    pub fn add_plain(&mut self, packet: &Packet<'_>, plain: Plain) -> (u64, Direction) {
        let bytes = u64::from(packet.len);
        let direction = packet.direction();
        let sums = &mut self.sums[direction as usize];
        sums.size_packets[size_class(bytes)] += 1;
        let sum = &mut sums.protocols[plain.network as usize][plain.transport as usize];
        sum.packets += 1;
        sum.bytes += bytes;
        (bytes, direction)
    }

    /// Adds any packet. A packet that was handed to the NIC again has no bytes.
    pub fn add(&mut self, packet: &Packet<'_>) -> (u64, Direction) {
        let ethernet = is_ethernet(packet);
        let headers = if ethernet {
            Headers::of_ethernet(packet.headers, packet.vlan_stripped)
        } else {
            Headers::of_ip(packet.headers)
        };
        let direction = packet.direction();
        if direction == Direction::Rx && headers.is_unwrapped(packet.network_at) {
            self.again += 1;
            return (0, direction);
        }
        let Packet { len, vnet, vlan_stripped, .. } = *packet;
        let wire = match vnet {
            Some(vnet) => wire_len(len, packet.headers, vnet, headers.transport, vlan_stripped),
            None => wire_len_without_header(len, vlan_stripped),
        };
        // Cut headers matter only if the packet itself is longer than the captured bytes.
        let is_cut = packet.headers.len() < len as usize;
        if !wire.exact || is_cut && (headers.cut || has_no_flags(packet.headers, headers)) {
            self.inexact += 1;
        }
        let sums = &mut self.sums[direction as usize];
        sums.add_size(wire);
        sums.add_kind(packet, ethernet, wire.packets);
        sums.add_protocols(packet.headers, headers, wire);
        (wire.bytes, direction)
    }

    /// Takes everything counted so far, except peaks.
    #[must_use]
    pub fn take(&mut self) -> Tally {
        let Self { sums: [rx, tx], inexact, late, early, again } = std::mem::take(self);
        Tally { rx: rx.traffic(), tx: tx.traffic(), late, inexact, early, again }
    }
}

/// The protocols of a plain packet, the most common kind: Ethernet, unicast, untagged, IPv4 without
/// options or IPv6 without extensions, UDP, or TCP without SYN and RST, and one packet on the wire.
#[derive(Debug, Clone, Copy)]
pub struct Plain {
    network: Network,
    transport: Transport,
}

impl Plain {
    /// `None` for any other packet, and if its headers are cut.
    #[must_use]
    #[inline]
    pub fn of(packet: &Packet<'_>) -> Option<Self> {
        const IP: usize = ethernet::HEADER_LEN;
        const IPV4_FRAGMENT: usize = IP + ipv4::FRAGMENT;
        const IPV4_TCP_FLAGS: usize = IP + ipv4::HEADER_LEN + tcp::FLAGS;
        const IPV6_TCP_FLAGS: usize = IP + ipv6::HEADER_LEN + tcp::FLAGS;
        let start = packet.headers.first_chunk::<{ IPV4_TCP_FLAGS + 1 }>()?;
        if packet.vlan_stripped
            || packet.vnet.is_none_or(|vnet| vnet.gso_type != 0)
            || !is_ethernet(packet)
            || start[ethernet::DESTINATION] & ethernet::GROUP != 0
        {
            return None;
        }
        let transport = |protocol, flags: usize| match protocol {
            protocol::UDP => Some(Transport::Udp),
            protocol::TCP if packet.headers.get(flags)? & (tcp::SYN | tcp::RST) == 0 => {
                Some(Transport::Tcp)
            }
            _ => None,
        };
        let be16 = |at| u16::from_be_bytes([start[at], start[at + 1]]);
        let fragment_offset = be16(IPV4_FRAGMENT) & ipv4::FRAGMENT_OFFSET_MASK;
        let plain_ipv4 = start[IP + ipv4::VERSION_IHL] == ipv4::WITHOUT_OPTIONS;
        match be16(ethernet::ETHERTYPE) {
            ethernet::IPV4 if plain_ipv4 && fragment_offset == 0 => Some(Self {
                network: Network::Ipv4,
                transport: transport(start[IP + ipv4::PROTOCOL], IPV4_TCP_FLAGS)?,
            }),
            ethernet::IPV6 => Some(Self {
                network: Network::Ipv6,
                transport: transport(start[IP + ipv6::NEXT_HEADER], IPV6_TCP_FLAGS)?,
            }),
            _ => None,
        }
    }
}

/// True for TCP whose flags are behind the captured bytes.
fn has_no_flags(bytes: &[u8], headers: Headers) -> bool {
    let transport = headers.transport.filter(|(found, _)| *found == protocol::TCP);
    transport.is_some_and(|(_, at)| bytes.len() <= usize::from(at) + tcp::FLAGS)
}

/// True if the captured bytes begin with an Ethernet header.
#[inline]
const fn is_ethernet(packet: &Packet<'_>) -> bool {
    matches!(packet.link_type, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK)
}

impl Sums {
    fn add_size(&mut self, wire: WireLen) {
        if wire.packets == 1 {
            self.size_packets[size_class(wire.bytes)] += 1;
        } else {
            let more = wire.packets - 1;
            self.size_packets[size_class(wire.last())] += 1;
            self.size_packets[size_class(wire.each)] += more;
            self.segments += more;
        }
    }

    /// Counts multicast and broadcast by the destination address, if there is one. That works in both
    /// directions (IEEE 802.3: the first bit marks a group).
    fn add_kind(&mut self, packet: &Packet<'_>, ethernet: bool, packets: u64) {
        const BROADCAST: [u8; 6] = [0xFF; 6];
        let destination = packet.headers.first_chunk::<6>().filter(|_| ethernet);
        let (broadcast, multicast) = match destination {
            Some(address) if address[0] & ethernet::GROUP == 0 => return,
            Some(address) => (*address == BROADCAST, true),
            None => (packet.kind == libc::PACKET_BROADCAST, packet.kind == libc::PACKET_MULTICAST),
        };
        if broadcast {
            self.broadcast_packets += packets;
        } else if multicast {
            self.multicast_packets += packets;
        }
    }

    fn add_protocols(&mut self, bytes: &[u8], headers: Headers, wire: WireLen) {
        let transport = match headers.transport {
            Some((protocol::TCP, at)) => {
                let flags = bytes.get(usize::from(at) + tcp::FLAGS).copied().unwrap_or(0);
                if flags & (tcp::SYN | tcp::RST) != 0 {
                    self.tcp_syn_packets += u64::from(flags & tcp::SYN != 0);
                    self.tcp_rst_packets += u64::from(flags & tcp::RST != 0);
                }
                Transport::Tcp
            }
            Some((protocol::UDP, _)) => Transport::Udp,
            Some((protocol::ICMP | protocol::ICMPV6, _)) => Transport::Icmp,
            _ => Transport::Other,
        };
        let sum = &mut self.protocols[headers.network as usize][transport as usize];
        sum.packets += wire.packets;
        sum.bytes += wire.bytes;
    }

    /// Derives the rest from the sums.
    fn traffic(&self) -> DirectionTally {
        let network = |network: Network| self.protocols[network as usize].iter().copied();
        let all = |sums: &mut dyn Iterator<Item = Sum>| {
            sums.fold(Sum::default(), |sum, more| Sum {
                packets: sum.packets + more.packets,
                bytes: sum.bytes + more.bytes,
            })
        };
        let ip = |transport: Transport| {
            let networks = [Network::Ipv4, Network::Ipv6].map(|it| it as usize);
            all(&mut networks.into_iter().map(|it| self.protocols[it][transport as usize]))
        };
        let bytes = |it| all(&mut network(it)).bytes;
        let [tcp, udp, icmp, other] =
            [Transport::Tcp, Transport::Udp, Transport::Icmp, Transport::Other].map(ip);
        let sum = all(&mut self.protocols.iter().flatten().copied());
        let mix = MixCounts {
            multicast_packets: self.multicast_packets,
            broadcast_packets: self.broadcast_packets,
            size_packets: self.size_packets,
            ipv4_bytes: bytes(Network::Ipv4),
            ipv6_bytes: bytes(Network::Ipv6),
            arp_bytes: bytes(Network::Arp),
            other_bytes: bytes(Network::Other),
            tcp_packets: tcp.packets,
            tcp_bytes: tcp.bytes,
            udp_packets: udp.packets,
            udp_bytes: udp.bytes,
            icmp_packets: icmp.packets,
            icmp_bytes: icmp.bytes,
            other_transport_packets: other.packets,
            other_transport_bytes: other.bytes,
            tcp_syn_packets: self.tcp_syn_packets,
            tcp_rst_packets: self.tcp_rst_packets,
        };
        let captured = sum.packets - self.segments;
        DirectionTally {
            bytes: sum.bytes,
            packets: sum.packets,
            captured,
            mix,
            ..DirectionTally::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::wire_len::VnetHeader;
    use super::*;
    use wire::WallNs;

    /// An Ethernet packet with IPv4, this destination and this protocol.
    fn ipv4(destination: [u8; 6], protocol: u8) -> Vec<u8> {
        let mut bytes = vec![0; 128];
        bytes[..6].copy_from_slice(&destination);
        bytes[12..14].copy_from_slice(&[0x08, 0x00]);
        bytes[14] = 0x45;
        bytes[23] = protocol;
        bytes
    }

    fn packet(headers: &[u8], len: u32) -> Packet<'_> {
        Packet {
            time_ns: WallNs(0),
            len,
            headers,
            vnet: Some(VnetHeader::default()),
            vlan_stripped: false,
            network_at: 14,
            kind: libc::PACKET_HOST,
            link_type: libc::ARPHRD_ETHER,
        }
    }

    const UNICAST: [u8; 6] = [2, 0, 0, 0, 0, 1];

    #[test]
    fn direction_is_by_packet_type() {
        let bytes = ipv4(UNICAST, protocol::UDP);
        let mut counts = PacketSums::default();
        assert_eq!(counts.add(&packet(&bytes, 100)), (100, Direction::Rx));
        let sent = Packet { kind: libc::PACKET_OUTGOING, ..packet(&bytes, 60) };
        assert_eq!(counts.add(&sent), (60, Direction::Tx));
        let other = Packet { kind: libc::PACKET_OTHERHOST, ..packet(&bytes, 7) };
        assert_eq!(counts.add(&other), (7, Direction::Rx));
        let tally = counts.take();
        assert_eq!((tally.rx.bytes, tally.rx.packets, tally.tx.bytes), (107, 2, 60));
        assert_eq!((tally.rx.mix.udp_bytes, tally.rx.mix.ipv4_bytes), (107, 107));
    }

    #[test]
    fn a_super_packet_is_many_packets_of_the_mix_too() {
        let mut bytes = ipv4(UNICAST, protocol::TCP);
        bytes[34 + 12] = 5 << 4;
        bytes[34 + tcp::FLAGS] = tcp::RST;
        let vnet = Some(VnetHeader {
            flags: VnetHeader::NEEDS_CSUM,
            gso_type: VnetHeader::GSO_TCPV4,
            gso_size: 1448,
            csum_start: 34,
        });
        let mut counts = PacketSums::default();
        counts.add(&Packet { vnet, ..packet(&bytes, 54 + 2 * 1448 + 10) });
        let tally = counts.take();
        let mix = tally.rx.mix;
        assert_eq!(mix.size_packets, [0, 1, 0, 0, 0, 2, 0], "one of 64 + 4 bytes, two of 1,506");
        assert_eq!((mix.tcp_packets, mix.tcp_bytes), (3, 2 * 1448 + 10 + 3 * 54));
        assert_eq!((mix.tcp_rst_packets, mix.tcp_syn_packets, tally.rx.captured), (1, 0, 1));
    }

    #[test]
    fn without_a_virtio_header_what_may_be_a_super_packet_is_said_to_be_inexact() {
        let bytes = ipv4(UNICAST, protocol::TCP);
        let mut counts = PacketSums::default();
        let without = |len| Packet { vnet: None, ..packet(&bytes, len) };
        counts.add(&without(1514));
        let tally = counts.take();
        assert_eq!((tally.rx.packets, tally.inexact), (1, 0));
        counts.add(&without(60_000));
        let tally = counts.take();
        assert_eq!((tally.rx.packets, tally.rx.bytes, tally.inexact), (1, 60_000, 1));
    }

    #[test]
    fn what_lies_behind_the_snaplen_is_said_to_be_inexact_and_what_a_packet_lacks_is_not() {
        let inexact = |bytes: &[u8], len: u32| {
            let mut counts = PacketSums::default();
            counts.add(&packet(bytes, len));
            counts.take().inexact
        };
        let mut syn = ipv4(UNICAST, protocol::TCP);
        syn[34 + tcp::FLAGS] = tcp::SYN;
        let flags = 34 + tcp::FLAGS + 1;
        assert_eq!(inexact(&syn[..flags], 60), 0);
        assert_eq!(inexact(&syn[..flags - 1], 60), 1, "the flags are behind the snaplen");
        assert_eq!(inexact(&syn[..20], 60), 1, "the protocol is behind the snaplen");
        assert_eq!(inexact(&syn[..20], 20), 0, "the packet itself is that short");
        let lldp = [&[0; 12][..], &[0x88, 0xCC], &[0; 20]].concat();
        assert_eq!(inexact(&lldp, 200), 0, "a protocol without counters");
    }

    #[test]
    fn groups_are_told_by_the_destination_address_in_both_directions() {
        let mut counts = PacketSums::default();
        let broadcast = ipv4([0xFF; 6], protocol::ICMP);
        counts.add(&Packet { kind: libc::PACKET_OUTGOING, ..packet(&broadcast, 60) });
        let multicast = ipv4([1, 0, 0x5E, 0, 0, 1], 2);
        counts.add(&packet(&multicast, 60));
        let tally = counts.take();
        assert_eq!((tally.tx.mix.broadcast_packets, tally.tx.mix.multicast_packets), (1, 0));
        assert_eq!((tally.rx.mix.broadcast_packets, tally.rx.mix.multicast_packets), (0, 1));
        assert_eq!((tally.tx.mix.icmp_packets, tally.rx.mix.other_transport_packets), (1, 1));
    }

    proptest! {
        /// Nearly plain packets: a byte of the headers, or of the kernel's fields, is changed.
        #[test]
        fn the_short_way_counts_what_the_long_way_does(
            ipv6: bool,
            protocol in prop_oneof![Just(6u8), Just(17), any::<u8>()],
            changed in proptest::option::of((0..90usize, any::<u8>())),
            captured in prop_oneof![9 => Just(90usize), 1 => 0..90usize],
            len in 42..3000u32,
            kind in prop_oneof![Just(libc::PACKET_HOST), 0..8u8],
            gso_type in prop_oneof![5 => Just(0u8), 1 => any::<u8>()],
            vlan_stripped in proptest::bool::weighted(0.1),
            link_type in prop_oneof![3 => Just(libc::ARPHRD_ETHER), 1 => Just(libc::ARPHRD_NONE)],
        ) {
            let mut bytes = ipv4(UNICAST, protocol);
            if ipv6 {
                (bytes[12], bytes[13], bytes[14], bytes[20]) = (0x86, 0xDD, 0x60, protocol);
            }
            if let Some((at, byte)) = changed {
                bytes[at] = byte;
            }
            let vnet = VnetHeader { gso_type, gso_size: 1000, ..VnetHeader::default() };
            let headers = &bytes[..captured];
            let packet = packet(headers, len);
            let packet = Packet { vnet: Some(vnet), kind, vlan_stripped, link_type, ..packet };
            let (mut short, mut long) = (PacketSums::default(), PacketSums::default());
            if let Some(plain) = Plain::of(&packet) {
                prop_assert_eq!(short.add_plain(&packet, plain), long.add(&packet));
                prop_assert_eq!(short.take(), long.take());
            }
        }
    }

    #[test]
    fn what_most_packets_are_is_counted_the_short_way() {
        let mut ipv6 = ipv4(UNICAST, 0);
        (ipv6[12], ipv6[13], ipv6[14], ipv6[20]) = (0x86, 0xDD, 0x60, protocol::TCP);
        for bytes in [ipv4(UNICAST, protocol::UDP), ipv4(UNICAST, protocol::TCP), ipv6] {
            assert!(Plain::of(&packet(&bytes, 90)).is_some());
        }
        let mut begins = ipv4(UNICAST, protocol::TCP);
        begins[34 + tcp::FLAGS] = tcp::SYN;
        assert!(Plain::of(&packet(&begins, 90)).is_none());
    }

    #[test]
    fn a_nic_without_link_layer_starts_with_the_ip_header() {
        let bytes = ipv4(UNICAST, protocol::UDP);
        let mut counts = PacketSums::default();
        let tun = Packet { link_type: libc::ARPHRD_NONE, ..packet(&bytes[14..], 86) };
        counts.add(&tun);
        let tally = counts.take();
        assert_eq!((tally.rx.mix.udp_packets, tally.rx.mix.ipv4_bytes), (1, 86));
    }
}
