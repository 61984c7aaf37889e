//! The tags of clients, as traits of the store.

use async_trait::async_trait;
use tokio_postgres::types::Type;
use wire::WallNs;
use wire::id::ClientId;
use wire::tag::TagSet;

use super::store::PostgresStore;
use super::tags::{self, SaidTags};
use crate::store::port::error::StoreError;
use crate::store::port::tags::{Tagged, Tagging};
use crate::store::rows::tags::{ClientTags, TagChange, TagHistory, TagInterval, TaggedClient};

#[async_trait]
impl Tagged for PostgresStore {
    async fn tagged(&self) -> Result<Vec<TaggedClient>, StoreError> {
        self.lease(async |db| tags::tagged(db).await).await
    }

    async fn tag_intervals(&self, client: &ClientId) -> Result<Vec<TagInterval>, StoreError> {
        self.lease(async |db| {
            let id = "SELECT coalesce((SELECT id FROM clients WHERE client_id = $1), -1)";
            let id = db.query_typed_one(id, &[(&client.as_str(), Type::TEXT)]).await?;
            tags::intervals(db, id.try_get(0)?).await
        })
        .await
    }
}

#[async_trait]
impl Tagging for PostgresStore {
    async fn record_tags(
        &self,
        client: &ClientId,
        tags: &TagSet,
        since_ns: WallNs,
        now_ns: WallNs,
    ) -> Result<(), StoreError> {
        let said = SaidTags { client: client.clone(), tags: tags.clone(), since_ns, now_ns };
        self.together(&self.groups.tags, said).await
    }

    async fn tag(
        &self,
        client: &ClientId,
        changes: &[TagChange],
        now_ns: WallNs,
    ) -> Result<ClientTags, StoreError> {
        let said = |history: &TagHistory| history.on_collector(changes, now_ns);
        self.lease(async |db| tags::change(db, client, said).await).await
    }
}
