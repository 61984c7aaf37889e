//! The tags of clients.

use std::fmt::Debug;

use async_trait::async_trait;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use wire::WallNs;
use wire::id::ClientId;
use wire::tag::{Tag, TagError, TagKey, TagSet};

use super::error::Failure;
use super::inventory::unknown_client;
use super::lease::{Reads, Writes};
use crate::store::port::error::StoreError;
use crate::store::port::tags::{Tagged, Tagging};
use crate::store::rows::tags::{
    ClientTags, HEARD_EVERY_NS, TagChange, TagHistory, TagInterval, TagSource, TaggedClient,
    TagsRefused,
};

#[async_trait]
impl<T: Reads + Send + Sync + Debug> Tagged for T {
    async fn tagged(&self) -> Result<Vec<TaggedClient>, StoreError> {
        self.readers().lease(|db| tagged(db)).await
    }

    async fn tag_intervals(&self, client: &ClientId) -> Result<Vec<TagInterval>, StoreError> {
        let client = client.clone();
        self.readers().lease(move |db| intervals_of(db, &client)).await
    }
}

#[async_trait]
impl<T: Writes + Send + Sync + Debug> Tagging for T {
    async fn record_tags(
        &self,
        client: &ClientId,
        tags: &TagSet,
        since_ns: WallNs,
        now_ns: WallNs,
    ) -> Result<(), StoreError> {
        let (client, tags) = (client.clone(), tags.clone());
        self.writer()
            .together(move |db| {
                if agents(db, &client)? == tags {
                    return heard_again(db, &client, now_ns);
                }
                let said = |history: &TagHistory| history.on_agent(&tags, since_ns, now_ns);
                change(db, &client, said).map(drop)
            })
            .await
    }

    async fn tag(
        &self,
        client: &ClientId,
        changes: &[TagChange],
        now_ns: WallNs,
    ) -> Result<ClientTags, StoreError> {
        let (client, changes) = (client.clone(), changes.to_vec());
        let said = move |history: &TagHistory| history.on_collector(&changes, now_ns);
        self.writer().together(move |db| change(db, &client, said)).await
    }
}

/// Notes when the agent said the same again: no later change of its tags counts from before. At most one
/// write an hour.
fn heard_again(db: &Connection, client: &ClientId, now_ns: WallNs) -> Result<(), Failure> {
    let update =
        "UPDATE clients SET tags_heard_at = ?2 WHERE client_id = ?1 AND forgotten_at IS NULL
                      AND (tags_heard_at IS NULL OR tags_heard_at < ?3)";
    let hour_ago = now_ns.saturating_sub(HEARD_EVERY_NS);
    db.execute(update, params![client.as_str(), now_ns.to_column(), hour_ago.to_column()])?;
    Ok(())
}

