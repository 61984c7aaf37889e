//! Reading clients, and what their NICs carried.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use wire::frame::Mix;

use crate::store::port::error::StoreError;
use crate::store::rows::clients::Client;
use crate::store::rows::history::Event;
use crate::store::rows::percentile::{Percentile, PercentileRange};
use crate::store::rows::series::{NicRange, Series, SeriesRange};

/// Reading from a store. Every store answers the same questions in the same way.
#[async_trait]
pub trait Query: Send + Sync + Debug {
    /// Every client that ever opened its sessions here and was not forgotten, by id.
    async fn clients(&self) -> Result<Vec<Client>, StoreError>;

    /// What one NIC carried over a range, oldest first. At most `limit` points: where there are
    /// more, neighbours are put together (sums conserved, peaks as maxima).
    async fn series(&self, range: &SeriesRange) -> Result<Series, StoreError>;

    /// The 95th percentile of what one NIC, or a client, carried over a range, from
    /// `bandwidth_5m`. Limits need not be those of an interval.
    async fn percentile(&self, range: &PercentileRange) -> Result<Percentile, StoreError>;

    /// What the traffic of one NIC was made of, over the mix intervals that start in a range:
    /// exact sums, and as length the time they cover.
    async fn mix(&self, range: &NicRange) -> Result<Mix, StoreError>;

    /// What happened to one NIC and its client in a range, the newest of it, oldest first.
    async fn events(&self, range: &NicRange, limit: usize) -> Result<Vec<Event>, StoreError>;

    /// Whether the store answers at all.
    async fn ready(&self) -> Result<(), StoreError>;

    /// For how long a question that was broken off or failed still takes what answers others.
    fn rest(&self) -> Duration {
        Duration::ZERO
    }
}
