//! Packet headers: parses the first captured bytes of a packet.
//!
//! Never reads beyond the given slice and never fails: unreadable fields are `None` or
//! [`Network::Other`].

use super::fields::{ethernet, extension, ipv4, ipv6, protocol};

/// Most tags examined per packet, a limit on work. A tag that the kernel stripped counts too, so that
/// both directions see the same number.
const TAGS_MAX: usize = 8;
/// Most extension headers examined per packet, a limit on work. The default snaplen holds fewer.
const EXTENSIONS_MAX: usize = 32;

/// Network protocol of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// ARP.
    Arp,
    /// Any other, or unreadable.
    Other,
}

/// The parsed headers of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers {
    /// Network protocol.
    pub network: Network,
    /// Offset of the network header from the start of the packet; 0 also where it can't be read.
    pub network_at: u16,
    /// IP protocol number (IANA) of the transport header, and its offset from the start of the packet.
    /// `None` for fragments after the first.
    pub transport: Option<(u8, u16)>,
    /// The headers continue behind the captured bytes or beyond a limit.
    pub cut: bool,
}

/// The bytes end before the headers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut;

/// Protocol and offset of a transport header, if the packet has one.
type Transport = Result<Option<(u8, u16)>, Cut>;

impl Headers {
    const UNREADABLE: Self =
        Self { network: Network::Other, network_at: 0, transport: None, cut: false };

    /// Parses an Ethernet packet; the kernel may have stripped a VLAN tag.
    #[must_use]
    pub fn of_ethernet(packet: &[u8], vlan_stripped: bool) -> Self {
        let mut at = ethernet::ETHERTYPE;
        for _ in usize::from(vlan_stripped)..=TAGS_MAX {
            match be16(packet, at) {
                Ok(tag) if ethernet::TAGS.contains(&tag) => at += ethernet::TAG_LEN,
                Ok(ethertype) => {
                    return Self::of_network(packet, ethertype, at + ethernet::ETHERTYPE_LEN);
                }
                Err(Cut) => break,
            }
        }
        Self { cut: true, ..Self::UNREADABLE }
    }

    /// True if the kernel decapsulated the packet and handed it to the NIC again, so that it was seen
    /// before. The kernel then has skipped the headers up to `network_at` but left the bytes unchanged
    /// (an SRv6 or RPL end: `ipv6_srh_rcv` in `net/ipv6/exthdrs.c`). A packet from the wire starts with
    /// its own network header.
    #[must_use]
    pub fn is_unwrapped(&self, network_at: u16) -> bool {
        const TUNNELS: [u8; 2] = [protocol::IPV4, protocol::IPV6];
        self.network == Network::Ipv6
            && self.transport.is_some_and(|(it, at)| TUNNELS.contains(&it) && at == network_at)
    }

    /// Parses a packet of a NIC without link-layer header (a tun), by its IP version.
    #[must_use]
    pub fn of_ip(packet: &[u8]) -> Self {
        match packet.first().map(|byte| byte >> 4) {
            Some(4) => Self::of_network(packet, ethernet::IPV4, 0),
            Some(6) => Self::of_network(packet, ethernet::IPV6, 0),
            Some(_) => Self::UNREADABLE,
            None => Self { cut: true, ..Self::UNREADABLE },
        }
    }

    fn of_network(packet: &[u8], ethertype: u16, at: usize) -> Self {
        let (network, transport) = match ethertype {
            ethernet::IPV4 => (Network::Ipv4, transport_of_ipv4(packet, at)),
            ethernet::IPV6 => (Network::Ipv6, transport_of_ipv6(packet, at)),
            ethernet::ARP => (Network::Arp, Ok(None)),
            _ => (Network::Other, Ok(None)),
        };
        let network_at = u16::try_from(at).unwrap_or(0);
        Self { network, network_at, transport: transport.ok().flatten(), cut: transport.is_err() }
    }
}

/// IPv6 extension headers that may precede the transport header.
const PASSED_IN_IPV6: [u8; 8] = [
    protocol::HOP_BY_HOP,
    protocol::ROUTING,
    protocol::FRAGMENT,
    protocol::AUTHENTICATION,
    protocol::DESTINATION_OPTIONS,
    protocol::MOBILITY,
    protocol::HOST_IDENTITY,
    protocol::SHIM6,
];

/// Transport of an IPv4 packet.
fn transport_of_ipv4(packet: &[u8], at: usize) -> Transport {
    let words = byte(packet, at + ipv4::VERSION_IHL)? & ipv4::IHL_MASK;
    let header_len = usize::from(words) * 4;
    let fragment_offset = be16(packet, at + ipv4::FRAGMENT)? & ipv4::FRAGMENT_OFFSET_MASK;
    let next = byte(packet, at + ipv4::PROTOCOL)?;
    if header_len < ipv4::HEADER_LEN || fragment_offset != 0 {
        return Ok(None);
    }
    behind(packet, next, at + header_len, &[protocol::AUTHENTICATION])
}

