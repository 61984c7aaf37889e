//! Counting: what one packet adds to a tally.

use wire::frame::{MixCounts, SIZE_CLASS_MAX};

use super::packet::{Headers, Network};
use super::ring::Packet;
use super::wire_len::{WireLen, wire_len, wire_len_without_header};
use crate::account::counters::{Tally, Traffic};

/// Length of the FCS, which RMON's size classes include (RFC 2819, `etherStatsPkts64Octets`).
const FCS_LEN: u64 = 4;

/// IP protocol numbers (IANA).
mod protocol {
    pub const ICMP: u8 = 1;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const ICMPV6: u8 = 58;
}

/// Offset of the flags in a TCP header, and two of them (RFC 9293, section 3.1).
const TCP_FLAGS: usize = 13;
const TCP_SYN: u8 = 0x02;
const TCP_RST: u8 = 0x04;

/// Adds a packet to a tally. Gives its bytes on the wire, and true if it was transmitted.
#[inline]
pub fn count(packet: &Packet<'_>, tally: &mut Tally) -> (u64, bool) {
    let ethernet = matches!(packet.link_type, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK);
    let headers = if ethernet {
        Headers::of_ethernet(packet.headers)
    } else {
        Headers::of_ip(packet.headers)
    };
    let Packet { len, vnet, vlan_stripped, .. } = *packet;
    let wire = match vnet {
        Some(vnet) => wire_len(len, packet.headers, vnet, headers.transport, vlan_stripped),
        None => wire_len_without_header(len, vlan_stripped),
    };
    let outgoing = packet.kind == libc::PACKET_OUTGOING;
    let traffic = if outgoing { &mut tally.tx } else { &mut tally.rx };
    let Traffic { bytes, packets, captured, mix, .. } = traffic;
    *bytes += wire.bytes;
    *packets += wire.packets;
    *captured += 1;
    tally.inexact += u64::from(!wire.exact);
    count_size(wire, mix);
    count_kind(packet, ethernet, wire.packets, mix);
    count_protocols(packet.headers, headers, wire, mix);
    (wire.bytes, outgoing)
}

#[inline]
fn count_size(wire: WireLen, mix: &mut MixCounts) {
    if wire.packets == 1 {
        mix.size_packets[size_class(wire.bytes)] += 1;
    } else {
        mix.size_packets[size_class(wire.last())] += 1;
        mix.size_packets[size_class(wire.each)] += wire.packets - 1;
    }
}

/// Class of a packet by its length without FCS.
#[inline]
fn size_class(len: u64) -> usize {
    SIZE_CLASS_MAX.iter().filter(|&&max| len + FCS_LEN > max).count()
}

/// Multicast and broadcast: by the destination address where there is one, which holds for both
/// directions (IEEE 802.3, the first bit marks a group).
#[inline]
fn count_kind(packet: &Packet<'_>, ethernet: bool, packets: u64, mix: &mut MixCounts) {
    const BROADCAST: [u8; 6] = [0xFF; 6];
    let destination = packet.headers.first_chunk::<6>().filter(|_| ethernet);
    let (broadcast, multicast) = match destination {
        Some(address) if address[0] & 1 == 0 => return,
        Some(address) => (*address == BROADCAST, true),
        None => (packet.kind == libc::PACKET_BROADCAST, packet.kind == libc::PACKET_MULTICAST),
    };
    if broadcast {
        mix.broadcast_packets += packets;
    } else if multicast {
        mix.multicast_packets += packets;
    }
}

