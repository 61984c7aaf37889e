//! The register of clients: all that ever connected, until an operator forgets them.

use std::fmt::Debug;

use async_trait::async_trait;
use wire::WallNs;
use wire::id::ClientId;

use crate::identity::Revocation;
use crate::store::port::error::StoreError;
use crate::store::rows::clients::{Registered, StoredRevocation};

/// Reads the register.
#[async_trait]
pub trait Register: Send + Sync + Debug {
    /// Every client, including forgotten ones. Cheap enough for a call every few seconds.
    async fn registered(&self) -> Result<Vec<Registered>, StoreError>;

    /// The revocations after a change, ordered by change. Cheap enough for several calls per second.
    /// Returns all of them if the store's last change is before that one, as after a reset to an
    /// earlier state.
    async fn revocations(&self, after: u64) -> Result<Vec<StoredRevocation>, StoreError>;
}

/// Forgets clients and re-admits them.
#[async_trait]
pub trait Forget: Send + Sync + Debug {
    /// Forgets a client, known or not: it is no longer listed, and none of its sessions can be opened
    /// before [`Self::readmit`]. Its rows stay.
    async fn forget(&self, client: &ClientId, now_ns: WallNs) -> Result<(), StoreError>;

    /// Stores a revocation for all collectors of this store, unless it already has one with at least
    /// this generation.
    async fn keep_revocation(
        &self,
        client: &ClientId,
        revocation: &Revocation,
    ) -> Result<(), StoreError>;

    /// Re-admits a forgotten client.
    async fn readmit(&self, client: &ClientId) -> Result<(), StoreError>;

    /// Deletes all rows of a client, in steps short enough for commits in between. Returns the number
    /// of rows. The client's name and its NICs' names stay, because collectors may have cached their
    /// numbers.
    async fn purge(&self, client: &ClientId) -> Result<u64, StoreError>;
}
