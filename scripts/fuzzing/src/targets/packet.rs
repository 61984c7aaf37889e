//! Packets from anybody: their headers, and the kernel's fields about them.

use agent::capture::packet::{Headers, Network};
use agent::capture::packet_sums::{PacketSums, Plain};
use agent::capture::ring::Packet;
use agent::capture::wire_len::{VnetHeader, wire_len, wire_len_without_header};
use wire::WallNs;

use super::support::{KIB, MIB};
use crate::target::Target;

pub(super) const TARGET: Target = Target {
    name: "packet",
    about: "a packet's headers and its virtio header (agent::capture::{packet, wire_len, count})",
    input_max: KIB,
    memory_max: MIB,
    run,
};

/// Bytes before the headers: the kernel's fields about the packet.
const SAID: usize = 18;

fn run(input: &[u8]) {
    let Some((said, headers)) = input.split_first_chunk::<SAID>() else { return };
    let half = |at: usize| u16::from_ne_bytes([said[at], said[at + 1]]);
    let vnet =
        VnetHeader { flags: said[0], gso_type: said[1], gso_size: half(2), csum_start: half(4) };
    let packet = Packet {
        time_ns: WallNs(0),
        len: u32::from(half(6)) << (said[8] & 15),
        headers,
        vnet: Some(vnet).filter(|_| said[9] & 1 != 0),
        vlan_stripped: said[9] & 2 != 0,
        network_at: half(10),
        kind: said[12] & 7,
        link_type: if said[13] & 1 == 0 { 1 } else { half(14) },
    };
    check_headers(headers, packet.vlan_stripped);
    check_length(&packet);
    // The fast path counts the same as the slow path.
    let mut long = PacketSums::default();
    let counted = long.add(&packet);
    let added = (counted.bytes.get(), counted.direction);
    if let Some(plain) = Plain::of(&packet) {
        let mut short = PacketSums::default();
        assert_eq!(short.add_plain(&packet, plain), added);
        assert_eq!(short.take(), long.take());
    }
}

fn check_headers(bytes: &[u8], vlan_stripped: bool) {
    for headers in [Headers::of_ethernet(bytes, vlan_stripped), Headers::of_ip(bytes)] {
        if let Some((_, at)) = headers.transport {
            assert!(!headers.cut && matches!(headers.network, Network::Ipv4 | Network::Ipv6));
            assert!(usize::from(at) >= 20, "the offset is behind an IP header");
        }
    }
    // More bytes don't change the result of the headers read.
    let whole = Headers::of_ethernet(bytes, vlan_stripped);
    let longer = Headers::of_ethernet(&[bytes, &[0; 64]].concat(), vlan_stripped);
    assert!(whole.cut || whole == longer, "{whole:?} {longer:?}");
}

fn check_length(packet: &Packet<'_>) {
    let transport = Headers::of_ethernet(packet.headers, packet.vlan_stripped).transport;
    let tag = if packet.vlan_stripped { 4 } else { 0 };
    let wire = match packet.vnet {
        Some(vnet) => wire_len(packet.len, packet.headers, vnet, transport, packet.vlan_stripped),
        None => wire_len_without_header(packet.len, packet.vlan_stripped),
    };
    assert!(wire.packets >= 1);
    assert_eq!((wire.packets - 1) * wire.each + wire.last(), wire.bytes, "packets add up");
    assert!(wire.last() <= wire.each, "{wire:?}: the last packet is at most as long as the others");
    if wire.packets == 1 {
        assert!(wire.bytes <= u64::from(packet.len) + tag);
    } else {
        assert!(wire.exact && wire.bytes >= u64::from(packet.len) - 8, "{wire:?}");
    }
}
