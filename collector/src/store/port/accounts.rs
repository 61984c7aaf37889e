//! Reads what accounts are metered from.

use std::fmt::Debug;

use async_trait::async_trait;
use wire::WallNs;

use crate::store::port::error::StoreError;
use crate::store::rows::accounts::{KnownNic, NicHistory};
use crate::store::rows::series::NicRange;

/// Reads what accounts are metered from. All stores answer equally.
#[async_trait]
pub trait Metering: Send + Sync + Debug {
    /// The NICs that these clients ever had, by client and name; forgotten clients have theirs too while
    /// their rows stay.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store can't be read.
    async fn known_nics(&self, clients: &[String]) -> Result<Vec<KnownNic>, StoreError>;

    /// What is stored of a NIC for a range that begins and ends at multiples of 5 minutes.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store can't be read.
    async fn nic_history(&self, range: &NicRange) -> Result<NicHistory, StoreError>;

    /// The time from which `bandwidth_5m` is complete, nanoseconds since 1970 (UTC).
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store can't be read.
    async fn complete_from(&self) -> Result<WallNs, StoreError>;
}
