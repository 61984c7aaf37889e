//! `collector tag`: the tags of a client.

use std::fmt::Write;

use settings::Foreign;
use wire::id::ClientId;
use wire::tag::TagKey;

use super::error::AdminError;
use super::shared::{audited, block_on, utc};
use crate::audit::{AuditEvent, AuditRecord};
use crate::cli::TagArgs;
use crate::config::Config;
use crate::store::{ClientTags, TagInterval, TagSource};
use crate::store_location::{StoreLocation, StoreLocationError};
use crate::time::now_ns;

/// Changes the collector's tags of a client, or lists all of its tags if nothing is to be changed.
/// Returns a text about them.
///
/// # Errors
/// [`AdminError`] if the store doesn't know the client, or the tags break a rule.
pub fn tag(
    config: &Config,
    location: &StoreLocation,
    TagArgs { client, changes }: &TagArgs,
) -> Result<String, AdminError> {
    let known = block_on::<_, StoreLocationError>(async {
        if !location.is_used().await? {
            return Ok(None);
        }
        let store = location.open_to_read()?;
        let registered = store.registered().await?;
        let known =
            registered.iter().any(|it| it.client == client.as_str() && it.forgotten_ns.is_none());
        if !known {
            return Ok(None);
        }
        let tagged = store.tagged().await?.into_iter().find(|it| it.client == client.as_str());
        let tags = tagged.map_or_else(ClientTags::default, |it| it.tags);
        Ok(Some((tags, store.tag_intervals(client).await?)))
    })?;
    let Some((before, intervals)) = known else {
        return Err(AdminError::NoSuchClient(client.clone()));
    };
    if changes.is_empty() {
        return Ok(listed(client, &before, &intervals));
    }
    let after = block_on::<_, StoreLocationError>(async {
        Ok(location.open_to_tag()?.tag(client, changes, now_ns()).await?)
    })?;
    let done = format!(
        "{client}: {}; running collectors show it within 10 s. It counts from the last 5-minute mark on; \
         what was measured before keeps its tags",
        said(&after)
    );
    let record = AuditRecord {
        key: Some("tags".to_owned()),
        old: Some(before.collector.to_string()),
        new: Some(after.collector.to_string()),
        ..AuditRecord::of(AuditEvent::ClientTagged, client)
    };
    audited(config, record, done)
}

/// The tags that count, and who says those of the agent.
fn said(tags: &ClientTags) -> String {
    let counting = tags.counting();
    let agents = |key: &TagKey| match tags.source(key) {
        Some(TagSource::Agent) => " (agent)",
        _ => "",
    };
    let said: Vec<String> = counting
        .iter()
        .map(|(key, value)| format!("{key}={}{}", Foreign(value), agents(key)))
        .collect();
    if said.is_empty() { "no tags".to_owned() } else { said.join(" ") }
}

fn listed(client: &ClientId, tags: &ClientTags, intervals: &[TagInterval]) -> String {
    let mut table = format!("{client}: {}", said(tags));
    if !intervals.is_empty() {
        // Writing to a String can't fail.
        let _ = write!(table, "\n{:40} {:10} {:25} to (UTC)", "tag", "said by", "from (UTC)");
    }
    for TagInterval { key, value, source, from_ns, to_ns } in intervals {
        let tag = format!("{key}={}", Foreign(value));
        let [from, to] = [Some(*from_ns), *to_ns]
            .map(|time| time.map_or_else(|| "-".to_owned(), |ns| utc(ns / 1_000_000_000)));
        // Writing to a String can't fail.
        let _ = write!(table, "\n{tag:40} {:10} {from:25} {to}", source.name());
    }
    table
}
