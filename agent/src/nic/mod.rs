//! NICs: what there is, what is captured of it, and what the kernel counts.

pub mod choose;
pub mod inventory;
pub mod link;
pub mod link_stats;
pub mod roster;
mod rtnetlink;
pub mod watch;
