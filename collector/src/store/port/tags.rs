//! The tags of clients.

use std::fmt::Debug;

use async_trait::async_trait;
use wire::WallNs;
use wire::id::ClientId;
use wire::tag::TagSet;

use crate::store::port::error::StoreError;
use crate::store::rows::tags::{ClientTags, TagChange, TagInterval, TaggedClient};

/// Reads tags.
#[async_trait]
pub trait Tagged: Send + Sync + Debug {
    /// What agents and collectors say of each client that has tags. Cheap enough for a call every few
    /// seconds.
    async fn tagged(&self) -> Result<Vec<TaggedClient>, StoreError>;

    /// Which tag of a client counted when, by key and time. Empty for an unknown client.
    async fn tag_intervals(&self, client: &ClientId) -> Result<Vec<TagInterval>, StoreError>;
}

/// Changes tags: [`StoreError::Tags`] if they break a rule, [`StoreError::Refused`] if the client has
/// opened no session.
#[async_trait]
pub trait Tagging: Send + Sync + Debug {
    /// An agent says its tags, which it has had since `since_ns`. Writes nothing if the store has them
    /// already, as with most connections.
    async fn record_tags(
        &self,
        client: &ClientId,
        tags: &TagSet,
        since_ns: WallNs,
        now_ns: WallNs,
    ) -> Result<(), StoreError>;

    /// An operator changes the collector's tags. Returns what is said now.
    async fn tag(
        &self,
        client: &ClientId,
        changes: &[TagChange],
        now_ns: WallNs,
    ) -> Result<ClientTags, StoreError>;
}
