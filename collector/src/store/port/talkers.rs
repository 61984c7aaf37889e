//! Reads talkers: who had the traffic of a NIC, and which hosts talked to an address.

use std::fmt::Debug;

use async_trait::async_trait;
use wire::talkers::Talkers;

use crate::store::port::error::StoreError;
use crate::store::rows::talker_groups::{GroupedTalkers, TalkersRange};
use crate::store::rows::talker_search::{TalkerSearch, TalkersFound};
use crate::store::rows::talkers_at::TalkersAt;

/// Reads talkers. All stores answer equally.
#[async_trait]
pub trait TalkersReader: Send + Sync + Debug {
    /// The largest talkers of a NIC and direction over a range, grouped, with bounds, and over time. Reads
    /// the records of the minutes that touch the range; the answer says from when to when they reach. Empty
    /// for an unknown NIC. Its memory is bounded, whatever the range.
    async fn talkers(&self, range: &TalkersRange) -> Result<GroupedTalkers, StoreError>;

    /// Which NICs had traffic with an address over a range, the most bytes first. Addresses have no index:
    /// every row of the range is looked through, so keep it short where hosts are many. A list that can't be
    /// read is counted and left out.
    async fn search_talkers(&self, search: &TalkerSearch) -> Result<TalkersFound, StoreError>;

    /// The record of a NIC nearest to a time: one that covers it before any other.
    async fn talkers_at(&self, at: &TalkersAt) -> Result<Option<Talkers>, StoreError>;
}
