//! The watch: what the kernel says of NICs and their addresses as it happens (rtnetlink(7)).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use settings::{Failures, InFull};

use super::inventory::InventoryError;
use super::link::Link;
use super::link_stats::LinkStats;
use super::netlink::messages;
use super::roster::LinkEvent;
use super::rtnetlink::{DEL_LINK, LinkMessage, NEW_LINK, RawMessage};

/// `RTNLGRP_LINK` of `enum rtnetlink_groups` (`include/uapi/linux/rtnetlink.h`).
const LINK_GROUP: u32 = 1;

/// `RTNLGRP_IPV4_IFADDR` and `RTNLGRP_IPV6_IFADDR`.
const ADDRESS_GROUPS: [u32; 2] = [5, 9];

/// A socket that receives an event for every NIC or address that comes, changes or goes.
#[derive(Debug)]
pub struct Watch {
    socket: Socket,
    failures: Failures<Option<i32>>,
}

impl Watch {
    /// Listens from now on.
    ///
    /// # Errors
    /// [`InventoryError`] if the system provides no socket.
    pub fn open() -> Result<Self, InventoryError> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        socket.add_membership(LINK_GROUP)?;
        for group in ADDRESS_GROUPS {
            socket.add_membership(group)?;
        }
        socket.set_non_blocking(true)?;
        Ok(Self { socket, failures: Failures::new() })
    }

    /// Hands on all events that are there, without waiting for more. What the kernel had no room
    /// for, or can't be read, is an [`LinkEvent::Overrun`].
    pub fn read(&mut self, mut each: impl FnMut(LinkEvent)) {
        loop {
            match self.socket.recv_from_full() {
                Ok((bytes, _)) => {
                    self.failures.succeeded();
                    events(&bytes).for_each(&mut each);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // ENOBUFS: some events were lost; those before them are still in the socket.
                Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => {
                    each(LinkEvent::Overrun)
                }
                Err(error) => {
                    if let Some(tell) = self.failures.failed(error.raw_os_error(), Instant::now()) {
                        tracing::error!(error = %error.in_full(), "can't watch NICs come and go{tell}");
                    }
                    return each(LinkEvent::Overrun);
                }
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The events that the kernel tells at once. What can't be read is an [`LinkEvent::Overrun`].
pub fn events(bytes: &[u8]) -> impl Iterator<Item = LinkEvent> {
    messages(bytes).filter_map(|message: io::Result<NetlinkMessage<RawMessage>>| match message {
        Ok(NetlinkMessage { payload: NetlinkPayload::InnerMessage(message), .. }) => {
            event(&message)
        }
        Ok(_) => None,
        Err(_) => Some(LinkEvent::Overrun),
    })
}

/// The event of a message. A bridge also reports its ports, by messages of its own family: a port
/// that leaves it still exists.
fn event(message: &RawMessage) -> Option<LinkEvent> {
    if message.is_of_address() {
        return Some(LinkEvent::Addresses);
    }
    let of_nic = |kind| message.link(kind).filter(|link: &LinkMessage<'_>| link.family() == 0);
    if let Some(link) = of_nic(NEW_LINK) {
        return Link::of_message(&link).map(LinkEvent::Changed);
    }
    of_nic(DEL_LINK).map(|link| LinkEvent::Gone(link.index(), LinkStats::of_message(&link)))
}

#[cfg(test)]
mod tests {
    use super::super::rtnetlink::tests::link_message;
    use super::*;

    const IFNAME: u16 = 3;
    const MTU: u16 = 4;
    const AF_BRIDGE: u8 = 7;

    #[test]
    fn a_nic_that_is_gone_is_told_from_a_port_that_left_its_bridge() {
        let gone = |family| event(&link_message(DEL_LINK, family, &[]));
        assert_eq!(gone(0), Some(LinkEvent::Gone(7, None)));
        assert_eq!(gone(AF_BRIDGE), None);
    }

    #[test]
    fn what_tells_a_part_only_is_no_description_of_a_nic() {
        // A wireless event names the NIC and says nothing else of it.
        let name = (IFNAME, &b"wlan0\0"[..]);
        assert_eq!(event(&link_message(NEW_LINK, 0, &[name])), None);
        let mtu = 1500u32.to_ne_bytes();
        let whole = link_message(NEW_LINK, 0, &[name, (MTU, &mtu)]);
        assert!(matches!(event(&whole), Some(LinkEvent::Changed(link))
            if link.index == 7 && link.mtu == 1500));
    }
}
