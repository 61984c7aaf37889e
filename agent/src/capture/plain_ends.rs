//! The ends of plain packets, from where their headers always are.

use super::fields::{ethernet, ipv4, ipv6};
use super::talker_flow::ends;
use crate::account::bank::Direction;
use crate::talkers::flow_table::Ipv4Flow;
use crate::talkers::key::{Ends, KeyAddress};

const IPV4_PORTS: usize = ethernet::HEADER_LEN + ipv4::HEADER_LEN;
const IPV6_PORTS: usize = ethernet::HEADER_LEN + ipv6::HEADER_LEN;

/// The headers of a plain IPv4 packet up to its ports.
pub(super) type Ipv4Headers = [u8; IPV4_PORTS + 4];

/// The headers of a plain IPv6 packet up to its ports.
pub(super) type Ipv6Headers = [u8; IPV6_PORTS + 4];

/// Addresses and ports of a plain IPv4 packet, source and destination: two registers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ipv4Ports {
    addresses: u64,
    ports: u32,
}

impl Ipv4Ports {
    /// Those in these headers.
    #[inline(always)]
    pub const fn new(headers: &Ipv4Headers) -> Self {
        // The addresses are the last of the header, and the ports behind it.
        let &[.., a, b, c, d, e, f, g, h, i, j, k, l] = headers;
        let addresses = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        Self { addresses, ports: u32::from_be_bytes([i, j, k, l]) }
    }

    /// The flow of a packet of this protocol.
    #[inline(always)]
    pub const fn flow(self, protocol: u8) -> Ipv4Flow {
        Ipv4Flow::new(self.addresses, self.ports, protocol)
    }

    /// The ends: source and destination are far and near if the packet was received.
    #[inline(always)]
    pub const fn ends(self, direction: Direction) -> Ends {
        let turns = direction as u32;
        let [a, b, c, d, e, f, g, h] = self.addresses.rotate_left(32 * turns).to_be_bytes();
        let [i, j, k, l] = self.ports.rotate_left(16 * turns).to_be_bytes();
        Ends {
            far: KeyAddress::v4([a, b, c, d]),
            near: KeyAddress::v4([e, f, g, h]),
            far_port: u16::from_be_bytes([i, j]),
            near_port: u16::from_be_bytes([k, l]),
        }
    }
}

/// The ends of a plain IPv6 packet.
#[inline]
pub(super) fn ipv6_ends(headers: &Ipv6Headers, direction: Direction) -> Ends {
    const SOURCE: usize = ethernet::HEADER_LEN + ipv6::SOURCE;
    let address = |at| {
        let bytes: [u8; 16] = std::array::from_fn(|byte| headers[at + byte]);
        KeyAddress::v6(bytes)
    };
    let &[.., a, b, c, d] = headers;
    let source = (address(SOURCE), u16::from_be_bytes([a, b]));
    let destination = (address(SOURCE + 16), u16::from_be_bytes([c, d]));
    ends(source, destination, direction)
}
