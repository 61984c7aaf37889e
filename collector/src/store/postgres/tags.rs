//! The tags of clients.

use async_trait::async_trait;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use wire::WallNs;
use wire::id::ClientId;
use wire::tag::{Tag, TagKey, TagSet};

use super::connect::BEGIN;
use super::error::Failure;
use super::session::{time, time_ns, unknown_client};
use super::store::PostgresStore;
use super::values::instant;
use crate::store::port::error::StoreError;
use crate::store::port::tags::{Tagged, Tagging};
use crate::store::rows::tags::{
    ClientTags, HEARD_EVERY_NS, TagChange, TagHistory, TagInterval, TagSource, TaggedClient,
    TagsRefused,
};

#[async_trait]
impl Tagged for PostgresStore {
    async fn tagged(&self) -> Result<Vec<TaggedClient>, StoreError> {
        self.lease(async |db| tagged(db).await).await
    }

    async fn tag_intervals(&self, client: &ClientId) -> Result<Vec<TagInterval>, StoreError> {
        self.lease(async |db| {
            let id = "SELECT coalesce((SELECT id FROM clients WHERE client_id = $1), -1)";
            let id = db.query_typed_one(id, &[(&client.as_str(), Type::TEXT)]).await?;
            intervals(db, id.try_get(0)?).await
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
        let said = |history: &TagHistory| history.on_agent(tags, since_ns, now_ns);
        self.lease(async |db| {
            if agents(db, client).await? == *tags {
                return heard_again(db, client, now_ns).await;
            }
            change(db, client, said).await.map(drop)
        })
        .await
    }

    async fn tag(
        &self,
        client: &ClientId,
        changes: &[TagChange],
        now_ns: WallNs,
    ) -> Result<ClientTags, StoreError> {
        let said = |history: &TagHistory| history.on_collector(changes, now_ns);
        self.lease(async |db| change(db, client, said).await).await
    }
}

/// Notes when the agent said the same again: no later change of its tags counts from before. At most one
/// write an hour.
async fn heard_again(db: &Client, client: &ClientId, now_ns: WallNs) -> Result<(), Failure> {
    let update =
        "UPDATE clients SET tags_heard_at = $2 WHERE client_id = $1 AND forgotten_at IS NULL
                      AND (tags_heard_at IS NULL OR tags_heard_at < $3)";
    let (now, hour_ago) = (time(now_ns), time(now_ns.saturating_sub(HEARD_EVERY_NS)));
    let values: [(&(dyn ToSql + Sync), Type); 3] =
        [(&client.as_str(), Type::TEXT), (&now, Type::TIMESTAMPTZ), (&hour_ago, Type::TIMESTAMPTZ)];
    db.execute_typed(update, &values).await?;
    Ok(())
}

async fn tagged(client: &Client) -> Result<Vec<TaggedClient>, Failure> {
    let select = "SELECT client_id, source, key, value
                  FROM client_tags JOIN clients ON clients.id = client
                  WHERE forgotten_at IS NULL ORDER BY client_id";
    let mut clients: Vec<TaggedClient> = Vec::new();
    for row in client.query_typed(select, &[]).await? {
        let (client, source, tag): (String, _, _) =
            (row.try_get(0)?, source(&row, 1)?, tag(&row, 2)?);
        if clients.last().is_none_or(|last| last.client != client) {
            clients.push(TaggedClient { client, tags: ClientTags::default() });
        }
        if let Some(last) = clients.last_mut() {
            last.tags.set(source, tag);
        }
    }
    Ok(clients)
}

/// The tags of a client's agent.
async fn agents(client: &Client, id: &ClientId) -> Result<TagSet, Failure> {
    let select = "SELECT key, value FROM client_tags JOIN clients ON clients.id = client
                  WHERE client_id = $1 AND source = $2 AND forgotten_at IS NULL";
    let source = TagSource::Agent.name();
    let of = [(&id.as_str() as _, Type::TEXT), (&source as _, Type::TEXT)];
    let mut tags = TagSet::default();
    for row in client.query_typed(select, &of).await? {
        tags.set(tag(&row, 0)?);
    }
    Ok(tags)
}

/// Changes the tags of a client that has opened a session; returns what is said now.
async fn change(
    client: &Client,
    id: &ClientId,
    said: impl Fn(&TagHistory) -> Result<TagHistory, TagsRefused>,
) -> Result<ClientTags, Failure> {
    client.batch_execute(BEGIN).await?;
    // One change at a time, whichever collector makes it.
    let lock = "SELECT id FROM clients WHERE client_id = $1 AND forgotten_at IS NULL FOR UPDATE";
    let found = client.query_typed_opt(lock, &[(&id.as_str(), Type::TEXT)]).await?;
    let number: i32 = found.ok_or_else(|| unknown_client(id))?.try_get(0)?;
    let before = history(client, number).await?;
    let after = said(&before).map_err(StoreError::from)?;
    keep(client, number, &before, &after).await?;
    client.batch_execute("COMMIT").await?;
    Ok(after.now)
}

/// A forgotten client has no tags any more, and keeps those of its past. In the caller's transaction.
pub(super) async fn forget(client: &Client, number: i32, now_ns: WallNs) -> Result<(), Failure> {
    let before = history(client, number).await?;
    keep(client, number, &before, &before.on_forgotten(now_ns)).await
}

/// Stores the tags of a client from another store, unless it has some here. In the caller's transaction.
pub(super) async fn import(
    client: &Client,
    number: i32,
    history_there: &TagHistory,
) -> Result<(), Failure> {
    let here = history(client, number).await?;
    if here.intervals.is_empty() {
        keep(client, number, &here, history_there).await?;
    }
    Ok(())
}

/// Deletes intervals that ended before a time; returns their number.
pub(super) async fn delete(client: &Client, before_ns: WallNs) -> Result<u64, Failure> {
    let delete = "DELETE FROM tag_intervals WHERE valid_to < $1";
    Ok(client.execute_typed(delete, &[(&time(before_ns), Type::TIMESTAMPTZ)]).await?)
}

async fn history(client: &Client, number: i32) -> Result<TagHistory, Failure> {
    let mut now = ClientTags::default();
    let id = [(&number as _, Type::INT4)];
    let said = "SELECT source, key, value FROM client_tags WHERE client = $1";
    for row in client.query_typed(said, &id).await? {
        now.set(source(&row, 0)?, tag(&row, 1)?);
    }
    let heard = "SELECT tags_heard_at FROM clients WHERE id = $1";
    let heard = client.query_typed_one(heard, &id).await?.try_get::<_, Option<_>>(0)?;
    let intervals = intervals(client, number).await?;
    Ok(TagHistory { now, intervals, heard_ns: heard.map(time_ns) })
}

async fn intervals(client: &Client, number: i32) -> Result<Vec<TagInterval>, Failure> {
    let select = "SELECT key, value, source, valid_from, valid_to FROM tag_intervals
                  WHERE client = $1 ORDER BY key, valid_from";
    let rows = client.query_typed(select, &[(&number, Type::INT4)]).await?;
    rows.iter().map(interval).collect()
}

/// A row of key, value, source and times.
pub(super) fn interval(row: &Row) -> Result<TagInterval, Failure> {
    Ok(TagInterval {
        key: TagKey::new(row.try_get(0)?).map_err(Failure::failed)?,
        value: row.try_get(1)?,
        source: source(row, 2)?,
        from_ns: instant(row, 3)?,
        to_ns: row.try_get::<_, Option<_>>(4)?.map(time_ns),
    })
}

fn source(row: &Row, at: usize) -> Result<TagSource, Failure> {
    let name: &str = row.try_get(at)?;
    TagSource::of(name).ok_or_else(|| Failure::failed(format!("{name:?} says no tags")))
}

/// A key and the value after it.
fn tag(row: &Row, at: usize) -> Result<Tag, Failure> {
    Tag::new(row.try_get(at)?, row.try_get(at + 1)?).map_err(Failure::failed)
}

/// Stores what has changed.
async fn keep(
    client: &Client,
    number: i32,
    before: &TagHistory,
    after: &TagHistory,
) -> Result<(), Failure> {
    let id = (&number as _, Type::INT4);
    if before.now != after.now {
        let delete = "DELETE FROM client_tags WHERE client = $1";
        client.execute_typed(delete, std::slice::from_ref(&id)).await?;
        let (mut sources, mut keys, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for (source, key, value) in after.now.iter() {
            sources.push(source.name());
            keys.push(key.as_str());
            values.push(value);
        }
        let insert = "INSERT INTO client_tags SELECT $1, source, key, value
                      FROM unnest($2, $3, $4) AS new (source, key, value)";
        let texts = [&sources, &keys, &values];
        let [sources, keys, values] = texts.map(|it| (it as _, Type::TEXT_ARRAY));
        client.execute_typed(insert, &[id.clone(), sources, keys, values]).await?;
    }
    let (gone, new) = after.differences(before);
    for gone in gone {
        let delete = "DELETE FROM tag_intervals WHERE client = $1 AND key = $2 AND valid_from = $3";
        let (key, from) = (gone.key.as_str(), time(gone.from_ns));
        let key = [id.clone(), (&key as _, Type::TEXT), (&from as _, Type::TIMESTAMPTZ)];
        client.execute_typed(delete, &key).await?;
    }
    for new in new {
        let insert = "INSERT INTO tag_intervals VALUES ($1, $2, $3, $4, $5, $6)";
        let (key, source) = (new.key.as_str(), new.source.name());
        let (from, to) = (time(new.from_ns), new.to_ns.map(time));
        let row = [
            id.clone(),
            (&key as _, Type::TEXT),
            (&from as _, Type::TIMESTAMPTZ),
            (&to as _, Type::TIMESTAMPTZ),
            (&new.value as _, Type::TEXT),
            (&source as _, Type::TEXT),
        ];
        client.execute_typed(insert, &row).await?;
    }
    let heard = after.heard_ns.map(time);
    let update = "UPDATE clients SET tags_heard_at = $2 WHERE id = $1";
    client.execute_typed(update, &[id, (&heard, Type::TIMESTAMPTZ)]).await?;
    Ok(())
}