fn tagged(db: &Connection) -> Result<Vec<TaggedClient>, Failure> {
    let mut select = db.prepare_cached(
        "SELECT client_id, source, key, value FROM client_tags JOIN clients ON clients.id = client
         WHERE forgotten_at IS NULL ORDER BY client_id",
    )?;
    let mut rows = select.query([])?;
    let mut clients: Vec<TaggedClient> = Vec::new();
    while let Some(row) = rows.next()? {
        let (client, source, tag): (String, _, _) = (row.get(0)?, source(row, 1)?, tag(row, 2)?);
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
fn agents(db: &Connection, client: &ClientId) -> rusqlite::Result<TagSet> {
    let mut select = db.prepare_cached(
        "SELECT key, value FROM client_tags JOIN clients ON clients.id = client
         WHERE client_id = ?1 AND source = ?2 AND forgotten_at IS NULL",
    )?;
    let rows = [client.as_str(), TagSource::Agent.name()];
    let mut tags = TagSet::default();
    for found in select.query_map(rows, |row| tag(row, 0))? {
        tags.set(found?);
    }
    Ok(tags)
}

fn intervals_of(db: &Connection, client: &ClientId) -> Result<Vec<TagInterval>, Failure> {
    let id = "SELECT id FROM clients WHERE client_id = ?1";
    let id: Option<i64> = db.query_row(id, [client.as_str()], |row| row.get(0)).optional()?;
    Ok(id.map_or(Ok(Vec::new()), |id| intervals(db, id))?)
}

/// Changes the tags of a client that has opened a session; returns what is said now.
fn change(
    db: &Connection,
    client: &ClientId,
    said: impl Fn(&TagHistory) -> Result<TagHistory, TagsRefused>,
) -> Result<ClientTags, Failure> {
    let id = "SELECT id FROM clients WHERE client_id = ?1 AND forgotten_at IS NULL";
    let id = db.query_row(id, [client.as_str()], |row| row.get(0)).optional()?;
    let id: i64 = id.ok_or_else(|| unknown_client(client))?;
    let before = history(db, id)?;
    let after = said(&before).map_err(StoreError::from)?;
    keep(db, id, &before, &after)?;
    Ok(after.now)
}

/// A forgotten client has no tags any more, and keeps those of its past.
pub(super) fn forget(
    transaction: &Transaction<'_>,
    id: i64,
    now_ns: WallNs,
) -> Result<(), Failure> {
    let before = history(transaction, id)?;
    keep(transaction, id, &before, &before.on_forgotten(now_ns))
}

/// Deletes some intervals that ended before a time; returns their number.
pub(super) fn delete_some(
    transaction: &Transaction<'_>,
    before: i64,
    rows: i64,
) -> Result<usize, Failure> {
    let delete = "DELETE FROM tag_intervals WHERE (client, key, valid_from) IN (
                      SELECT client, key, valid_from FROM tag_intervals WHERE valid_to < ?1 LIMIT ?2)";
    Ok(transaction.prepare_cached(delete)?.execute([before, rows])?)
}

pub(super) fn history(db: &Connection, id: i64) -> rusqlite::Result<TagHistory> {
    let mut now = ClientTags::default();
    let mut select =
        db.prepare_cached("SELECT source, key, value FROM client_tags WHERE client = ?1")?;
    let mut rows = select.query([id])?;
    while let Some(row) = rows.next()? {
        now.set(source(row, 0)?, tag(row, 1)?);
    }
    let heard = "SELECT tags_heard_at FROM clients WHERE id = ?1";
    let heard: Option<i64> = db.query_row(heard, [id], |row| row.get(0))?;
    Ok(TagHistory { now, intervals: intervals(db, id)?, heard_ns: heard.map(WallNs::of_column) })
}

fn intervals(db: &Connection, id: i64) -> rusqlite::Result<Vec<TagInterval>> {
    let mut select = db.prepare_cached(
        "SELECT key, value, source, valid_from, valid_to FROM tag_intervals WHERE client = ?1
         ORDER BY key, valid_from",
    )?;
    select.query_map([id], interval)?.collect()
}

/// A row of key, value, source and times.
pub(super) fn interval(row: &Row<'_>) -> rusqlite::Result<TagInterval> {
    let key: String = row.get(0)?;
    Ok(TagInterval {
        key: TagKey::new(&key).map_err(|error| unreadable(0, error))?,
        value: row.get(1)?,
        source: source(row, 2)?,
        from_ns: WallNs::of_column(row.get(3)?),
        to_ns: row.get::<_, Option<i64>>(4)?.map(WallNs::of_column),
    })
}

fn source(row: &Row<'_>, at: usize) -> rusqlite::Result<TagSource> {
    TagSource::of(&row.get::<_, String>(at)?).ok_or(rusqlite::Error::InvalidQuery)
}

/// A key and the value after it.
fn tag(row: &Row<'_>, at: usize) -> rusqlite::Result<Tag> {
    let (key, value): (String, String) = (row.get(at)?, row.get(at + 1)?);
    Tag::new(&key, &value).map_err(|error| unreadable(at, error))
}

fn unreadable(at: usize, error: TagError) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(at, Type::Text, error.into())
}

/// Stores what has changed.
fn keep(db: &Connection, id: i64, before: &TagHistory, after: &TagHistory) -> Result<(), Failure> {
    if before.now != after.now {
        db.execute("DELETE FROM client_tags WHERE client = ?1", [id])?;
        let mut insert = db.prepare_cached("INSERT INTO client_tags VALUES (?1, ?2, ?3, ?4)")?;
        for (source, key, value) in after.now.iter() {
            insert.execute(params![id, source.name(), key.as_str(), value])?;
        }
    }
    let (gone, new) = after.differences(before);
    for gone in gone {
        db.prepare_cached(
            "DELETE FROM tag_intervals WHERE client = ?1 AND key = ?2 AND valid_from = ?3",
        )?
        .execute(params![id, gone.key.as_str(), gone.from_ns.to_column()])?;
    }
    for new in new {
        let TagInterval { key, value, source, from_ns, to_ns } = new;
        let to = to_ns.map(WallNs::to_column);
        db.prepare_cached("INSERT INTO tag_intervals VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![id, key.as_str(), from_ns.to_column(), to, value, source.name()])?;
    }
    db.execute(
        "UPDATE clients SET tags_heard_at = ?2 WHERE id = ?1",
        params![id, after.heard_ns.map(WallNs::to_column)],
    )?;
    Ok(())
}