/// Transport of an IPv6 packet.
fn transport_of_ipv6(packet: &[u8], at: usize) -> Transport {
    let next = byte(packet, at + ipv6::NEXT_HEADER)?;
    behind(packet, next, at + ipv6::HEADER_LEN, &PASSED_IN_IPV6)
}

/// Skips the headers in `passed`, starting with number `next` at offset `at`. Returns the first other
/// header.
fn behind(packet: &[u8], mut next: u8, mut at: usize, passed: &[u8]) -> Transport {
    for _ in 0..=EXTENSIONS_MAX {
        if !passed.contains(&next) {
            return Ok(u16::try_from(at).ok().map(|at| (next, at)));
        }
        let len = match next {
            protocol::AUTHENTICATION => {
                let units = usize::from(byte(packet, at + extension::LEN)?) + 2;
                units * extension::AUTHENTICATION_LEN_UNIT
            }
            protocol::FRAGMENT => {
                let fragment = be16(packet, at + extension::FRAGMENT)?;
                if fragment & extension::FRAGMENT_OFFSET_MASK != 0 {
                    return Ok(None);
                }
                extension::FRAGMENT_LEN
            }
            _ => (usize::from(byte(packet, at + extension::LEN)?) + 1) * extension::LEN_UNIT,
        };
        next = byte(packet, at + extension::NEXT_HEADER)?;
        at += len;
    }
    Err(Cut)
}

fn byte(bytes: &[u8], at: usize) -> Result<u8, Cut> {
    bytes.get(at).copied().ok_or(Cut)
}

/// A big-endian 16-bit number at `at`.
fn be16(bytes: &[u8], at: usize) -> Result<u16, Cut> {
    let pair = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(Cut)?;
    Ok(u16::from_be_bytes(*pair))
}

#[cfg(test)]
mod tests {
    use super::protocol::{TCP, UDP};
    use super::*;

