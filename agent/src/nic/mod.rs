//! NICs: what there is, what is captured of it, and what the kernel counts.

pub mod addresses;
pub mod choose;
pub mod driver;
pub mod inventory;
pub mod link;
pub mod link_stats;
pub mod net_dev;
pub(crate) mod netlink;
pub mod roster;
pub(crate) mod rtnetlink;
pub mod watch;
