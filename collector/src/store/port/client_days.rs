//! Packing of `client_days`.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::store::port::error::StoreError;
use crate::store::rows::client_days::ClientDay;

/// Packs what clients carried on days that have ended. Reads take rows where days aren't packed, so nothing
/// depends on when this happens, or on a clock.
#[async_trait]
pub trait PackDays: Send + Sync + Debug {
    /// Notes the days that have ended by the store's clock, all clients' as to be packed. From now on,
    /// commits note days to which they add. True if there are more.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store fails.
    async fn end_days(&self) -> Result<bool, StoreError>;

    /// Packs some days that were noted, of those `before` one or all: the newest first. Returns the last of
    /// them, `None` if there are no more.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store fails.
    async fn pack_days(&self, before: Option<ClientDay>) -> Result<Option<ClientDay>, StoreError>;
}
