//! Wire length: packets and bytes on the wire of a captured packet.
//!
//! With segmentation offload (TSO, GSO, GRO, USO) a tap sees one super-packet where the wire carries
//! many packets, each with its own headers. `PACKET_VNET_HDR` puts a `virtio_net_hdr` before each
//! packet, from which the segmentation follows exactly. Figures are bytes from the MAC header to the
//! end of the payload: without FCS, preamble and inter-packet gap, and without a NIC's padding to 60
//! bytes.

use super::fields::{ethernet, ipv6, protocol, tcp, udp};

/// Bytes that one stripped VLAN tag adds to every packet on the wire.
const VLAN_TAG_LEN: u64 = ethernet::TAG_LEN as u64;

/// Length of the hop-by-hop header that holds the jumbo payload option (RFC 2675, section 2).
const JUMBO_LEN: usize = 8;

/// The `virtio_net_hdr` before a captured packet (`include/uapi/linux/virtio_net.h`), host byte order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VnetHeader {
    /// Bit 0 is `VIRTIO_NET_HDR_F_NEEDS_CSUM`: only then `csum_start` is set.
    pub flags: u8,
    /// Kind of segmentation; bit 7 marks ECN.
    pub gso_type: u8,
    /// Payload bytes per segment.
    pub gso_size: u16,
    /// Offset of the transport header from the start of the packet, valid only with `NEEDS_CSUM`.
    pub csum_start: u16,
}

impl VnetHeader {
    /// `VIRTIO_NET_HDR_F_NEEDS_CSUM`.
    pub const NEEDS_CSUM: u8 = 1;
    /// `VIRTIO_NET_HDR_GSO_TCPV4`.
    pub const GSO_TCPV4: u8 = 1;
    /// `VIRTIO_NET_HDR_GSO_TCPV6`.
    pub const GSO_TCPV6: u8 = 4;
    /// `VIRTIO_NET_HDR_GSO_UDP_L4`.
    pub const GSO_UDP_L4: u8 = 5;
    /// `VIRTIO_NET_HDR_GSO_ECN`.
    pub const GSO_ECN: u8 = 0x80;

    /// True if the stack or the NIC cuts the packet into segments.
    #[must_use]
    #[inline]
    pub const fn is_gso(&self) -> bool {
        self.gso_type & !Self::GSO_ECN != 0 && self.gso_size != 0
    }
}

/// A captured packet as it was on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireLen {
    /// Packets on the wire, at least 1.
    pub packets: u64,
    /// Bytes of all of them, including MAC headers, without FCS.
    pub bytes: u64,
    /// Bytes of each except the last, which has the remainder.
    pub each: u64,
    /// False if the header length could not be read, so that the packet counts as captured.
    pub exact: bool,
}

/// Computes the wire length of a packet of `len` bytes.
///
/// `headers` are the captured first bytes of the packet; those from `transport` on give the length of
/// the transport header. `transport` is the parsed protocol and offset of the outermost transport
/// header, used if the kernel gives no offset (a GRO packet without `NEEDS_CSUM`). `vlan_stripped`: the
/// kernel stripped a VLAN tag (`TP_STATUS_VLAN_VALID`).
///
/// With H bytes of headers, a super-packet is `ceil((len - H) / gso_size)` packets, each with its own H
/// bytes of headers (`skb_gso_segment`; `qdisc_pkt_len_init` in `net/core/dev.c` counts the same).
#[must_use]
#[inline]
pub fn wire_len(
    len: u32,
    headers: &[u8],
    vnet: VnetHeader,
    transport: Option<(u8, u16)>,
    vlan_stripped: bool,
) -> WireLen {
    let tag = if vlan_stripped { VLAN_TAG_LEN } else { 0 };
    let bytes = u64::from(len) + tag;
    let whole = WireLen { packets: 1, bytes, each: bytes, exact: true };
    if !vnet.is_gso() {
        return whole;
    }
    match segmented(len.into(), headers, vnet, transport) {
        Some(wire) => {
            WireLen { bytes: wire.bytes + wire.packets * tag, each: wire.each + tag, ..wire }
        }
        None => WireLen { exact: false, ..whole },
    }
}

/// Computes the wire length of a packet of `len` bytes without a virtio header. A super-packet counts
/// as one packet, and any packet longer than plain Ethernet may be a super-packet.
#[must_use]
pub fn wire_len_without_header(len: u32, vlan_stripped: bool) -> WireLen {
    /// 1,500 bytes after a MAC header with two tags.
    const PLAIN_MAX: u64 = 1500 + ethernet::HEADER_LEN as u64 + 2 * VLAN_TAG_LEN;
    let tag = if vlan_stripped { VLAN_TAG_LEN } else { 0 };
    let bytes = u64::from(len) + tag;
    WireLen { packets: 1, bytes, each: bytes, exact: bytes <= PLAIN_MAX }
}

