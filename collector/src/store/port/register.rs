//! The register of clients: all that ever connected, until an operator forgets them.

use std::fmt::Debug;

use async_trait::async_trait;
use wire::id::ClientId;

use crate::identity::Revocation;
use crate::store::port::error::StoreError;
use crate::store::rows::clients::{Registered, StoredRevocation};

/// Reading the register.
#[async_trait]
pub trait Register: Send + Sync + Debug {
    /// Every client, also those that were forgotten. Cheap enough to ask every few seconds.
    async fn registered(&self) -> Result<Vec<Registered>, StoreError>;

    /// The revocations that came after a change, in the order of their changes. Cheap enough to ask
    /// several times a second. All of them, if the store's last change is before that one, as when it was
    /// set back to an earlier state.
    async fn revocations(&self, after: u64) -> Result<Vec<StoredRevocation>, StoreError>;
}

/// Taking clients out of the register, and letting them in again.
#[async_trait]
pub trait Forget: Send + Sync + Debug {
    /// Forgets a client, known or not: it is listed no more, and none of its sessions can be
    /// opened before [`Self::readmit`]. Its rows stay.
    async fn forget(&self, client: &ClientId, now_ns: u64) -> Result<(), StoreError>;

    /// Keeps a revocation for all collectors of this store, unless it has one of a generation as high.
    async fn keep_revocation(
        &self,
        client: &ClientId,
        revocation: &Revocation,
    ) -> Result<(), StoreError>;

    /// Lets a client in again that was forgotten.
    async fn readmit(&self, client: &ClientId) -> Result<(), StoreError>;

    /// Deletes all rows of a client, in steps short enough for commits to go in between; gives
    /// their number. Its name and those of its NICs stay: collectors may know their numbers.
    async fn purge(&self, client: &ClientId) -> Result<u64, StoreError>;
}
