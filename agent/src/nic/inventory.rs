//! The inventory: all NICs of this network namespace, asked of the kernel by rtnetlink(7).

use std::io;

use netlink_sys::protocols::NETLINK_ROUTE;

use super::link::Link;
use super::link_stats::LinkStats;
use super::netlink::Netlink;
use super::rtnetlink::{NEW_LINK, RawMessage};

/// How often to repeat a dump that a change interrupted.
const TRIES: usize = 5;

/// Access to the kernel's list of NICs.
#[derive(Debug)]
pub struct NicList(Netlink<RawMessage>);

/// Why the NICs can't be listed.
#[derive(Debug, thiserror::Error)]
#[error("can't list the NICs by rtnetlink")]
pub struct InventoryError(#[from] io::Error);

impl NicList {
    /// Opens a netlink socket.
    ///
    /// # Errors
    /// [`InventoryError`] if the system provides none.
    pub fn open() -> Result<Self, InventoryError> {
        Ok(Self(Netlink::open(NETLINK_ROUTE)?))
    }

    /// Every NIC as it is now.
    ///
    /// # Errors
    /// [`InventoryError`] if the kernel refuses.
    pub fn links(&mut self) -> Result<Vec<Link>, InventoryError> {
        for _ in 0..TRIES {
            let mut links = Vec::new();
            let whole = self.0.dump(RawMessage::get_links(), |message| {
                links.extend(message.link(NEW_LINK).and_then(|link| Link::of_message(&link)));
            })?;
            if whole {
                return Ok(links);
            }
        }
        Err(io::Error::other("they change faster than the kernel can list them").into())
    }

    /// The kernel's counters of one NIC.
    ///
    /// # Errors
    /// [`InventoryError`] if there is none of this index.
    pub fn stats_of(&mut self, index: u32) -> Result<Option<LinkStats>, InventoryError> {
        Ok(self.0.get(RawMessage::get_stats(index))?.stats().and_then(LinkStats::of))
    }
}
