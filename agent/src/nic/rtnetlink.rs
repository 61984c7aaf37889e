//! Messages of rtnetlink(7), and the like, as the kernel sends them. Attributes are read one by one and as bytes:
//! names and aliases need not be UTF-8, and an attribute that is unreadable or unknown hides
//! neither the others nor another NIC.

use std::convert::Infallible;
use std::net::IpAddr;

use netlink_packet_core::{
    NetlinkDeserializable, NetlinkHeader, NetlinkSerializable, NlaBuffer, NlasIterator,
};

/// Kinds of messages (`include/uapi/linux/rtnetlink.h`, `include/uapi/linux/sock_diag.h`).
pub const NEW_LINK: u16 = 16;
pub const DEL_LINK: u16 = 17;
pub const GET_LINK: u16 = 18;
pub const NEW_ADDRESS: u16 = 20;
pub const DEL_ADDRESS: u16 = 21;
const GET_ADDRESS: u16 = 22;
const SOCKETS_BY_FAMILY: u16 = 20;
pub const NEW_STATS: u16 = 92;
pub const GET_STATS: u16 = 94;

/// Bytes of `struct ifinfomsg`, which a message about a NIC begins with.
const LINK_HEADER: usize = 16;

/// Bytes of `struct if_stats_msg`.
const STATS_HEADER: usize = 12;

/// Bytes of `struct ifaddrmsg`, and of `struct inet_diag_req_v2`.
const ADDRESS_HEADER: usize = 8;
const SOCKETS_REQUEST: usize = 56;

/// `IFA_ADDRESS` and `IFA_LOCAL` (`include/uapi/linux/if_addr.h`).
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// `IFLA_STATS_LINK_64` (`include/uapi/linux/if_link.h`).
const STATS_LINK_64: u16 = 1;

/// A message, whose kind says what its bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawMessage {
    kind: u16,
    body: Vec<u8>,
}

impl RawMessage {
    /// A message of any kind.
    pub const fn new(kind: u16, body: Vec<u8>) -> Self {
        Self { kind, body }
    }

    /// Its bytes, if it is of this kind.
    pub fn body(&self, kind: u16) -> Option<&[u8]> {
        (self.kind == kind).then_some(&self.body)
    }

    /// Asks for every NIC.
    pub fn get_links() -> Self {
        Self { kind: GET_LINK, body: vec![0; LINK_HEADER] }
    }

    /// Asks for the counters of one NIC.
    pub fn get_stats(index: u32) -> Self {
        let filter = 1u32 << (STATS_LINK_64 - 1);
        let words = [0, index, filter].map(u32::to_ne_bytes);
        Self { kind: GET_STATS, body: words.concat() }
    }

    /// `AF_INET` and `AF_INET6`.
    pub const INET: u8 = 2;
    pub const INET6: u8 = 10;

    /// Asks for every address.
    pub fn get_addresses() -> Self {
        Self { kind: GET_ADDRESS, body: vec![0; ADDRESS_HEADER] }
    }

    /// Asks for the TCP sockets of a family that listen (`struct inet_diag_req_v2`).
    pub fn get_listening(family: u8) -> Self {
        const TCP: u8 = 6;
        const LISTEN: u32 = 1 << 10;
        let mut body = vec![0; SOCKETS_REQUEST];
        body[..2].copy_from_slice(&[family, TCP]);
        body[4..8].copy_from_slice(&LISTEN.to_ne_bytes());
        Self { kind: SOCKETS_BY_FAMILY, body }
    }

    /// True if an address has come, changed or gone.
    pub const fn is_of_address(&self) -> bool {
        matches!(self.kind, NEW_ADDRESS | DEL_ADDRESS)
    }

    /// The host's own address that it tells of. On point-to-point links the other address is the peer's.
    pub fn address(&self) -> Option<IpAddr> {
        let attributes = self.body.get(ADDRESS_HEADER..).filter(|_| self.kind == NEW_ADDRESS)?;
        let address = child(attributes, IFA_LOCAL).or_else(|| child(attributes, IFA_ADDRESS))?;
        match *self.body.first()? {
            Self::INET => address.first_chunk::<4>().map(|it| (*it).into()),
            Self::INET6 => address.first_chunk::<16>().map(|it| (*it).into()),
            _ => None,
        }
    }

