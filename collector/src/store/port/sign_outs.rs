//! Signed-out browser sessions of all collectors of the store.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::store::port::error::StoreError;
use crate::store::rows::sign_outs::SignOut;

/// Shares sign-outs between the collectors of one store.
#[async_trait]
pub trait SignOuts: Send + Sync + Debug {
    /// The sessions signed out after a change, and the number of the last change. Cheap enough for a
    /// call every second. Returns all of them if the store's last change is before that one, as after a
    /// reset to an earlier state.
    async fn sign_outs(&self, after: u64) -> Result<(Vec<SignOut>, u64), StoreError>;

    /// Stores a sign-out. Forgets those whose sessions have expired before `now_s`.
    async fn keep_sign_out(&self, sign_out: &SignOut, now_s: u64) -> Result<(), StoreError>;
}
