//! Incidents of alerts and the outbox of messages. A single collector uses the file, so claims of an
//! earlier run count for nothing.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use wire::WallNs;

use super::alert_reader::incident;
use super::error::Failure;
use super::lease::{Reads, Writes};
use super::store::SqliteStore;
use crate::store::port::alerts::Alerts;
use crate::store::port::error::StoreError;
use crate::store::rows::alerts::{
    AlertChange, AlertEnd, AlertEvent, AlertIncident, AlertRef, AlertSubject, ClaimedMessage,
    HELD_MAX_NS, INCIDENT_COLUMNS, MessageLease, MessageOutcome, QueuedMessage, RETRY_MAX_NS,
    SettledMessage, UnconfirmedAlert,
};

/// Most rows deleted per step.
const STEP_ROWS: i64 = 1000;

/// An open incident by rule and subject, if it fired by `?6`.
const OPEN: &str = "rule = ?1 AND client = ?2 AND nic = ?3 AND direction = ?4 AND name = ?5 \
                    AND fired_at <= ?6 AND resolved_at IS NULL";

#[async_trait]
impl Alerts for SqliteStore {
    async fn change_alerts(
        &self,
        changes: &[AlertChange],
        now_ns: WallNs,
    ) -> Result<(), StoreError> {
        let changes = changes.to_vec();
        self.writer().lease(move |db| change(db, &changes, now_ns)).await
    }

    async fn open_alerts(&self) -> Result<Vec<AlertIncident>, StoreError> {
        self.readers().lease(|db| open(db)).await
    }

    async fn confirm_alerts(
        &self,
        collector: &str,
        ids: &[String],
        now_ns: WallNs,
    ) -> Result<Vec<UnconfirmedAlert>, StoreError> {
        let (collector, ids) = (collector.to_owned(), ids.to_vec());
        self.writer().lease(move |db| confirm(db, &collector, &ids, now_ns)).await
    }

    async fn targets_to_serve(
        &self,
        collector: u64,
        now_ns: WallNs,
    ) -> Result<Vec<String>, StoreError> {
        self.readers().lease(move |db| to_serve(db, collector, now_ns)).await
    }

    async fn claim_messages(
        &self,
        target: &str,
        lease: MessageLease,
        most: usize,
        now_ns: WallNs,
    ) -> Result<Vec<ClaimedMessage>, StoreError> {
        let target = target.to_owned();
        self.writer().lease(move |db| claim(db, &target, lease, most, now_ns)).await
    }

    async fn settle_messages(
        &self,
        target: &str,
        settled: &[SettledMessage],
        now_ns: WallNs,
    ) -> Result<(), StoreError> {
        let (target, settled) = (target.to_owned(), settled.to_vec());
        self.writer().lease(move |db| settle(db, &target, &settled, now_ns)).await
    }
}