    /// The port of the socket that it tells of (`struct inet_diag_msg`).
    pub fn source_port(&self) -> Option<u16> {
        let port = self.body.get(4..6).filter(|_| self.kind == SOCKETS_BY_FAMILY)?;
        Some(u16::from_be_bytes(*port.first_chunk()?))
    }

    /// What it says of a NIC, if it is of a kind that does.
    pub fn link(&self, kind: u16) -> Option<LinkMessage<'_>> {
        let (header, attributes) = self.body.split_at_checked(LINK_HEADER)?;
        (self.kind == kind).then_some(LinkMessage { header, attributes })
    }

    /// The counters that were asked for: a `struct rtnl_link_stats64`.
    pub fn stats(&self) -> Option<&[u8]> {
        let attributes = self.body.get(STATS_HEADER..).filter(|_| self.kind == NEW_STATS)?;
        child(attributes, STATS_LINK_64)
    }
}

impl NetlinkSerializable for RawMessage {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        self.body.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.body);
    }
}

impl NetlinkDeserializable for RawMessage {
    type Error = Infallible;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Infallible> {
        Ok(Self { kind: header.message_type, body: payload.to_vec() })
    }
}

/// The kernel's data about a NIC.
#[derive(Debug, Clone, Copy)]
pub struct LinkMessage<'a> {
    header: &'a [u8],
    attributes: &'a [u8],
}

impl<'a> LinkMessage<'a> {
    /// Address family: a bridge tells of its ports by messages of its own (`AF_BRIDGE`).
    pub fn family(&self) -> u8 {
        self.header[0]
    }

    /// Kind of the link layer (`ARPHRD_*`).
    pub fn layer(&self) -> u16 {
        u16::from_ne_bytes([self.header[2], self.header[3]])
    }

    /// The NIC's index.
    pub fn index(&self) -> u32 {
        self.word(4)
    }

    /// Its flags (`IFF_*`).
    pub fn flags(&self) -> u32 {
        self.word(8)
    }

    /// Its attributes by kind (`IFLA_*`).
    pub fn attributes(&self) -> impl Iterator<Item = (u16, &'a [u8])> {
        children(self.attributes)
    }

    fn word(&self, at: usize) -> u32 {
        number(&self.header[at..]).unwrap_or_default()
    }
}

/// The number that a value begins with.
pub fn number(value: &[u8]) -> Option<u32> {
    value.first_chunk().copied().map(u32::from_ne_bytes)
}

/// The bytes of a text, without the NUL that ends it.
pub fn text(value: &[u8]) -> &[u8] {
    value.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The attributes in a value, up to the first truncated one.
pub fn children(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let readable = NlasIterator::new(bytes).map_while(Result::ok);
    readable.map(|attribute: NlaBuffer<&[u8]>| {
        let (kind, len) = (attribute.kind(), attribute.value_length());
        (kind, attribute.into_inner().get(4..4 + len).unwrap_or_default())
    })
}

/// The first attribute of a kind in a value.
pub fn child(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    children(bytes).find(|(other, _)| *other == kind).map(|(_, value)| value)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A message as the kernel sends it, about NIC 7.
    pub fn link_message(kind: u16, family: u8, attributes: &[(u16, &[u8])]) -> RawMessage {
        let mut body = vec![0; LINK_HEADER];
        body[0] = family;
        body[4..8].copy_from_slice(&7u32.to_ne_bytes());
        for (kind, value) in attributes {
            let len = u16::try_from(4 + value.len()).unwrap();
            body.extend([len, *kind].map(u16::to_ne_bytes).concat());
            body.extend_from_slice(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        RawMessage { kind, body }
    }

    #[test]
    fn what_is_cut_short_is_not_read() {
        let whole = [8, 0, 1, 0, 1, 2, 3, 4, 8, 0, 2, 0, 5, 6, 7, 8];
        assert_eq!(children(&whole).count(), 2);
        for len in 0..whole.len() {
            assert!(children(&whole[..len]).count() < 2, "{len}");
        }
        for len in 0..LINK_HEADER {
            assert!(RawMessage { kind: NEW_LINK, body: vec![0; len] }.link(NEW_LINK).is_none());
        }
    }
}