#[inline]
fn count_protocols(bytes: &[u8], headers: Headers, wire: WireLen, mix: &mut MixCounts) {
    match headers.network {
        Network::Ipv4 => mix.ipv4_bytes += wire.bytes,
        Network::Ipv6 => mix.ipv6_bytes += wire.bytes,
        Network::Arp => mix.arp_bytes += wire.bytes,
        Network::Other => mix.other_bytes += wire.bytes,
    }
    if !matches!(headers.network, Network::Ipv4 | Network::Ipv6) {
        return;
    }
    let (packets, sum) = match headers.transport.map(|(protocol, _)| protocol) {
        Some(protocol::TCP) => (&mut mix.tcp_packets, &mut mix.tcp_bytes),
        Some(protocol::UDP) => (&mut mix.udp_packets, &mut mix.udp_bytes),
        Some(protocol::ICMP | protocol::ICMPV6) => (&mut mix.icmp_packets, &mut mix.icmp_bytes),
        _ => (&mut mix.other_transport_packets, &mut mix.other_transport_bytes),
    };
    *packets += wire.packets;
    *sum += wire.bytes;
    if let Some((protocol::TCP, at)) = headers.transport {
        let flags = bytes.get(usize::from(at) + TCP_FLAGS).copied().unwrap_or(0);
        mix.tcp_syn_packets += u64::from(flags & TCP_SYN != 0);
        mix.tcp_rst_packets += u64::from(flags & TCP_RST != 0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire_len::VnetHeader;
    use super::*;

    /// An Ethernet packet of IPv4 with the protocol and the destination given.
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
            time_ns: 0,
            len,
            headers,
            vnet: Some(VnetHeader::default()),
            vlan_stripped: false,
            kind: libc::PACKET_HOST,
            link_type: libc::ARPHRD_ETHER,
        }
    }

    const UNICAST: [u8; 6] = [2, 0, 0, 0, 0, 1];

    #[test]
    fn direction_is_by_packet_type() {
        let bytes = ipv4(UNICAST, protocol::UDP);
        let mut tally = Tally::default();
        assert_eq!(count(&packet(&bytes, 100), &mut tally), (100, false));
        let sent = Packet { kind: libc::PACKET_OUTGOING, ..packet(&bytes, 60) };
        assert_eq!(count(&sent, &mut tally), (60, true));
        let other = Packet { kind: libc::PACKET_OTHERHOST, ..packet(&bytes, 7) };
        assert_eq!(count(&other, &mut tally), (7, false));
        assert_eq!((tally.rx.bytes, tally.rx.packets, tally.tx.bytes), (107, 2, 60));
        assert_eq!((tally.rx.mix.udp_bytes, tally.rx.mix.ipv4_bytes), (107, 107));
    }

    #[test]
    fn size_classes_include_the_fcs() {
        for (len, class) in [
            (42, 0),
            (60, 0),
            (61, 1),
            (123, 1),
            (124, 2),
            (1019, 4),
            (1020, 5),
            (1514, 5),
            (1515, 6),
        ] {
            assert_eq!(size_class(len), class, "{len} bytes without FCS");
        }
    }

    #[test]
    fn a_super_packet_is_many_packets_of_the_mix_too() {
        let mut bytes = ipv4(UNICAST, protocol::TCP);
        bytes[34 + 12] = 5 << 4;
        bytes[34 + TCP_FLAGS] = TCP_RST;
        let vnet = Some(VnetHeader {
            flags: VnetHeader::NEEDS_CSUM,
            gso_type: VnetHeader::GSO_TCPV4,
            gso_size: 1448,
            csum_start: 34,
        });
        let mut tally = Tally::default();
        count(&Packet { vnet, ..packet(&bytes, 54 + 2 * 1448 + 10) }, &mut tally);
        let mix = tally.rx.mix;
        assert_eq!(mix.size_packets, [0, 1, 0, 0, 0, 2, 0], "one of 64 + 4 bytes, two of 1,506");
        assert_eq!((mix.tcp_packets, mix.tcp_bytes), (3, 2 * 1448 + 10 + 3 * 54));
        assert_eq!((mix.tcp_rst_packets, mix.tcp_syn_packets, tally.rx.captured), (1, 0, 1));
    }

    #[test]
    fn without_a_virtio_header_what_may_be_a_super_packet_is_said_to_be_inexact() {
        let bytes = ipv4(UNICAST, protocol::TCP);
        let mut tally = Tally::default();
        let without = |len| Packet { vnet: None, ..packet(&bytes, len) };
        count(&without(1514), &mut tally);
        assert_eq!((tally.rx.packets, tally.inexact), (1, 0));
        count(&without(60_000), &mut tally);
        assert_eq!((tally.rx.packets, tally.rx.bytes, tally.inexact), (2, 61_514, 1));
    }

    #[test]
    fn groups_are_told_by_the_destination_address_in_both_directions() {
        let mut tally = Tally::default();
        let broadcast = ipv4([0xFF; 6], protocol::ICMP);
        count(&Packet { kind: libc::PACKET_OUTGOING, ..packet(&broadcast, 60) }, &mut tally);
        let multicast = ipv4([1, 0, 0x5E, 0, 0, 1], 2);
        count(&packet(&multicast, 60), &mut tally);
        assert_eq!((tally.tx.mix.broadcast_packets, tally.tx.mix.multicast_packets), (1, 0));
        assert_eq!((tally.rx.mix.broadcast_packets, tally.rx.mix.multicast_packets), (0, 1));
        assert_eq!((tally.tx.mix.icmp_packets, tally.rx.mix.other_transport_packets), (1, 1));
    }

    #[test]
    fn a_nic_without_link_layer_starts_with_the_ip_header() {
        let bytes = ipv4(UNICAST, protocol::UDP);
        let mut tally = Tally::default();
        let tun = Packet { link_type: libc::ARPHRD_NONE, ..packet(&bytes[14..], 86) };
        count(&tun, &mut tally);
        assert_eq!((tally.rx.mix.udp_packets, tally.rx.mix.ipv4_bytes), (1, 86));
    }
}
