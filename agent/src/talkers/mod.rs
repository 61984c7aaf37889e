//! Talkers: who sent or received how much.
//!
//! A packet has a flow ([`key`]), which is counted in the table of its direction ([`table`]).

pub mod addresses;
pub mod distinct;
pub mod key;
pub mod socket_pair;
pub mod table;

use wire::talkers::Talkers;

pub use addresses::Addresses;
pub use socket_pair::{SeenSockets, SocketPair};

/// The talkers of one NIC and interval, and by which sockets to look up whose they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TalkersReport {
    /// The record. Its talkers have no owners yet.
    pub record: Talkers,
    /// The sockets of each talker received, in the order of `record.rx.talkers`.
    pub rx_seen: Vec<SeenSockets>,
    /// The sockets of each talker transmitted, in the order of `record.tx.talkers`.
    pub tx_seen: Vec<SeenSockets>,
}
