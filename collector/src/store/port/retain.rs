//! Deleting what is old.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::store::port::error::StoreError;
use crate::store::rows::retention::{Retained, RetentionLimits, TimeSeen};

/// Deleting what is old.
#[async_trait]
pub trait Retain: Send + Sync + Debug {
    /// What the store knows of time, all in nanoseconds since 1970 (UTC).
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store fails.
    async fn time_seen(&self, limits: &RetentionLimits) -> Result<TimeSeen, StoreError>;

    /// Keeps where the store's clock is, nanoseconds since 1970 (UTC).
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store fails.
    async fn keep_clock(&self, clock_ns: u64) -> Result<(), StoreError>;

    /// Deletes what is older than `limits` at `now_ns`, in steps short enough for commits to go
    /// in between. To be called now and then. Where rows are said to be complete only from a time
    /// in the future, as a clock that was far ahead once has left it, what is there decides anew.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store fails; what was deleted until then stays deleted.
    async fn retain(&self, limits: &RetentionLimits, now_ns: u64) -> Result<Retained, StoreError>;
}
