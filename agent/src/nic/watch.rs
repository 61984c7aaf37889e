//! The watch: what the kernel says of NICs as it happens (rtnetlink(7), `RTNLGRP_LINK`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage as Message};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;

use super::inventory::InventoryError;
use super::link::Link;
use super::link_stats::LinkStats;
use super::netlink::messages;
use super::roster::Event;

/// `RTNLGRP_LINK` of `enum rtnetlink_groups` (`include/uapi/linux/rtnetlink.h`).
const LINK_GROUP: u32 = 1;

/// A socket that hears of every NIC that comes, changes or goes.
#[derive(Debug)]
pub struct Watch(Socket);

impl Watch {
    /// Listens from now on.
    ///
    /// # Errors
    /// [`InventoryError`] if the system gives no socket.
    pub fn open() -> Result<Self, InventoryError> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        socket.add_membership(LINK_GROUP)?;
        socket.set_non_blocking(true)?;
        Ok(Self(socket))
    }

    /// Hands on all events that are there, without waiting for more. What the kernel had no room
    /// for, or can't be read, is an [`Event::Overrun`].
    pub fn read(&self, mut each: impl FnMut(Event)) {
        loop {
            match self.0.recv_from_full() {
                Ok((bytes, _)) => {
                    for message in messages(&bytes) {
                        match message.map(|message: NetlinkMessage<Message>| message.payload) {
                            Ok(NetlinkPayload::InnerMessage(message)) => {
                                event(&message).into_iter().for_each(&mut each);
                            }
                            Ok(_) => {}
                            Err(_) => each(Event::Overrun),
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // ENOBUFS: some were lost, and those before them are still to be read.
                Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => {
                    each(Event::Overrun)
                }
                Err(error) => {
                    tracing::error!(%error, "NICs that come and go can't be watched");
                    return each(Event::Overrun);
                }
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What a message says. A bridge also tells of its ports, by messages of a family of its own: a
/// port that leaves it is no NIC that is gone.
fn event(message: &Message) -> Option<Event> {
    let of_nic = |link: &LinkMessage| link.header.interface_family == AddressFamily::Unspec;
    match message {
        Message::NewLink(link) if of_nic(link) => Link::of_message(link).map(Event::Changed),
        Message::DelLink(link) if of_nic(link) => {
            Some(Event::Gone(link.header.index, LinkStats::of_message(link)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::link::LinkAttribute;

    use super::*;

    fn message(family: AddressFamily, attributes: Vec<LinkAttribute>) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.interface_family = family;
        message.header.index = 7;
        message.attributes = attributes;
        message
    }

    #[test]
    fn a_nic_that_is_gone_is_told_from_a_port_that_left_its_bridge() {
        let gone = |family| event(&Message::DelLink(message(family, Vec::new())));
        assert_eq!(gone(AddressFamily::Unspec), Some(Event::Gone(7, None)));
        assert_eq!(gone(AddressFamily::Bridge), None);
    }

    #[test]
    fn what_tells_a_part_only_is_no_description_of_a_nic() {
        let name = LinkAttribute::IfName("wlan0".into());
        // A wireless event names the NIC and says nothing else of it.
        let part = message(AddressFamily::Unspec, vec![name.clone()]);
        assert_eq!(event(&Message::NewLink(part)), None);
        let whole = message(AddressFamily::Unspec, vec![name, LinkAttribute::Mtu(1500)]);
        assert!(matches!(event(&Message::NewLink(whole)), Some(Event::Changed(link))
            if link.index == 7 && link.mtu == 1500));
    }
}
