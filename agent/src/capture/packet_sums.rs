//! Counting: what one packet adds to the sums of its block.
//!
//! A packet touches the fewest sums that suffice: one per protocol, where every packet and byte counts
//! once, and its size class. The rest of a tally is derived when the block is done.

use wire::frame::{MixCounts, SIZE_CLASSES};
use wire::{Bytes, Packets};

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

/// What a packet was counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Bytes on the wire; none of a packet that was handed to the NIC again.
    pub bytes: Bytes,
    /// Packets on the wire.
    pub packets: Packets,
    /// Which way it went.
    pub direction: Direction,
    /// Its headers.
    pub headers: Headers,
}

impl PacketSums {
    /// Adds a packet of a known kind. Returns its bytes on the wire and its direction.
    #[inline(always)]
    pub fn add_plain(&mut self, packet: &Packet<'_>, plain: Plain) -> (u64, Direction) {
        let bytes = u64::from(packet.len);
        let direction = packet.direction();
        let sums = &mut self.sums[direction as usize];
        sums.size_packets[size_class(bytes)] += 1;
        let sum = &mut sums.protocols[plain.network as usize][plain.transport as usize];
        sum.packets += 1;
        sum.bytes += bytes;
        if plain.flags != 0 {
            sums.add_flags(plain.flags);
        }
        (bytes, direction)
    }

    /// Adds any packet.
    pub fn add(&mut self, packet: &Packet<'_>) -> Counted {
        let ethernet = packet.is_ethernet();
        let headers = if ethernet {
            Headers::of_ethernet(packet.headers, packet.vlan_stripped)
        } else {
            Headers::of_ip(packet.headers)
        };
        let direction = packet.direction();
        if direction == Direction::Rx && headers.is_unwrapped(packet.network_at) {
            self.again += 1;
            return Counted { bytes: Bytes(0), packets: Packets(0), direction, headers };
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
        let (bytes, packets) = (Bytes(wire.bytes), Packets(wire.packets));
        Counted { bytes, packets, direction, headers }
    }

    /// Takes everything counted so far, except peaks.
    #[must_use]
    pub fn take(&mut self) -> Tally {
        let Self { sums: [rx, tx], inexact, late, early, again } = std::mem::take(self);
        let [late, inexact, early, again] = [late, inexact, early, again].map(Packets);
        Tally { rx: rx.traffic(), tx: tx.traffic(), late, inexact, early, again }
    }
}

/// The protocols of a plain packet, the most common kind: Ethernet, unicast, untagged, IPv4 without
/// options or IPv6 without extensions, UDP or TCP, and one packet on the wire.
#[derive(Debug, Clone, Copy)]
pub struct Plain {
    network: Network,
    transport: Transport,
    /// SYN and RST of TCP.
    flags: u8,
}

impl Plain {
    /// True for TCP, false for UDP.
    #[inline]
    pub(super) fn is_tcp(self) -> bool {
        self.transport == Transport::Tcp
    }

    /// True for IPv4, false for IPv6.
    #[inline]
    pub(super) fn is_ipv4(self) -> bool {
        self.network == Network::Ipv4
    }

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
            || !packet.is_ethernet()
            || start[ethernet::DESTINATION] & ethernet::GROUP != 0
        {
            return None;
        }
        let of = |network, protocol, flags: usize| match protocol {
            protocol::UDP => Some(Self { network, transport: Transport::Udp, flags: 0 }),
            protocol::TCP => {
                let flags = packet.headers.get(flags)? & (tcp::SYN | tcp::RST);
                Some(Self { network, transport: Transport::Tcp, flags })
            }
            _ => None,
        };
        let be16 = |at| u16::from_be_bytes([start[at], start[at + 1]]);
        let fragment_offset = be16(IPV4_FRAGMENT) & ipv4::FRAGMENT_OFFSET_MASK;
        let plain_ipv4 = start[IP + ipv4::VERSION_IHL] == ipv4::WITHOUT_OPTIONS;
        match be16(ethernet::ETHERTYPE) {
            ethernet::IPV4 if plain_ipv4 && fragment_offset == 0 => {
                of(Network::Ipv4, start[IP + ipv4::PROTOCOL], IPV4_TCP_FLAGS)
            }
            ethernet::IPV6 => of(Network::Ipv6, start[IP + ipv6::NEXT_HEADER], IPV6_TCP_FLAGS),
            _ => None,
        }
    }
}

/// True for TCP whose flags are behind the captured bytes.
fn has_no_flags(bytes: &[u8], headers: Headers) -> bool {
    let transport = headers.transport.filter(|(found, _)| *found == protocol::TCP);
    transport.is_some_and(|(_, at)| bytes.len() <= usize::from(at) + tcp::FLAGS)
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

    /// Counts SYN and RST of a TCP packet.
    #[inline]
    fn add_flags(&mut self, flags: u8) {
        self.tcp_syn_packets += u64::from(flags & tcp::SYN != 0);
        self.tcp_rst_packets += u64::from(flags & tcp::RST != 0);
    }

    fn add_protocols(&mut self, bytes: &[u8], headers: Headers, wire: WireLen) {
        let transport = match headers.transport {
            Some((protocol::TCP, at)) => {
                let flags = bytes.get(usize::from(at) + tcp::FLAGS).copied().unwrap_or(0);
                self.add_flags(flags);
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

    /// Derives the rest from the sums. From here on, packets and bytes have types of their own.
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
            multicast_packets: Packets(self.multicast_packets),
            broadcast_packets: Packets(self.broadcast_packets),
            size_packets: self.size_packets.map(Packets),
            ipv4_bytes: Bytes(bytes(Network::Ipv4)),
            ipv6_bytes: Bytes(bytes(Network::Ipv6)),
            arp_bytes: Bytes(bytes(Network::Arp)),
            other_bytes: Bytes(bytes(Network::Other)),
            tcp_packets: Packets(tcp.packets),
            tcp_bytes: Bytes(tcp.bytes),
            udp_packets: Packets(udp.packets),
            udp_bytes: Bytes(udp.bytes),
            icmp_packets: Packets(icmp.packets),
            icmp_bytes: Bytes(icmp.bytes),
            other_transport_packets: Packets(other.packets),
            other_transport_bytes: Bytes(other.bytes),
            tcp_syn_packets: Packets(self.tcp_syn_packets),
            tcp_rst_packets: Packets(self.tcp_rst_packets),
        };
        let captured = sum.packets - self.segments;
        DirectionTally {
            bytes: Bytes(sum.bytes),
            packets: Packets(sum.packets),
            captured: Packets(captured),
            mix,
            ..DirectionTally::default()
        }
    }
}

#[cfg(test)]
mod tests;
