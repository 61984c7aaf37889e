//! `collector silence`: times without messages of alerts.

use std::fmt::Write;

use settings::Foreign;

use super::error::AdminError;
use super::shared::{audited, block_on, utc};
use crate::audit::{AuditEvent, AuditRecord, operator};
use crate::cli::{SilenceAdd, SilenceCommand};
use crate::config::Config;
use crate::store::AlertSilence;
use crate::store_location::{StoreLocation, StoreLocationError};
use crate::time::now_ns;

/// Adds, lists or ends silences. Returns a text about them.
///
/// # Errors
/// [`AdminError`] says why nothing was changed.
pub fn silence(
    config: &Config,
    location: &StoreLocation,
    command: &SilenceCommand,
) -> Result<String, AdminError> {
    match command {
        SilenceCommand::Add(args) => add(config, location, args),
        SilenceCommand::List => list(location),
        SilenceCommand::End(args) => end(config, location, &args.id),
    }
}

fn add(config: &Config, location: &StoreLocation, args: &SilenceAdd) -> Result<String, AdminError> {
    let rules = &config.alerts.rules;
    if let Some(rule) = args.rule.as_ref().filter(|rule| !rules.contains_key(*rule)) {
        let known: Vec<&str> = rules.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(AdminError::NoSuchRule { rule: rule.clone(), known });
    }
    let silence = args.silence(new_id()?, operator(), now_ns()).map_err(AdminError::Silence)?;
    block_on::<_, StoreLocationError>(async {
        // A new store is made like that of a collector, so that a host can be set up in silence.
        if !location.is_used().await? {
            location.migrate(false).await?;
        }
        Ok(location.open_to_silence()?.add_silence(&silence).await?)
    })?;
    let done = format!(
        "silence {}: {}, until {}; running collectors know it within 2 s",
        silence.id,
        matched(&silence),
        time(&silence)[1]
    );
    audited(config, record(AuditEvent::SilenceAdded, &silence), done)
}

fn list(location: &StoreLocation) -> Result<String, AdminError> {
    let silences = block_on::<_, StoreLocationError>(async {
        if !location.is_used().await? {
            return Ok(vec![]);
        }
        Ok(location.open_to_read()?.silences(now_ns()).await?)
    })?;
    if silences.is_empty() {
        return Ok("no silence; `collector silence add` makes one".to_owned());
    }
    let mut table =
        format!("{:13} {:25} {:25} {:16} what, and why", "id", "from (UTC)", "until (UTC)", "by");
    for silence in &silences {
        let AlertSilence { id, by, reason, .. } = silence;
        let ([from, until], what) = (time(silence), matched(silence));
        let (by, reason) = (Foreign(by).to_string(), Foreign(reason));
        // Writing to a String can't fail.
        let _always = write!(table, "\n{id:13} {from:25} {until:25} {by:16} {what}: {reason}");
    }
    Ok(table)
}

fn end(config: &Config, location: &StoreLocation, id: &str) -> Result<String, AdminError> {
    let none = || AdminError::NoSuchSilence(id.to_owned());
    let ended = block_on::<_, StoreLocationError>(async {
        if !location.is_used().await? {
            return Ok(None);
        }
        Ok(location.open_to_silence()?.end_silence(id, now_ns()).await?)
    })?;
    let silence = ended.ok_or_else(none)?;
    let done = format!("silence {} has ended; what still fires is told within 5 s", silence.id);
    audited(config, record(AuditEvent::SilenceEnded, &silence), done)
}

fn record(event: AuditEvent, silence: &AlertSilence) -> AuditRecord {
    let AlertSilence { id, reason, .. } = silence;
    AuditRecord {
        until: Some(time(silence)[1].clone()),
        detail: Some(format!("{id}: {}: {reason}", matched(silence))),
        ..AuditRecord::new(event)
    }
}

/// What a silence is about.
fn matched(silence: &AlertSilence) -> String {
    let AlertSilence { rule, client, nic, tag, .. } = silence;
    let parts = [("rule", rule), ("client", client), ("nic", nic), ("tag", tag)];
    let set = parts.iter().filter(|(_, value)| !value.is_empty());
    let set: Vec<String> = set.map(|(name, value)| format!("{name} {}", Foreign(value))).collect();
    if set.is_empty() { "all alerts".to_owned() } else { set.join(", ") }
}

fn time(silence: &AlertSilence) -> [String; 2] {
    [silence.from_ns, silence.until_ns].map(|ns| utc(ns / 1_000_000_000))
}

/// A new id: 12 hexadecimal digits, short enough to type.
fn new_id() -> Result<String, AdminError> {
    let mut random = [0; 6];
    getrandom::fill(&mut random).map_err(|error| AdminError::System(error.into()))?;
    Ok(random.iter().fold(String::new(), |mut id, byte| {
        // Writing to a String can't fail.
        let _always = write!(id, "{byte:02x}");
        id
    }))
}
