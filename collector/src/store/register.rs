//! The register of clients: all that ever connected, until an operator forgets them.

use std::fmt::Debug;

use async_trait::async_trait;
use wire::id::ClientId;

use super::StoreError;
use crate::identity::Revocation;

/// A client as the register has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Its id.
    pub client: String,
    /// What its operator calls it.
    pub alias: String,
    /// When a collector of this store last heard of it, by that one's clock; of one that goes on
    /// delivering it moves every 10 s at least. Nanoseconds since 1970 (UTC).
    pub last_seen_ns: u64,
    /// When it was forgotten, nanoseconds since 1970 (UTC); `None` of all others.
    pub forgotten_ns: Option<u64>,
}

/// A client's last revocation, as a store keeps it for all of its collectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRevocation {
    /// Its id.
    pub client: String,
    /// What was revoked.
    pub revocation: Revocation,
    /// Number of the change by which the store got it: later ones have higher numbers.
    pub change: u64,
}

/// Reading the register.
#[async_trait]
pub trait Register: Send + Sync + Debug {
    /// Every client, also those that were forgotten. Cheap enough to ask every few seconds.
    async fn registered(&self) -> Result<Vec<Registered>, StoreError>;

    /// The revocations that came after a change, in the order of their changes. Cheap enough to ask
    /// several times a second.
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
