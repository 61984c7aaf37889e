//! Talkers: who sent or received how much.
//!
//! A packet has a flow ([`key`], [`host`]), which is counted in the table of its direction ([`table`], and
//! [`flow_table`] before it). Of a table comes a list ([`list`]), each minute and when a sample breaks a threshold ([`moment`]).

pub mod addresses;
pub mod distinct;
pub mod flow_table;
pub mod host;
pub mod key;
pub mod list;
pub mod moment;
mod seed;
pub mod shown;
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

impl TalkersReport {
    /// Adds a later record of the same NIC and kind. Which sockets were seen is no longer known.
    pub fn merge(&mut self, next: &Self) {
        self.record.merge(&next.record);
        self.rx_seen = vec![SeenSockets::Nothing; self.record.rx.talkers.len()];
        self.tx_seen = vec![SeenSockets::Nothing; self.record.tx.talkers.len()];
    }
}
