//! What happens to rows by age: they are packed, and deleted.

use std::fmt::Debug;

use async_trait::async_trait;
use wire::WallNs;

use crate::store::port::error::StoreError;
use crate::store::rows::retention::{Retained, RetentionLimits, TimeSeen};

/// Packs and deletes old rows.
#[async_trait]
pub trait Retain: Send + Sync + Debug {
    /// The store's known times, all in nanoseconds since 1970 (UTC).
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store fails.
    async fn time_seen(&self, limits: &RetentionLimits) -> Result<TimeSeen, StoreError>;

    /// Stores the store's clock, nanoseconds since 1970 (UTC).
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store fails.
    async fn keep_clock(&self, clock_ns: WallNs) -> Result<(), StoreError>;

    /// Packs samples and mixes before `before_ns`, in steps short enough for commits in between; they read as
    /// before. Returns their number; call it regularly. A store that keeps each as a row packs none.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store fails; what was packed until then stays packed.
    async fn pack(&self, _before_ns: WallNs) -> Result<u64, StoreError> {
        Ok(0)
    }

    /// Deletes rows older than `limits` at `now_ns`, in steps short enough for commits in between. Call
    /// it regularly. If the stored start of complete rows lies in the future, as a clock far ahead may
    /// leave it, it is derived again from the rows.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store fails; what was deleted until then stays deleted.
    async fn retain(
        &self,
        limits: &RetentionLimits,
        now_ns: WallNs,
    ) -> Result<Retained, StoreError>;
}
