//! The inventory: all NICs of this network namespace, asked of the kernel by rtnetlink(7).

use std::io;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::link::Link;

/// How often a dump that a change cut across is asked for again.
const TRIES: usize = 5;

/// Access to the kernel's list of NICs.
#[derive(Debug)]
pub struct Inventory {
    socket: Socket,
    sequence: u32,
}

/// Why the NICs can't be listed.
#[derive(Debug, thiserror::Error)]
#[error("can't list the NICs by rtnetlink: {0}")]
pub struct InventoryError(#[from] io::Error);

impl Inventory {
    /// Opens a netlink socket.
    ///
    /// # Errors
    /// [`InventoryError`] if the system gives none.
    pub fn open() -> Result<Self, InventoryError> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Every NIC as it is now.
    ///
    /// # Errors
    /// [`InventoryError`] if the kernel refuses to tell.
    pub fn links(&mut self) -> Result<Vec<Link>, InventoryError> {
        for _ in 0..TRIES {
            if let Some(links) = self.dump()? {
                return Ok(links);
            }
        }
        Err(io::Error::other("they change faster than they can be read").into())
    }

    /// One dump; `None` if a change cut across it.
    fn dump(&mut self) -> Result<Option<Vec<Link>>, InventoryError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_DUMP | NLM_F_REQUEST;
        header.sequence_number = self.sequence;
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let mut request = NetlinkMessage::new(header, NetlinkPayload::from(request));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let (mut links, mut interrupted) = (Vec::new(), false);
        loop {
            let (answer, _) = self.socket.recv_from_full()?;
            let mut rest = answer.as_slice();
            while let Some((len, message)) = next_message(rest)? {
                rest = rest.get(len..).unwrap_or_default();
                if message.header.sequence_number != self.sequence {
                    // Left over from a dump that was given up.
                    continue;
                }
                interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
                match message.payload {
                    NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
                        links.extend(Link::of_message(&link));
                    }
                    NetlinkPayload::Done(_) => return Ok((!interrupted).then_some(links)),
                    NetlinkPayload::Error(error) => return Err(error.to_io().into()),
                    _ => {}
                }
            }
        }
    }
}

/// The message at the start of what the kernel sent, and its length with its padding.
fn next_message(
    bytes: &[u8],
) -> Result<Option<(usize, NetlinkMessage<RouteNetlinkMessage>)>, InventoryError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes)
        .map_err(|error| io::Error::other(error.to_string()))?;
    // Messages are aligned to 4 bytes (NLMSG_ALIGNTO), and none is empty.
    let len = (message.header.length as usize).max(4).next_multiple_of(4);
    Ok(Some((len, message)))
}

/// Speed of a NIC in bit/s, 0 where the driver doesn't know.
#[must_use]
pub fn speed_bits(nic: &str) -> u64 {
    let path = format!("/sys/class/net/{nic}/speed");
    let speed = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
    // In Mbit/s (Documentation/ABI/testing/sysfs-class-net), -1 where unknown.
    speed.filter(|&speed: &i64| speed > 0).map_or(0, |speed| speed.unsigned_abs() * 1_000_000)
}
