//! `fsck`: proves that a store is complete.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::store::port::error::StoreError;
use crate::store::rows::proof::CheckReport;

/// Proves that a store is complete.
#[async_trait]
pub trait Check: Send + Sync + Debug {
    /// Reads everything in one snapshot and changes nothing. If the rows are on several servers, which
    /// share no snapshot, wrong results are read again for a while and reported only if they stay
    /// wrong.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store can't be read.
    async fn check(&self) -> Result<CheckReport, StoreError>;
}