impl WireLen {
    /// Bytes of the last packet on the wire, often the only one.
    #[must_use]
    #[inline]
    pub const fn last(&self) -> u64 {
        self.bytes - (self.packets - 1) * self.each
    }
}

/// The segments of a super-packet; `None` if its headers can't be read.
#[inline(never)]
fn segmented(
    len: u64,
    headers: &[u8],
    vnet: VnetHeader,
    transport: Option<(u8, u16)>,
) -> Option<WireLen> {
    let (transport_protocol, is_tcp) = match vnet.gso_type & !VnetHeader::GSO_ECN {
        VnetHeader::GSO_TCPV4 | VnetHeader::GSO_TCPV6 => (protocol::TCP, true),
        VnetHeader::GSO_UDP_L4 => (protocol::UDP, false),
        _ => return None,
    };
    let l4 = if vnet.flags & VnetHeader::NEEDS_CSUM == 0 {
        // Another protocol means a tunnel: the relevant headers lie deeper.
        usize::from(transport.filter(|(found, _)| *found == transport_protocol)?.1)
    } else {
        usize::from(vnet.csum_start)
    };
    let l4_len = if is_tcp {
        let words = *headers.get(l4 + tcp::DATA_OFFSET)? >> 4;
        usize::from(Some(words).filter(|&words| words >= tcp::WORDS_MIN)?) * 4
    } else {
        udp::HEADER_LEN
    };
    let header_len = l4 + l4_len;
    let payload = len.checked_sub(header_len as u64)?;
    // Only the super-packet has this header: segmentation removes it.
    let jumbo_len = if has_jumbo_header(len, headers, l4) { JUMBO_LEN } else { 0 };
    let header_len = (header_len - jumbo_len) as u64;
    let segment = u64::from(vnet.gso_size);
    let packets = payload.div_ceil(segment).max(1);
    let bytes = payload + packets * header_len;
    let each = if packets == 1 { bytes } else { header_len + segment };
    Some(WireLen { packets, bytes, each, exact: true })
}

