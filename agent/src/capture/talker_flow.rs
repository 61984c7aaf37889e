//! From the headers of a packet to the flow and talker that it belongs to.

use super::fields::{arp, ethernet, ipv4, ipv6, protocol};
use super::packet::{Headers, Network};
use super::ring::Packet;
use crate::account::bank::Direction;
use crate::talkers::host::OwnHost;
use crate::talkers::key::{Ends, KeyAddress, KeyedFlow};

/// Least EtherType: lower numbers are lengths (IEEE 802.3).
const ETHERTYPE_MIN: u16 = 0x0600;

/// The ends of a packet from `source` to `destination`, each an address and a port.
#[inline]
pub(super) const fn ends(
    source: (KeyAddress, u16),
    destination: (KeyAddress, u16),
    direction: Direction,
) -> Ends {
    let (far, near) = match direction {
        Direction::Rx => (source, destination),
        Direction::Tx => (destination, source),
    };
    Ends { far: far.0, far_port: far.1, near: near.0, near_port: near.1 }
}

/// The flow of a packet of any kind.
pub(super) fn flow_of(packet: &Packet<'_>, headers: &Headers, host: &OwnHost) -> KeyedFlow {
    let (bytes, direction) = (packet.headers, packet.direction());
    let at = usize::from(headers.network_at);
    let addresses = match headers.network {
        Network::Ipv4 => pair::<4>(bytes, at + ipv4::SOURCE).map(|it| it.map(KeyAddress::v4)),
        Network::Ipv6 => pair::<16>(bytes, at + ipv6::SOURCE).map(|it| it.map(KeyAddress::v6)),
        Network::Arp => return KeyedFlow::arp(arp_address(bytes, at, direction)),
        Network::Other => return other(bytes, headers),
    };
    let Some([source, destination]) = addresses else {
        return KeyedFlow::unparsed(0, Ends::default());
    };
    let group = bytes.get(ethernet::DESTINATION).is_some_and(|it| it & ethernet::GROUP != 0);
    let to_group = group && packet.is_ethernet() && direction == Direction::Rx;
    let without = ends((source, 0), (destination, 0), direction);
    let without_ports = |number| {
        host.flow(number, without, to_group, |number, ends, _| {
            KeyedFlow::without_ports(number, ends)
        })
    };
    let unparsed = |number| {
        host.flow(number, without, to_group, |number, ends, _| KeyedFlow::unparsed(number, ends))
    };
    match headers.transport {
        None if headers.cut => unparsed(0),
        // A fragment after the first. Over IPv6, what it is part of is said in the first only.
        None if headers.network == Network::Ipv4 => {
            without_ports(bytes.get(at + ipv4::PROTOCOL).copied().unwrap_or(0))
        }
        None => without_ports(protocol::FRAGMENT),
        Some((number, at)) if protocol::WITH_PORTS.contains(&number) => {
            let Some([from, to]) = pair::<2>(bytes, usize::from(at)) else {
                return unparsed(number);
            };
            let [from, to] = [from, to].map(u16::from_be_bytes);
            let ends = ends((source, from), (destination, to), direction);
            host.flow(number, ends, to_group, KeyedFlow::between_ports)
        }
        Some((number, _)) => without_ports(number),
    }
}

/// Another network protocol, or none that can be read.
fn other(bytes: &[u8], headers: &Headers) -> KeyedFlow {
    let before = usize::from(headers.network_at).checked_sub(ethernet::ETHERTYPE_LEN);
    match before.and_then(|at| bytes.get(at..)?.first_chunk().copied()) {
        Some(ethertype) if !headers.cut => {
            let ethertype = u16::from_be_bytes(ethertype);
            KeyedFlow::of_ethertype(if ethertype < ETHERTYPE_MIN { 0 } else { ethertype })
        }
        _ => KeyedFlow::unparsed(0, Ends::default()),
    }
}

/// The far end of an ARP packet: who asks or answers if received, who is asked for if transmitted.
fn arp_address(bytes: &[u8], at: usize, direction: Direction) -> KeyAddress {
    let ipv4 = bytes.get(at..).is_some_and(|arp| arp.starts_with(&arp::IPV4_OVER_ETHERNET));
    let field = match direction {
        Direction::Rx => arp::SENDER,
        Direction::Tx => arp::TARGET,
    };
    let address = bytes.get(at + field..).and_then(<[u8]>::first_chunk).filter(|_| ipv4);
    address.map_or(KeyAddress::NONE, |address| KeyAddress::v4(*address))
}

/// Two fields of N bytes, one behind the other: source and destination.
fn pair<const N: usize>(bytes: &[u8], at: usize) -> Option<[[u8; N]; 2]> {
    let (one, rest) = bytes.get(at..)?.split_first_chunk()?;
    Some([*one, *rest.first_chunk()?])
}
