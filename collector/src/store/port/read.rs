//! Reads clients and their NICs' traffic.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use wire::frame::Mix;

use crate::store::port::error::StoreError;
use crate::store::rows::clients::Client;
use crate::store::rows::groups::{GroupsFound, GroupsRange};
use crate::store::rows::history::NicEvent;
use crate::store::rows::percentile::{Percentile, PercentileRange};
use crate::store::rows::series::{ClientRange, NicRange, Series, SeriesRange, StoredMinutes};

/// Reads from a store. All stores answer equally.
#[async_trait]
pub trait Query: Send + Sync + Debug {
    /// Every client that ever opened a session here and was not forgotten, by id.
    async fn clients(&self) -> Result<Vec<Client>, StoreError>;

    /// The traffic of one NIC over a range, oldest first, with at most `limit` points. Further
    /// neighbours are merged (sums conserved, peaks as maxima).
    async fn series(&self, range: &SeriesRange) -> Result<Series, StoreError>;

    /// The minutes of all NICs of several clients, from `bandwidth_1m`, in any order of NICs. Clients and
    /// NICs without any are left out.
    async fn minutes(&self, ranges: &[ClientRange]) -> Result<Vec<StoredMinutes>, StoreError>;

    /// The 95th percentile of the traffic of a NIC or a client over a range, from `bandwidth_5m`. The
    /// range need not start or end with an interval.
    async fn percentile(&self, range: &PercentileRange) -> Result<Percentile, StoreError>;

    /// The breakdown of a NIC's traffic over the mix intervals that start in a range: exact sums, with
    /// the covered time as length.
    async fn mix(&self, range: &NicRange) -> Result<Mix, StoreError>;

    /// The newest events of a NIC and its client in a range, oldest first.
    async fn events(&self, range: &NicRange, limit: usize) -> Result<Vec<NicEvent>, StoreError>;

    /// The traffic of groups of clients over a range, by value. All groups are exact sums of rollups over
    /// the NICs that count in their hosts' totals. Of days that aren't packed yet, the newest are read, as
    /// far as [`GroupsRange::unpacked_max`] goes.
    async fn groups(&self, range: &GroupsRange) -> Result<GroupsFound, StoreError>;

    /// Fails unless the store answers.
    async fn ready(&self) -> Result<(), StoreError>;

    /// How long a cancelled or failed query still occupies resources that other queries need.
    fn rest(&self) -> Duration {
        Duration::ZERO
    }
}
