//! The tags of clients.

use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use wire::WallNs;
use wire::id::ClientId;
use wire::tag::{Tag, TagKey, TagSet};

use super::connect::BEGIN;
use super::error::Failure;
use super::group::GroupWrite;
use super::session::{time, time_ns, unknown_client};
use super::transaction::begin_with;
use super::values::instant;
use crate::store::port::error::StoreError;
use crate::store::rows::tags::{
    ClientTags, HEARD_EVERY_NS, TagHistory, TagInterval, TagSource, TaggedClient, TagsRefused,
};

/// What an agent says, which it has had since `since_ns`.
#[derive(Debug)]
pub(super) struct SaidTags {
    pub client: ClientId,
    pub tags: TagSet,
    pub since_ns: WallNs,
    pub now_ns: WallNs,
}

impl GroupWrite for SaidTags {
    type Key = ClientId;
    type Done = ();

    fn key(&self) -> &ClientId {
        &self.client
    }

    async fn alone(&self, db: &Client) -> Result<(), Failure> {
        let Self { client, tags, since_ns, now_ns } = self;
        if agents(db, client).await? == *tags {
            return heard_again(db, client, *now_ns).await;
        }
        let said = |history: &TagHistory| history.on_agent(tags, *since_ns, *now_ns);
        change(db, client, said).await.map(drop)
    }

    /// Those who say what they said before, as with most connections.
    async fn together(db: &Client, said: &[Arc<Self>]) -> Result<Vec<Option<()>>, Failure> {
        let known = known(db, said).await?;
        let heard = |said: &Self| known.get(said.client.as_str()).filter(|it| it.1 == said.tags);
        let is_recent = |said: &Self, heard_ns: Option<WallNs>| {
            heard_ns.is_some_and(|heard_ns| heard_ns >= hour_before(said.now_ns))
        };
        let again = said.iter().filter(|it| heard(it).is_some_and(|known| !is_recent(it, known.0)));
        let noted = all_heard_again(db, again).await?;
        let same = |it: &Arc<Self>| {
            let (heard_ns, _) = heard(it)?;
            (is_recent(it, *heard_ns) || noted.contains(it.client.as_str())).then_some(())
        };
        Ok(said.iter().map(same).collect())
    }
}

/// When each client's agent was heard last, and what it said.
async fn known(
    db: &Client,
    said: &[Arc<SaidTags>],
) -> Result<HashMap<String, (Option<WallNs>, TagSet)>, Failure> {
    let clients: Vec<&str> = said.iter().map(|it| it.client.as_str()).collect();
    let select = "SELECT client_id, tags_heard_at, key, value
                  FROM clients LEFT JOIN client_tags ON client = clients.id AND source = $2
                  WHERE client_id = ANY ($1) AND forgotten_at IS NULL";
    let source = TagSource::Agent.name();
    let of = [(&clients as _, Type::TEXT_ARRAY), (&source as _, Type::TEXT)];
    let mut known: HashMap<String, (Option<WallNs>, TagSet)> = HashMap::new();
    for row in db.query_typed(select, &of).await? {
        let (_, tags) = match known.entry(row.try_get(0)?) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let heard = row.try_get::<_, Option<_>>(1)?;
                new.insert((heard.map(time_ns), TagSet::default()))
            }
        };
        // A client without tags has none of these columns.
        if row.try_get::<_, Option<&str>>(2)?.is_some() {
            tags.set(tag(&row, 2)?);
        }
    }
    Ok(known)
}

/// Like [`heard_again`], for several clients. Returns those of which it is noted: not those whose rows
/// others are changing.
async fn all_heard_again<'a>(
    db: &Client,
    again: impl Iterator<Item = &'a Arc<SaidTags>>,
) -> Result<HashSet<String>, Failure> {
    let (clients, times): (Vec<&str>, Vec<SystemTime>) =
        again.map(|it| (it.client.as_str(), time(it.now_ns))).unzip();
    if clients.is_empty() {
        return Ok(HashSet::new());
    }
    let update = "UPDATE clients SET tags_heard_at = said.at FROM (
                      SELECT id, at FROM clients JOIN unnest($1, $2) AS said (client_id, at)
                          USING (client_id)
                      WHERE forgotten_at IS NULL
                      FOR NO KEY UPDATE OF clients SKIP LOCKED) AS said
                  WHERE clients.id = said.id RETURNING client_id";
    let values = [(&clients as _, Type::TEXT_ARRAY), (&times as _, Type::TIMESTAMPTZ_ARRAY)];
    let rows = db.query_typed(update, &values).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Notes when the agent said the same again: no later change of its tags counts from before. At most one
/// write an hour.
async fn heard_again(db: &Client, client: &ClientId, now_ns: WallNs) -> Result<(), Failure> {
    let update =
        "UPDATE clients SET tags_heard_at = $2 WHERE client_id = $1 AND forgotten_at IS NULL
                      AND (tags_heard_at IS NULL OR tags_heard_at < $3)";
    let (now, hour_ago) = (time(now_ns), time(hour_before(now_ns)));
    let values: [(&(dyn ToSql + Sync), Type); 3] =
        [(&client.as_str(), Type::TEXT), (&now, Type::TIMESTAMPTZ), (&hour_ago, Type::TIMESTAMPTZ)];
    db.execute_typed(update, &values).await?;
    Ok(())
}

const fn hour_before(now_ns: WallNs) -> WallNs {
    now_ns.saturating_sub(HEARD_EVERY_NS)
}

pub(super) async fn tagged(client: &Client) -> Result<Vec<TaggedClient>, Failure> {
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
pub(super) async fn change(
    client: &Client,
    id: &ClientId,
    said: impl Fn(&TagHistory) -> Result<TagHistory, TagsRefused>,
) -> Result<ClientTags, Failure> {
    // One change at a time, whichever collector makes it.
    let lock = "SELECT id FROM clients WHERE client_id = $1 AND forgotten_at IS NULL FOR UPDATE";
    let of = [(&id.as_str() as _, Type::TEXT)];
    let found = begin_with(client, BEGIN, client.query_typed_opt(lock, &of)).await?;
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

pub(super) async fn intervals(client: &Client, number: i32) -> Result<Vec<TagInterval>, Failure> {
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
