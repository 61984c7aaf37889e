//! Packet headers: what the first captured bytes of a packet say.
//!
//! Reads no further than the slice it is given and never fails: what can't be read is `None` or
//! [`Network::Other`].

/// EtherType of IPv4 (RFC 894).
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// EtherType of ARP (RFC 826).
const ETHERTYPE_ARP: u16 = 0x0806;
/// EtherType of IPv6 (RFC 2464).
pub const ETHERTYPE_IPV6: u16 = 0x86DD;
/// Tags that may stand between the addresses and the EtherType: 802.1Q, 802.1ad and the QinQ
/// number in use before it.
const ETHERTYPE_TAGS: [u16; 3] = [0x8100, 0x88A8, 0x9100];
/// Length of a VLAN tag in the packet.
const TAG_LEN: usize = 4;
/// Offset of the EtherType in an untagged Ethernet header.
const ETHERTYPE_OFFSET: usize = 12;
/// Most tags that are looked through, a bound on work per packet.
const TAGS_MAX: usize = 4;
/// Most IPv6 extension headers that are looked through, a bound on work per packet.
const EXTENSIONS_MAX: usize = 8;

/// Network protocol of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// ARP.
    Arp,
    /// Anything else, or not readable.
    Other,
}

/// What the headers of a packet say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers {
    /// Network protocol.
    pub network: Network,
    /// Transport protocol and the offset of its header from the start of the packet, where the
    /// packet has one: IP protocol number (IANA), and not for a fragment past the first.
    pub transport: Option<(u8, u16)>,
}

impl Headers {
    const UNREADABLE: Self = Self { network: Network::Other, transport: None };

    /// Reads an Ethernet packet.
    #[must_use]
    pub fn of_ethernet(packet: &[u8]) -> Self {
        let mut at = ETHERTYPE_OFFSET;
        for _ in 0..=TAGS_MAX {
            match be16(packet, at) {
                Some(tag) if ETHERTYPE_TAGS.contains(&tag) => at += TAG_LEN,
                Some(ethertype) => return Self::of_network(packet, ethertype, at + 2),
                None => break,
            }
        }
        Self::UNREADABLE
    }

    /// Reads a packet of a NIC without link-layer header (a tun), by its IP version.
    #[must_use]
    pub fn of_ip(packet: &[u8]) -> Self {
        match packet.first().map(|byte| byte >> 4) {
            Some(4) => Self::of_network(packet, ETHERTYPE_IPV4, 0),
            Some(6) => Self::of_network(packet, ETHERTYPE_IPV6, 0),
            _ => Self::UNREADABLE,
        }
    }

    fn of_network(packet: &[u8], ethertype: u16, at: usize) -> Self {
        match ethertype {
            ETHERTYPE_IPV4 => Self { network: Network::Ipv4, transport: ipv4(packet, at) },
            ETHERTYPE_IPV6 => Self { network: Network::Ipv6, transport: ipv6(packet, at) },
            ETHERTYPE_ARP => Self { network: Network::Arp, transport: None },
            _ => Self::UNREADABLE,
        }
    }
}

/// Transport of an IPv4 packet (RFC 791, section 3.1).
fn ipv4(packet: &[u8], at: usize) -> Option<(u8, u16)> {
    let header_len = usize::from(packet.get(at)? & 0x0F) * 4;
    let fragment_offset = be16(packet, at + 6)? & 0x1FFF;
    let protocol = *packet.get(at + 9)?;
    if header_len < 20 || fragment_offset != 0 {
        return None;
    }
    Some((protocol, u16::try_from(at + header_len).ok()?))
}

/// Transport of an IPv6 packet, past its extension headers (RFC 8200, section 4).
fn ipv6(packet: &[u8], at: usize) -> Option<(u8, u16)> {
    const HEADER_LEN: usize = 40;
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const AUTHENTICATION: u8 = 51;
    const DESTINATION: u8 = 60;

    let mut next = *packet.get(at + 6)?;
    let mut at = at + HEADER_LEN;
    for _ in 0..EXTENSIONS_MAX {
        let len = match next {
            HOP_BY_HOP | ROUTING | DESTINATION => (usize::from(*packet.get(at + 1)?) + 1) * 8,
            // RFC 4302, section 2.2: in 4-byte units, minus 2.
            AUTHENTICATION => (usize::from(*packet.get(at + 1)?) + 2) * 4,
            FRAGMENT if be16(packet, at + 2)? & 0xFFF8 != 0 => return None,
            FRAGMENT => 8,
            _ => return Some((next, u16::try_from(at).ok()?)),
        };
        next = *packet.get(at)?;
        at += len;
    }
    None
}

/// A big-endian 16-bit number at `at`.
fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_be_bytes(*pair))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: u8 = 6;
    const UDP: u8 = 17;

    fn ethernet(tags: &[u16], ethertype: u16, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; ETHERTYPE_OFFSET];
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
            let headers = Headers::of_ethernet(&ethernet(tags, 0x0800, &ipv4_header(7, TCP, 0)));
            assert_eq!(headers.network, Network::Ipv4);
            assert_eq!(headers.transport, Some((TCP, offset + 28)));
        }
    }

    #[test]
    fn only_the_first_fragment_has_a_transport_header() {
        let more_fragments = ethernet(&[], 0x0800, &ipv4_header(5, UDP, 0x2000));
        assert_eq!(Headers::of_ethernet(&more_fragments).transport, Some((UDP, 34)));
        let later = ethernet(&[], 0x0800, &ipv4_header(5, UDP, 0x00B9));
        assert_eq!(Headers::of_ethernet(&later).transport, None);
        let later = ethernet(&[], 0x86DD, &ipv6_header(44, &[UDP, 0, 0x05, 0xA8, 0, 0, 0, 1]));
        assert_eq!(Headers::of_ethernet(&later).transport, None);
    }

    #[test]
    fn ipv6_extension_headers_are_passed_over() {
        let hop_by_hop = [TCP, 0, 0, 0, 0, 0, 0, 0];
        let packet = ethernet(&[], 0x86DD, &ipv6_header(0, &hop_by_hop));
        assert_eq!(Headers::of_ethernet(&packet).transport, Some((TCP, 62)));
    }

    #[test]
    fn a_nic_without_link_layer_is_read_by_ip_version() {
        assert_eq!(Headers::of_ip(&ipv4_header(5, UDP, 0)).transport, Some((UDP, 20)));
        assert_eq!(Headers::of_ip(&ipv6_header(UDP, &[])).transport, Some((UDP, 40)));
        assert_eq!(Headers::of_ip(&[]), Headers::UNREADABLE);
    }

    #[test]
    fn every_truncation_is_survived() {
        let packet = ethernet(&[0x8100], 0x86DD, &ipv6_header(0, &[TCP, 0, 0, 0, 0, 0, 0, 0]));
        for len in 0..packet.len() {
            let headers = Headers::of_ethernet(&packet[..len]);
            let whole = Headers::of_ethernet(&packet);
            assert!(headers.transport.is_none() || headers.transport == whole.transport);
        }
    }

    #[test]
    fn arp_and_unknown_protocols_have_no_transport() {
        let arp = Headers::of_ethernet(&ethernet(&[], 0x0806, &[0; 28]));
        assert_eq!(arp, Headers { network: Network::Arp, transport: None });
        let lldp = Headers::of_ethernet(&ethernet(&[], 0x88CC, &[0; 28]));
        assert_eq!(lldp, Headers::UNREADABLE);
    }
}
