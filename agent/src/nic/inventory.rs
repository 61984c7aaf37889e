//! The inventory: all NICs of this network namespace, asked of the kernel by rtnetlink(7).

use std::io;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::stats::{StatsAttribute, StatsFilterMask, StatsMessage};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::link::Link;
use super::link_stats::LinkStats;
use super::netlink::Netlink;

/// How often a dump that a change cut across is asked for again.
const TRIES: usize = 5;

/// Access to the kernel's list of NICs.
#[derive(Debug)]
pub struct Inventory(Netlink<RouteNetlinkMessage>);

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
        Ok(Self(Netlink::open(NETLINK_ROUTE)?))
    }

    /// Every NIC as it is now.
    ///
    /// # Errors
    /// [`InventoryError`] if the kernel refuses to tell.
    pub fn links(&mut self) -> Result<Vec<Link>, InventoryError> {
        for _ in 0..TRIES {
            let mut links = Vec::new();
            let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
            let whole = self.0.dump(request, |message| {
                if let RouteNetlinkMessage::NewLink(link) = message {
                    links.extend(Link::of_message(&link));
                }
            })?;
            if whole {
                return Ok(links);
            }
        }
        Err(io::Error::other("they change faster than they can be read").into())
    }

    /// The kernel's counters of one NIC.
    ///
    /// # Errors
    /// [`InventoryError`] if there is none of this index.
    pub fn stats_of(&mut self, index: u32) -> Result<Option<LinkStats>, InventoryError> {
        let mut request = StatsMessage::default();
        request.header.ifindex = index;
        request.header.filter_mask = StatsFilterMask::Link64;
        let answer = self.0.get(RouteNetlinkMessage::GetStats(request))?;
        let RouteNetlinkMessage::NewStats(message) = answer else { return Ok(None) };
        Ok(message.attributes.iter().find_map(|attribute| match attribute {
            StatsAttribute::Link64(stats) => Some(LinkStats::of(stats)),
            _ => None,
        }))
    }
}
