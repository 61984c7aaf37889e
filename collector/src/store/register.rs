//! The register of clients: all that ever connected, until an operator forgets them.

use std::fmt::Debug;

use async_trait::async_trait;
use wire::id::ClientId;

use super::StoreError;

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

/// Reading the register.
#[async_trait]
pub trait Register: Send + Sync + Debug {
    /// Every client, also those that were forgotten. Cheap enough to ask every few seconds.
    async fn registered(&self) -> Result<Vec<Registered>, StoreError>;
}

/// Taking clients out of the register, and letting them in again.
#[async_trait]
pub trait Forget: Send + Sync + Debug {
    /// Forgets a client, known or not: it is listed no more, and none of its sessions can be
    /// opened before [`Self::readmit`]. Its rows stay.
    async fn forget(&self, client: &ClientId, now_ns: u64) -> Result<(), StoreError>;

    /// Lets a client in again that was forgotten.
    async fn readmit(&self, client: &ClientId) -> Result<(), StoreError>;

    /// Deletes all rows of a client, in steps short enough for commits to go in between; gives
    /// their number. Its name and those of its NICs stay: collectors may know their numbers.
    async fn purge(&self, client: &ClientId) -> Result<u64, StoreError>;
}