fn change(db: &mut Connection, changes: &[AlertChange], now_ns: WallNs) -> Result<(), Failure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for change in changes {
        match change {
            AlertChange::Open(incident, messages) => {
                if insert(&transaction, incident, now_ns)? {
                    queue(&transaction, &incident.id, AlertEvent::Firing, messages, now_ns)?;
                }
                note_sent(&transaction, (&incident.id, AlertEvent::Firing), messages, now_ns)?;
            }
            AlertChange::Announce(which, messages) => {
                if let Some(id) = announce(&transaction, which)? {
                    queue(&transaction, &id, AlertEvent::Firing, messages, now_ns)?;
                }
                note_sent(&transaction, (&which.id, AlertEvent::Firing), messages, now_ns)?;
            }
            AlertChange::Resolve(end, message) => {
                if let Some(id) = resolve(&transaction, end)? {
                    let messages = message.to(told(&transaction, &id)?);
                    queue(&transaction, &id, AlertEvent::Resolved, &messages, now_ns)?;
                }
                let key = (end.which.id.as_str(), AlertEvent::Resolved);
                note_sent(&transaction, key, &message.to(vec![]), now_ns)?;
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

/// True unless an incident of the rule and subject is open.
fn insert(
    transaction: &Transaction<'_>,
    it: &AlertIncident,
    now_ns: WallNs,
) -> Result<bool, Failure> {
    let AlertSubject { client, nic, direction, name } = &it.subject;
    let insert = format!(
        "INSERT INTO alerts ({INCIDENT_COLUMNS}, confirmed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,
             NULL, ?11, ?12, ?13, ?14, ?15, ?16, ?17, NULL, ?18) ON CONFLICT DO NOTHING"
    );
    let times = [it.since_ns, it.fired_ns, it.worst_ns].map(WallNs::to_column);
    let inserted = transaction.prepare_cached(&insert)?.execute(params![
        it.id,
        it.rule,
        it.measure,
        it.severity,
        client,
        nic,
        direction,
        name,
        times[0],
        times[1],
        it.value,
        it.bound,
        it.worst,
        times[2],
        it.detail,
        it.muted,
        it.announced,
        now_ns.to_column(),
    ])?;
    Ok(inserted == 1)
}

/// The id of the incident, unless it was announced already.
fn announce(
    transaction: &Transaction<'_>,
    AlertRef { rule, subject, fired_ns, .. }: &AlertRef,
) -> Result<Option<String>, Failure> {
    let AlertSubject { client, nic, direction, name } = subject;
    let update =
        format!("UPDATE alerts SET announced = 1 WHERE {OPEN} AND NOT announced RETURNING id");
    let key = params![rule, client, nic, direction, name, fired_ns.to_column()];
    let id = transaction.prepare_cached(&update)?.query_row(key, |row| row.get(0));
    Ok(id.optional()?)
}

/// The id of the incident, if it was announced.
fn resolve(transaction: &Transaction<'_>, end: &AlertEnd) -> Result<Option<String>, Failure> {
    let AlertRef { rule, subject, fired_ns, .. } = &end.which;
    let AlertSubject { client, nic, direction, name } = subject;
    let update = format!(
        "UPDATE alerts SET resolved_at = ?7, worst = ?8, worst_at = ?9, ended = ?10 WHERE {OPEN}
         RETURNING id, announced"
    );
    let key = params![
        rule,
        client,
        nic,
        direction,
        name,
        fired_ns.to_column(),
        end.at_ns.to_column(),
        end.worst,
        end.worst_ns.to_column(),
        end.ended,
    ];
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let found: Option<(String, bool)> =
        transaction.prepare_cached(&update)?.query_row(key, read).optional()?;
    Ok(found.filter(|(_, announced)| *announced).map(|(id, _)| id))
}

/// The targets that were told that an incident fires, or will be.
fn told(transaction: &Transaction<'_>, incident: &str) -> Result<Vec<String>, Failure> {
    let mut select = transaction.prepare_cached(
        "SELECT target FROM alert_messages
         WHERE incident = ?1 AND event = 'firing' AND state <> 'failed' ORDER BY target",
    )?;
    Ok(select.query_map([incident], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

fn queue(
    transaction: &Transaction<'_>,
    incident: &str,
    event: AlertEvent,
    messages: &[QueuedMessage],
    now_ns: WallNs,
) -> Result<(), Failure> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO alert_messages (incident, event, target, body, created_at, held_until, retry_at,
             attempts, claimed_by, claimed_until, state, ended_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, 0, 0, ?8, ?9) ON CONFLICT DO NOTHING",
    )?;
    let now = now_ns.to_column();
    for QueuedMessage { target, held_until_ns, sent, body } in messages {
        let (state, ended) = if *sent { ("sent", Some(now)) } else { ("waiting", None) };
        let held = held_until_ns.to_column();
        let event = event.name();
        insert.execute(params![incident, event, target, body, now, held, sent, state, ended])?;
    }
    Ok(())
}

/// Messages that were sent without the store are not sent again, unless that happens now.
fn note_sent(
    transaction: &Transaction<'_>,
    (incident, event): (&str, AlertEvent),
    messages: &[QueuedMessage],
    now_ns: WallNs,
) -> Result<(), Failure> {
    for QueuedMessage { target, .. } in messages.iter().filter(|it| it.sent) {
        let update = "UPDATE alert_messages SET state = 'sent', ended_at = ?4
                      WHERE incident = ?1 AND event = ?2 AND target = ?3 AND state = 'waiting'";
        let key = params![incident, event.name(), target, now_ns.to_column()];
        transaction.prepare_cached(update)?.execute(key)?;
    }
    Ok(())
}

fn confirm(
    db: &mut Connection,
    collector: &str,
    ids: &[String],
    now_ns: WallNs,
) -> Result<Vec<UnconfirmedAlert>, Failure> {
    let (ids, now) = (serde_json::to_string(ids).unwrap_or_default(), now_ns.to_column());
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let update = "UPDATE alerts SET confirmed_at = ?2, confirmed_by = ?1
                  WHERE resolved_at IS NULL AND id IN (SELECT value FROM json_each(?3))";
    transaction.prepare_cached(update)?.execute(params![collector, now, ids])?;
    // By a clock that was ahead and has been set back: as of now.
    let ahead =
        "UPDATE alerts SET confirmed_at = ?1 WHERE resolved_at IS NULL AND confirmed_at > ?1";
    transaction.prepare_cached(ahead)?.execute([now])?;
    let select = "SELECT id, ?2 - confirmed_at, confirmed_by IN ('', ?1) FROM alerts
                  WHERE resolved_at IS NULL AND id NOT IN (SELECT value FROM json_each(?3)) ORDER BY id";
    let unconfirmed = {
        let mut select = transaction.prepare_cached(select)?;
        let rows = select.query_map(params![collector, now, ids], |row| {
            let since = Duration::from_nanos(row.get::<_, i64>(1)?.max(0).cast_unsigned());
            Ok(UnconfirmedAlert { id: row.get(0)?, since, own: row.get(2)? })
        })?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    transaction.commit()?;
    Ok(unconfirmed)
}

fn open(db: &Connection) -> Result<Vec<AlertIncident>, Failure> {
    let select = format!("SELECT {INCIDENT_COLUMNS} FROM alerts WHERE resolved_at IS NULL");
    let mut select = db.prepare_cached(&select)?;
    Ok(select.query_map([], incident)?.collect::<rusqlite::Result<_>>()?)
}

/// A message `m` to claim: `?1` now, `?2` and `?3` the longest times of quiet hours and of other waits, `?4` the
/// run. Times further ahead than any wait come from a clock that was ahead and has been set back: they count
/// as past.
const DUE: &str = "state = 'waiting'
    AND (held_until <= ?1 OR held_until > ?1 + ?2) AND (retry_at <= ?1 OR retry_at > ?1 + ?3)
    AND (claimed_by <> ?4 OR claimed_until <= ?1 OR claimed_until > ?1 + ?3)
    AND NOT (event = 'resolved' AND EXISTS (SELECT 1 FROM alert_messages f
        WHERE f.incident = m.incident AND f.target = m.target AND f.event = 'firing'
            AND f.state = 'waiting'))";

/// The values of [`DUE`].
fn at(now_ns: WallNs, run: u64) -> [i64; 4] {
    let (held, retry) = (WallNs(HELD_MAX_NS).to_column(), WallNs(RETRY_MAX_NS).to_column());
    [now_ns.to_column(), held, retry, run.cast_signed()]
}

fn to_serve(db: &Connection, run: u64, now_ns: WallNs) -> Result<Vec<String>, Failure> {
    let select = format!("SELECT DISTINCT target FROM alert_messages m WHERE {DUE}");
    let mut select = db.prepare_cached(&select)?;
    let rows = select.query_map(at(now_ns, run), |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The keys of messages to send now.
fn due(
    db: &Connection,
    target: &str,
    lease: MessageLease,
    most: usize,
    now_ns: WallNs,
) -> Result<Vec<(String, String)>, Failure> {
    let select = format!(
        "SELECT incident, event FROM alert_messages m WHERE target = ?5 AND {DUE}
         ORDER BY created_at, incident LIMIT ?6"
    );
    let mut select = db.prepare_cached(&select)?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let [now, held, retry, run] = at(now_ns, lease.collector);
    let rows = select.query_map(params![now, held, retry, run, target, most], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn claim(
    db: &mut Connection,
    target: &str,
    lease: MessageLease,
    most: usize,
    now_ns: WallNs,
) -> Result<Vec<ClaimedMessage>, Failure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let lasts = u64::try_from(lease.lasts.as_nanos()).unwrap_or(u64::MAX);
    let (run, until) = (lease.collector.cast_signed(), now_ns.saturating_add(lasts).to_column());
    let mut claimed = Vec::new();
    for (incident, event) in due(&transaction, target, lease, most, now_ns)? {
        let mut update = transaction.prepare_cached(
            "UPDATE alert_messages SET claimed_by = ?4, claimed_until = ?5, attempts = attempts + 1
             WHERE incident = ?1 AND event = ?2 AND target = ?3 RETURNING attempts, body",
        )?;
        let key = params![incident, event, target, run, until];
        let (attempts, body) = update.query_row(key, |row| Ok((row.get(0)?, row.get(1)?)))?;
        let event = AlertEvent::of_name(&event);
        claimed.push(ClaimedMessage { incident, event, attempts, body });
    }
    transaction.commit()?;
    Ok(claimed)
}

fn settle(
    db: &mut Connection,
    target: &str,
    settled: &[SettledMessage],
    now_ns: WallNs,
) -> Result<(), Failure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for SettledMessage { incident, event, outcome } in settled {
        let now = now_ns.to_column();
        let (state, ended, retry_ns, error) = match outcome {
            MessageOutcome::Sent => ("sent", Some(now), WallNs(0), None),
            MessageOutcome::Failed(why) => ("failed", Some(now), WallNs(0), Some(why)),
            MessageOutcome::Retry(after, why) => {
                let after = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
                ("waiting", None, now_ns.saturating_add(after), Some(why))
            }
        };
        let update =
            "UPDATE alert_messages SET state = ?4, ended_at = ?5, retry_at = ?6, error = ?7,
                          claimed_by = 0, claimed_until = 0
                      WHERE incident = ?1 AND event = ?2 AND target = ?3 AND state = 'waiting'";
        let (event, retry) = (event.name(), retry_ns.to_column());
        let mut update = transaction.prepare_cached(update)?;
        update.execute(params![incident, event, target, state, ended, retry, error])?;
    }
    transaction.commit()?;
    Ok(())
}

/// Deletes some incidents that ended before `before`, with their messages; returns their number.
pub(super) fn delete_some(transaction: &Transaction<'_>, before: i64) -> Result<usize, Failure> {
    let old = "SELECT id FROM alerts WHERE resolved_at < ?1 ORDER BY id LIMIT ?2";
    let key = [before, STEP_ROWS];
    let delete = format!("DELETE FROM alert_messages WHERE incident IN ({old})");
    transaction.prepare_cached(&delete)?.execute(key)?;
    let delete = format!("DELETE FROM alerts WHERE id IN ({old})");
    let deleted = transaction.prepare_cached(&delete)?.execute(key)?;
    let silences = "DELETE FROM alert_silences WHERE until_at < ?1";
    Ok(deleted + transaction.prepare_cached(silences)?.execute([before])?)
}
