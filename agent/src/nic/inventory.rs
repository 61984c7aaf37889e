//! The inventory: all NICs of this network namespace, asked of the kernel by rtnetlink(7).

use std::collections::HashMap;
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

    /// The kernel's counters of every NIC, by its index. Costs a fraction of
    /// [`Inventory::links`]. NICs that come or go meanwhile may be missing.
    ///
    /// # Errors
    /// [`InventoryError`] if the kernel refuses to tell.
    pub fn stats(&mut self) -> Result<HashMap<u32, LinkStats>, InventoryError> {
        let mut all = HashMap::new();
        self.0.dump(stats_request(0), |message| all.extend(stats(&message)))?;
        Ok(all)
    }

    /// The kernel's counters of one NIC.
    ///
    /// # Errors
    /// [`InventoryError`] if there is none of this index.
    pub fn stats_of(&mut self, index: u32) -> Result<Option<LinkStats>, InventoryError> {
        Ok(stats(&self.0.get(stats_request(index))?).map(|(_, stats)| stats))
    }
}

fn stats_request(index: u32) -> RouteNetlinkMessage {
    let mut request = StatsMessage::default();
    request.header.ifindex = index;
    request.header.filter_mask = StatsFilterMask::Link64;
    RouteNetlinkMessage::GetStats(request)
}

/// Index and counters of the NIC that an answer is about.
fn stats(message: &RouteNetlinkMessage) -> Option<(u32, LinkStats)> {
    let RouteNetlinkMessage::NewStats(message) = message else { return None };
    let stats = message.attributes.iter().find_map(|attribute| match attribute {
        StatsAttribute::Link64(stats) => Some(LinkStats::of(stats)),
        _ => None,
    })?;
    Some((message.header.ifindex, stats))
}
