//! Packets of known bytes, and what they are counted as.

use proptest::prelude::*;

use super::*;
use crate::capture::wire_len::VnetHeader;
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
    let added = |counted: Counted| (counted.bytes, counted.direction);
    assert_eq!(added(counts.add(&packet(&bytes, 100))), (Bytes(100), Direction::Rx));
    let sent = Packet { kind: libc::PACKET_OUTGOING, ..packet(&bytes, 60) };
    assert_eq!(added(counts.add(&sent)), (Bytes(60), Direction::Tx));
    let other = Packet { kind: libc::PACKET_OTHERHOST, ..packet(&bytes, 7) };
    assert_eq!(added(counts.add(&other)), (Bytes(7), Direction::Rx));
    let tally = counts.take();
    assert_eq!(
        (tally.rx.bytes, tally.rx.packets, tally.tx.bytes),
        (Bytes(107), Packets(2), Bytes(60))
    );
    assert_eq!((tally.rx.mix.udp_bytes, tally.rx.mix.ipv4_bytes), (Bytes(107), Bytes(107)));
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
    assert_eq!(
        mix.size_packets.map(Packets::get),
        [0, 1, 0, 0, 0, 2, 0],
        "one of 64 + 4 bytes, two of 1,506"
    );
    assert_eq!((mix.tcp_packets, mix.tcp_bytes), (Packets(3), Bytes(2 * 1448 + 10 + 3 * 54)));
    assert_eq!(
        (mix.tcp_rst_packets, mix.tcp_syn_packets, tally.rx.captured),
        (Packets(1), Packets(0), Packets(1))
    );
}

#[test]
fn without_a_virtio_header_what_may_be_a_super_packet_is_said_to_be_inexact() {
    let bytes = ipv4(UNICAST, protocol::TCP);
    let mut counts = PacketSums::default();
    let without = |len| Packet { vnet: None, ..packet(&bytes, len) };
    counts.add(&without(1514));
    let tally = counts.take();
    assert_eq!((tally.rx.packets, tally.inexact), (Packets(1), Packets(0)));
    counts.add(&without(60_000));
    let tally = counts.take();
    assert_eq!(
        (tally.rx.packets, tally.rx.bytes, tally.inexact),
        (Packets(1), Bytes(60_000), Packets(1))
    );
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
    assert_eq!(inexact(&syn[..flags], 60), Packets(0));
    assert_eq!(inexact(&syn[..flags - 1], 60), Packets(1), "the flags are behind the snaplen");
    assert_eq!(inexact(&syn[..20], 60), Packets(1), "the protocol is behind the snaplen");
    assert_eq!(inexact(&syn[..20], 20), Packets(0), "the packet itself is that short");
    let lldp = [&[0; 12][..], &[0x88, 0xCC], &[0; 20]].concat();
    assert_eq!(inexact(&lldp, 200), Packets(0), "a protocol without counters");
}

#[test]
fn groups_are_told_by_the_destination_address_in_both_directions() {
    let mut counts = PacketSums::default();
    let broadcast = ipv4([0xFF; 6], protocol::ICMP);
    counts.add(&Packet { kind: libc::PACKET_OUTGOING, ..packet(&broadcast, 60) });
    let multicast = ipv4([1, 0, 0x5E, 0, 0, 1], 2);
    counts.add(&packet(&multicast, 60));
    let tally = counts.take();
    assert_eq!(
        (tally.tx.mix.broadcast_packets, tally.tx.mix.multicast_packets),
        (Packets(1), Packets(0))
    );
    assert_eq!(
        (tally.rx.mix.broadcast_packets, tally.rx.mix.multicast_packets),
        (Packets(0), Packets(1))
    );
    assert_eq!(
        (tally.tx.mix.icmp_packets, tally.rx.mix.other_transport_packets),
        (Packets(1), Packets(1))
    );
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
            let counted = long.add(&packet);
            let whole = (counted.bytes.get(), counted.direction);
            prop_assert_eq!(short.add_plain(&packet, plain), whole);
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
    // A flood of SYN or RST costs no more than other packets.
    for flags in [tcp::SYN, tcp::RST, tcp::SYN | tcp::RST, 0xFF] {
        let mut bytes = ipv4(UNICAST, protocol::TCP);
        bytes[34 + tcp::FLAGS] = flags;
        let packet = packet(&bytes, 90);
        let (mut short, mut long) = (PacketSums::default(), PacketSums::default());
        short.add_plain(&packet, Plain::of(&packet).unwrap());
        long.add(&packet);
        let (short, long) = (short.take(), long.take());
        assert_eq!(short, long);
        let mix = short.rx.mix;
        let counted = (mix.tcp_syn_packets, mix.tcp_rst_packets);
        let of = |flag| Packets(u64::from(flags & flag != 0));
        assert_eq!(counted, (of(tcp::SYN), of(tcp::RST)));
    }
}

#[test]
fn a_nic_without_link_layer_starts_with_the_ip_header() {
    let bytes = ipv4(UNICAST, protocol::UDP);
    let mut counts = PacketSums::default();
    let tun = Packet { link_type: libc::ARPHRD_NONE, ..packet(&bytes[14..], 86) };
    counts.add(&tun);
    let tally = counts.take();
    assert_eq!((tally.rx.mix.udp_packets, tally.rx.mix.ipv4_bytes), (Packets(1), Bytes(86)));
}