/// True if the kernel put a jumbo payload header (RFC 2675) between the IPv6 and the TCP header at
/// `l4`. It does so for BIG TCP packets beyond 64 KiB (`ipv6_has_hopopt_jumbo`, `include/net/ipv6.h`).
fn has_jumbo_header(len: u64, headers: &[u8], l4: usize) -> bool {
    /// Next header TCP, length 8 bytes, jumbo option, 4 bytes of option data.
    const JUMBO: [u8; 4] = [protocol::TCP, 0, 0xC2, 4];
    let Some(at) = l4.checked_sub(JUMBO_LEN) else { return false };
    let Some(start) = at.checked_sub(ipv6::HEADER_LEN) else { return false };
    len > u64::from(u16::MAX) + 1
        && headers.get(start).is_some_and(|byte| byte >> 4 == 6)
        && headers.get(start + ipv6::NEXT_HEADER) == Some(&protocol::HOP_BY_HOP)
        && headers.get(at..at + JUMBO.len()) == Some(&JUMBO[..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fields::protocol::{TCP, UDP};
    use super::super::packet::Headers;
    use super::super::ring::RingConfig;
    use super::*;

    /// Headers with a TCP header of `tcp_len` bytes at offset `l4`.
    fn tcp_headers(l4: usize, tcp_len: u8) -> Vec<u8> {
        let mut headers = vec![0; l4 + usize::from(tcp_len)];
        headers[l4 + tcp::DATA_OFFSET] = (tcp_len / 4) << 4;
        headers
    }

    fn gso(gso_type: u8, gso_size: u16, csum_start: u16) -> VnetHeader {
        VnetHeader { flags: VnetHeader::NEEDS_CSUM, gso_type, gso_size, csum_start }
    }

    /// The reference: cuts a payload into segments one by one and returns their lengths.
    fn cut(len: u64, header_len: u64, gso_size: u64) -> Vec<u64> {
        let (mut left, mut packets) = (len - header_len, Vec::new());
        while left > 0 {
            let segment = left.min(gso_size);
            left -= segment;
            packets.push(header_len + segment);
        }
        packets
    }

    #[test]
    fn plain_packet_is_counted_as_it_is() {
        let wire = wire_len(1514, &[], VnetHeader::default(), None, false);
        assert_eq!(wire, WireLen { packets: 1, bytes: 1514, each: 1514, exact: true });
        assert_eq!(wire.last(), 1514);
    }

    /// One layer of headers, written independently.
    fn ip(six: bool, options: u8, protocol: u8) -> Vec<u8> {
        let mut header = vec![0; if six { 40 } else { 20 + usize::from(options) * 4 }];
        header[0] = if six { 0x60 } else { 0x45 + options };
        header[if six { 6 } else { 9 }] = protocol;
        header
    }

    fn ethernet(tags: usize, six: bool) -> Vec<u8> {
        let ethertype: [u8; 2] = if six { [0x86, 0xDD] } else { [0x08, 0x00] };
        [&[0; 12][..], &[0x81, 0, 0, 7].repeat(tags), &ethertype].concat()
    }

    proptest! {
        /// Compares with a segmenter that really cuts, over all kinds of super-packet headers: tags in
        /// the packet and stripped, IP options, TCP options, VXLAN, BIG TCP.
        #[test]
        fn whatever_the_headers_a_super_packet_is_what_cutting_it_gives(
            tags in 0..3usize,
            vlan_stripped: bool,
            six: bool,
            tunnel in proptest::option::of(any::<bool>()),
            ip_options in 0..=10u8,
            tcp_words in proptest::option::of(5..=15u8),
            ecn: bool,
            needs_csum: bool,
            gso_size in 1..9000u16,
            payload in 1..500_000u32,
        ) {
            let mut packet = ethernet(tags, tunnel.unwrap_or(six));
            if let Some(outer_six) = tunnel {
                packet.extend(ip(outer_six, 0, UDP));
                packet.extend([0; 16]);
                packet.extend(ethernet(0, six));
            }
            let protocol = if tcp_words.is_some() { TCP } else { UDP };
            packet.extend(ip(six, ip_options, protocol));
            let l4 = packet.len();
            packet.extend(vec![0; tcp_words.map_or(8, |words| usize::from(words) * 4)]);
            if let Some(words) = tcp_words {
                packet[l4 + tcp::DATA_OFFSET] = words << 4;
            }
            let header_len = packet.len() as u64;
            let kind = match (tcp_words, six) {
                (None, _) => VnetHeader::GSO_UDP_L4,
                (_, false) => VnetHeader::GSO_TCPV4,
                (_, true) => VnetHeader::GSO_TCPV6,
            };
            let ecn = if ecn && tcp_words.is_some() { VnetHeader::GSO_ECN } else { 0 };
            // Only for tunnels, the kernel must give the inner header's offset.
            let needs_csum = needs_csum || tunnel.is_some();
            let vnet = VnetHeader {
                flags: u8::from(needs_csum),
                gso_type: kind | ecn,
                gso_size,
                csum_start: if needs_csum { u16::try_from(l4).unwrap() } else { 0 },
            };
            let len = u32::try_from(header_len).unwrap() + payload;
            let found = Headers::of_ethernet(&packet, vlan_stripped).transport;
            let wire = wire_len(len, &packet, vnet, found, vlan_stripped);
            let tag = if vlan_stripped { 4 } else { 0 };
            let cut = cut(u64::from(len), header_len, u64::from(gso_size));
            let cut: Vec<u64> = cut.into_iter().map(|len| len + tag).collect();
            prop_assert_eq!((wire.packets, wire.exact), (cut.len() as u64, true));
            prop_assert_eq!(wire.bytes, cut.iter().sum::<u64>());
            prop_assert_eq!([wire.each, wire.last()], [cut[0], cut[cut.len() - 1]]);
            // Headers cut by the snaplen are reported as such, without a guess.
            if tcp_words.is_some() {
                let short = wire_len(len, &packet[..l4], vnet, found, false);
                prop_assert_eq!((short.packets, short.exact), (1, false));
            }
        }
    }

    #[test]
    fn a_tunnels_own_header_is_not_taken_for_that_of_the_segments() {
        let headers = tcp_headers(84, 20);
        let vnet = VnetHeader { flags: 0, ..gso(VnetHeader::GSO_TCPV4, 1000, 0) };
        let wire = wire_len(104 + 2500, &headers, vnet, Some((UDP, 34)), false);
        assert_eq!((wire.packets, wire.exact), (1, false));
    }

    #[test]
    fn super_packets_equal_a_reference_that_really_cuts() {
        for (kind, l4, tcp_len) in [
            (VnetHeader::GSO_TCPV4, 34, 20u8),
            (VnetHeader::GSO_TCPV4, 34, 32),
            (VnetHeader::GSO_TCPV6, 54, 32),
            (VnetHeader::GSO_TCPV6 | VnetHeader::GSO_ECN, 54, 60),
        ] {
            let header_len = u64::from(l4) + u64::from(tcp_len);
            let headers = tcp_headers(usize::from(l4), tcp_len);
            for gso_size in [1u16, 536, 1448, 8948] {
                for payload in [1, 1447, 1448, 1449, 2896, 65_000, 200_000u32] {
                    let len = u32::try_from(header_len).unwrap() + payload;
                    let wire = wire_len(len, &headers, gso(kind, gso_size, l4), None, false);
                    let cut = cut(u64::from(len), header_len, u64::from(gso_size));
                    assert_eq!(wire.packets, cut.len() as u64);
                    assert_eq!((wire.bytes, wire.exact), (cut.iter().sum(), true));
                    assert_eq!([wire.each, wire.last()], [cut[0], cut[cut.len() - 1]]);
                }
            }
        }
    }

    #[test]
    fn the_default_snaplen_holds_tcp_in_vxlan_over_ipv6_with_tags_on_both() {
        let vxlan = [ethernet(2, true), ip(true, 0, UDP), vec![0; 16], ethernet(2, true)].concat();
        let mut packet = [vxlan, ip(true, 0, TCP)].concat();
        let l4 = packet.len();
        packet.extend(tcp_headers(0, 32));
        let header_len = u32::try_from(packet.len()).unwrap();
        packet.resize(3000, 0);
        let captured = &packet[..RingConfig::default().snaplen as usize];
        let vnet = gso(VnetHeader::GSO_TCPV6, 1300, u16::try_from(l4).unwrap());
        let wire = wire_len(header_len + 2600, captured, vnet, None, false);
        assert_eq!((wire.packets, wire.exact), (2, true));
    }

    #[test]
    fn the_jumbo_header_of_big_tcp_is_not_on_the_wire() {
        const L4: usize = 14 + 40 + 8;
        let mut headers = tcp_headers(L4, 32);
        headers[14] = 0x60;
        headers[L4 - 8..L4 - 4].copy_from_slice(&[6, 0, 0xC2, 4]);
        let len = 180_000 + u32::try_from(headers.len()).unwrap();
        let vnet = gso(VnetHeader::GSO_TCPV6, 1428, 62);
        let wire = wire_len(len, &headers, vnet, None, false);
        let cut = cut(180_000 + 86, 86, 1428);
        assert_eq!((wire.packets, wire.bytes), (cut.len() as u64, cut.iter().sum()));
        assert_eq!([wire.each, wire.last()], [cut[0], cut[cut.len() - 1]]);
        // Up to 64 KiB the header is the sender's own and stays on every segment.
        let small = wire_len(94 + 2856, &headers, vnet, None, false);
        assert_eq!((small.packets, small.bytes), (2, 2856 + 2 * 94));
    }

    #[test]
    fn udp_segments_carry_udp_headers() {
        // 56,333 bytes of payload in segments of 1,400 over IPv4.
        let wire = wire_len(56_375, &[], gso(VnetHeader::GSO_UDP_L4, 1400, 34), None, false);
        let bytes = 56_333 + 41 * 42;
        assert_eq!(wire, WireLen { packets: 41, bytes, each: 1442, exact: true });
        assert_eq!(wire.last(), 56_333 - 40 * 1400 + 42);
    }

    #[test]
    fn stripped_vlan_tag_counts_on_every_packet_of_the_wire() {
        let plain = wire_len(496, &[], VnetHeader::default(), None, true);
        assert_eq!(plain.bytes, 500);
        let headers = tcp_headers(34, 20);
        let super_packet = gso(VnetHeader::GSO_TCPV4, 1000, 34);
        let wire = wire_len(54 + 3000, &headers, super_packet, None, true);
        assert_eq!((wire.packets, wire.bytes), (3, 3000 + 3 * 58));
        assert_eq!((wire.each, wire.last()), (1058, 1058));
    }

    #[test]
    fn without_needs_csum_the_parsed_offset_is_used_and_csum_start_ignored() {
        let headers = tcp_headers(34, 20);
        let vnet = VnetHeader { flags: 0, ..gso(VnetHeader::GSO_TCPV4, 1000, 9999) };
        let wire = wire_len(54 + 2500, &headers, vnet, Some((TCP, 34)), false);
        assert_eq!((wire.packets, wire.bytes, wire.exact), (3, 2500 + 3 * 54, true));
    }

    #[test]
    fn unreadable_headers_are_said_and_counted_as_captured() {
        let vnet = gso(VnetHeader::GSO_TCPV4, 1000, 34);
        let wire = wire_len(3054, &[0; 40], vnet, None, false);
        assert_eq!(wire, WireLen { packets: 1, bytes: 3054, each: 3054, exact: false });
    }
}
