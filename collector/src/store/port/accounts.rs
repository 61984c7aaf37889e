//! Reads what accounts are metered from.

use std::fmt::Debug;

use async_trait::async_trait;
use wire::WallNs;
use wire::tag::Tag;

use crate::store::port::error::StoreError;
use crate::store::rows::accounts::{KnownNic, NicBefore, NicHistory, TagStay};

/// Reads what accounts are metered from. All stores answer equally.
#[async_trait]
pub trait Metering: Send + Sync + Debug {
    /// The NICs that these clients ever had, by client and name; forgotten clients have theirs too while
    /// their rows stay.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store can't be read.
    async fn known_nics(&self, clients: &[String]) -> Result<Vec<KnownNic>, StoreError>;

    /// When clients had a tag in a range of time that begins and ends at multiples of 5 minutes, by client
    /// and time. A client that was forgotten had it until then.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store can't be read.
    async fn tag_stays(
        &self,
        tag: &Tag,
        range: (WallNs, WallNs),
    ) -> Result<Vec<TagStay>, StoreError>;

    /// What is stored of NICs for a range that begins and ends at multiples of 5 minutes, in their order;
    /// nothing of one that is not known.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store can't be read.
    async fn nic_histories(
        &self,
        nics: &[KnownNic],
        range: (WallNs, WallNs),
    ) -> Result<Vec<NicHistory>, StoreError>;

    /// What was of NICs before a multiple of 5 minutes, in their order.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store can't be read.
    async fn nics_before(
        &self,
        nics: &[KnownNic],
        time_ns: WallNs,
    ) -> Result<Vec<NicBefore>, StoreError>;

    /// The time from which `bandwidth_5m` is complete, nanoseconds since 1970 (UTC).
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store can't be read.
    async fn complete_from(&self) -> Result<WallNs, StoreError>;
}