    fn ethernet(tags: &[u16], ethertype: u16, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; ethernet::ETHERTYPE];
        for tag in tags {
            packet.extend(tag.to_be_bytes());
            packet.extend([0, 7]);
        }
        packet.extend(ethertype.to_be_bytes());
        packet.extend(rest);
        packet
    }

    fn ipv4_header(words: u8, protocol: u8, fragment: u16) -> Vec<u8> {
        let mut header = vec![0; usize::from(words) * 4];
        header[0] = 0x40 | words;
        header[6..8].copy_from_slice(&fragment.to_be_bytes());
        header[9] = protocol;
        header
    }

    fn ipv6_header(next: u8, extensions: &[u8]) -> Vec<u8> {
        let mut header = vec![0; 40];
        header[0] = 0x60;
        header[6] = next;
        header.extend(extensions);
        header
    }

    #[test]
    fn tcp_over_ipv4_with_options_is_found_behind_any_tags() {
        for (tags, offset) in [(&[][..], 14), (&[0x8100][..], 18), (&[0x88A8, 0x8100][..], 22)] {
            let headers =
                Headers::of_ethernet(&ethernet(tags, 0x0800, &ipv4_header(7, TCP, 0)), false);
            assert_eq!(headers.network, Network::Ipv4);
            assert_eq!(headers.transport, Some((TCP, offset + 28)));
        }
    }

    #[test]
    fn only_the_first_fragment_has_a_transport_header() {
        let more_fragments = ethernet(&[], 0x0800, &ipv4_header(5, UDP, 0x2000));
        assert_eq!(Headers::of_ethernet(&more_fragments, false).transport, Some((UDP, 34)));
        let later = ethernet(&[], 0x0800, &ipv4_header(5, UDP, 0x00B9));
        assert_eq!(Headers::of_ethernet(&later, false).transport, None);
        let later = ethernet(&[], 0x86DD, &ipv6_header(44, &[UDP, 0, 0x05, 0xA8, 0, 0, 0, 1]));
        assert_eq!(Headers::of_ethernet(&later, false).transport, None);
    }

    #[test]
    fn ipv6_extension_headers_are_passed_over() {
        let hop_by_hop = [TCP, 0, 0, 0, 0, 0, 0, 0];
        let packet = ethernet(&[], 0x86DD, &ipv6_header(0, &hop_by_hop));
        assert_eq!(Headers::of_ethernet(&packet, false).transport, Some((TCP, 62)));
    }

    #[test]
    fn a_nic_without_link_layer_is_read_by_ip_version() {
        assert_eq!(Headers::of_ip(&ipv4_header(5, UDP, 0)).transport, Some((UDP, 20)));
        assert_eq!(Headers::of_ip(&ipv6_header(UDP, &[])).transport, Some((UDP, 40)));
        assert_eq!(Headers::of_ip(&[]), Headers { cut: true, ..Headers::UNREADABLE });
    }

    #[test]
    fn every_truncation_is_survived() {
        let packet = ethernet(&[0x8100], 0x86DD, &ipv6_header(0, &[TCP, 0, 0, 0, 0, 0, 0, 0]));
        for len in 0..packet.len() {
            let headers = Headers::of_ethernet(&packet[..len], false);
            let whole = Headers::of_ethernet(&packet, false);
            assert_eq!(headers.cut, headers.transport.is_none(), "{len} bytes");
            assert!(headers.cut || headers == whole);
        }
    }

    #[test]
    fn arp_and_unknown_protocols_have_no_transport() {
        let arp = Headers::of_ethernet(&ethernet(&[], 0x0806, &[0; 28]), false);
        let at = |network| Headers { network, network_at: 14, ..Headers::UNREADABLE };
        assert_eq!(arp, at(Network::Arp));
        let lldp = Headers::of_ethernet(&ethernet(&[], 0x88CC, &[0; 28]), false);
        assert_eq!(lldp, at(Network::Other));
    }

    #[test]
    fn every_chain_of_extension_headers_that_a_packet_holds_is_passed_over() {
        for (count, kind) in [(1, 135), (8, 60), (17, 0), (32, 43)] {
            let mut chain = vec![0; count * 8];
            for header in 0..count {
                chain[header * 8] = if header + 1 == count { TCP } else { kind };
            }
            let packet = ethernet(&[], 0x86DD, &ipv6_header(kind, &chain));
            let headers = Headers::of_ethernet(&packet, false);
            let at = u16::try_from(54 + count * 8).unwrap();
            assert_eq!((headers.transport, headers.cut), (Some((TCP, at)), false), "{count}");
            let cut = Headers::of_ethernet(&packet[..packet.len() - 8], false);
            assert_eq!((cut.transport, cut.cut), (None, true), "{count}");
        }
    }

    #[test]
    fn the_authentication_header_is_passed_over_in_both_versions_of_ip() {
        // 24 bytes: a header of 12, an integrity check value of 12 (RFC 4302, section 2.2).
        let mut authentication = [0; 24];
        (authentication[0], authentication[1]) = (TCP, 4);
        let four = [ipv4_header(6, 51, 0), authentication.to_vec()].concat();
        let headers = Headers::of_ethernet(&ethernet(&[], 0x0800, &four), false);
        assert_eq!(headers.transport, Some((TCP, 14 + 24 + 24)));
        let six = ethernet(&[], 0x86DD, &ipv6_header(51, &authentication));
        assert_eq!(Headers::of_ethernet(&six, false).transport, Some((TCP, 54 + 24)));
        // IPv6's extension headers are ordinary protocols in IPv4.
        let other = ethernet(&[], 0x0800, &ipv4_header(5, 60, 0));
        assert_eq!(Headers::of_ethernet(&other, false).transport, Some((60, 34)));
    }

    #[test]
    fn what_was_unwrapped_and_comes_again_is_told_by_where_the_kernel_has_come_to() {
        // A segment routing header of 24 bytes (RFC 8754) that contains IPv6.
        let routing = [&[41, 2, 0, 4][..], &[0; 60]].concat();
        let headers =
            Headers::of_ethernet(&ethernet(&[], 0x86DD, &ipv6_header(43, &routing)), false);
        assert!(headers.is_unwrapped(14 + 40 + 24));
        assert!(!headers.is_unwrapped(14), "it is from the wire");
        let ipip = Headers::of_ethernet(&ethernet(&[], 0x0800, &ipv4_header(5, 4, 0)), false);
        assert!(!ipip.is_unwrapped(34), "IPv4 tunnels have their own NICs");
    }

    #[test]
    fn as_many_tags_are_known_where_the_kernel_has_taken_one_out() {
        for tags in 0..12 {
            let network = |in_packet: usize, stripped| {
                let packet = ethernet(&vec![0x8100; in_packet], 0x0800, &ipv4_header(5, UDP, 0));
                let headers = Headers::of_ethernet(&packet, stripped);
                assert_eq!(headers.cut, headers.network == Network::Other);
                headers.network
            };
            assert_eq!(network(tags, false) == Network::Ipv4, tags <= TAGS_MAX);
            if tags > 0 {
                assert_eq!(network(tags, false), network(tags - 1, true), "{tags} tags");
            }
        }
    }
}
