//! Browsers' sessions that were signed out, at any collector of the store.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::store::port::error::StoreError;
use crate::store::rows::sign_outs::SignOut;

/// What collectors of one store tell each other of signing out.
#[async_trait]
pub trait SignOuts: Send + Sync + Debug {
    /// The sessions that were signed out after a change, and the number of the last change. Cheap enough
    /// to ask every second. All of them, if the store's last change is before that one, as when it was
    /// set back to an earlier state.
    async fn sign_outs(&self, after: u64) -> Result<(Vec<SignOut>, u64), StoreError>;

    /// Keeps that a session was signed out. Those that ended before `now_s` by themselves are forgotten.
    async fn keep_sign_out(&self, sign_out: &SignOut, now_s: u64) -> Result<(), StoreError>;
}
