//! `fsck`: proving that a store is complete.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::store::port::error::StoreError;
use crate::store::rows::proof::CheckReport;

/// Proving that a store is complete.
#[async_trait]
pub trait Check: Send + Sync + Debug {
    /// Reads everything, as of one moment, and changes nothing. Where rows are on several servers, which
    /// have no moment in common, what is wrong is read again for a while, and told if it stays wrong.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store can't be read.
    async fn check(&self) -> Result<CheckReport, StoreError>;
}
