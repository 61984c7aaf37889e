//! Incidents of alerts and the outbox of messages. Collectors of one database agree by the rows' locks;
//! leases of messages are measured by the server's clock.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use wire::WallNs;

use super::alert_reader::incident;
use super::connect::BEGIN;
use super::error::Failure;
use super::session::{text, time};
use super::store::PostgresStore;
use super::values::small;
use crate::store::port::alerts::Alerts;
use crate::store::port::error::StoreError;
use crate::store::rows::alerts::{
    AlertChange, AlertEnd, AlertEvent, AlertIncident, AlertRef, AlertSubject, ClaimedMessage,
    INCIDENT_COLUMNS, MessageLease, MessageOutcome, QueuedMessage, SettledMessage,
    UnconfirmedAlert,
};

/// A value and its type in the database.
type Given<'a> = (&'a (dyn ToSql + Sync), Type);

/// An open incident by rule and subject, if it fired by `$6`.
const OPEN: &str = "rule = $1 AND client = $2 AND nic = $3 AND direction = $4 AND name = $5 \
                    AND fired_at <= $6 AND resolved_at IS NULL";

#[async_trait]
impl Alerts for PostgresStore {
    async fn change_alerts(
        &self,
        changes: &[AlertChange],
        now_ns: WallNs,
    ) -> Result<(), StoreError> {
        self.lease(async |db| change(db, changes, now_ns).await).await
    }

    async fn open_alerts(&self) -> Result<Vec<AlertIncident>, StoreError> {
        self.lease(async |db| {
            let select = format!("SELECT {INCIDENT_COLUMNS} FROM alerts WHERE resolved_at IS NULL");
            db.query_typed(&select, &[]).await?.iter().map(incident).collect()
        })
        .await
    }

    async fn confirm_alerts(
        &self,
        collector: &str,
        ids: &[String],
        _now_ns: WallNs,
    ) -> Result<Vec<UnconfirmedAlert>, StoreError> {
        self.lease(async |db| confirm(db, collector, ids).await).await
    }

    async fn targets_to_serve(
        &self,
        _collector: u64,
        _now_ns: WallNs,
    ) -> Result<Vec<String>, StoreError> {
        self.lease(async |db| {
            let select = format!("SELECT DISTINCT target FROM alert_messages m WHERE {DUE}");
            let rows = db.query_typed(&select, &[]).await?;
            rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
        })
        .await
    }

    async fn claim_messages(
        &self,
        target: &str,
        lease: MessageLease,
        most: usize,
        _now_ns: WallNs,
    ) -> Result<Vec<ClaimedMessage>, StoreError> {
        self.lease(async |db| claim(db, target, lease, most).await).await
    }

    async fn settle_messages(
        &self,
        target: &str,
        settled: &[SettledMessage],
        _now_ns: WallNs,
    ) -> Result<(), StoreError> {
        self.lease(async |db| settle(db, target, settled).await).await
    }
}

async fn change(db: &Client, changes: &[AlertChange], now_ns: WallNs) -> Result<(), Failure> {
    db.batch_execute(BEGIN).await?;
    for change in changes {
        match change {
            AlertChange::Open(incident, messages) => {
                if insert(db, incident).await? {
                    queue(db, &incident.id, AlertEvent::Firing, messages, now_ns).await?;
                }
                note_sent(db, (&incident.id, AlertEvent::Firing), messages, now_ns).await?;
            }
            AlertChange::Announce(which, messages) => {
                if let Some(id) = announce(db, which).await? {
                    queue(db, &id, AlertEvent::Firing, messages, now_ns).await?;
                }
                note_sent(db, (&which.id, AlertEvent::Firing), messages, now_ns).await?;
            }
            AlertChange::Resolve(end, message) => {
                if let Some(id) = resolve(db, end).await? {
                    let messages = message.to(told(db, &id).await?);
                    queue(db, &id, AlertEvent::Resolved, &messages, now_ns).await?;
                }
                let key = (end.which.id.as_str(), AlertEvent::Resolved);
                note_sent(db, key, &message.to(vec![]), now_ns).await?;
            }
        }
    }
    db.batch_execute("COMMIT").await?;
    Ok(())
}

/// True unless an incident of the rule and subject is open.
async fn insert(db: &Client, it: &AlertIncident) -> Result<bool, Failure> {
    let insert = format!(
        "INSERT INTO alerts ({INCIDENT_COLUMNS}, confirmed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
             NULL, $11, $12, $13, $14, $15, $16, $17, NULL, now()) ON CONFLICT DO NOTHING"
    );
    let AlertSubject { client, nic, direction, name } = &it.subject;
    let [since, fired, worst] = [it.since_ns, it.fired_ns, it.worst_ns].map(time);
    let (detail, muted) = (text(&it.detail), it.muted.as_deref().map(text));
    let values: [Given<'_>; 17] = [
        (&it.id, Type::TEXT),
        (&it.rule, Type::TEXT),
        (&it.measure, Type::TEXT),
        (&it.severity, Type::TEXT),
        (client, Type::TEXT),
        (nic, Type::TEXT),
        (direction, Type::TEXT),
        (name, Type::TEXT),
        (&since, Type::TIMESTAMPTZ),
        (&fired, Type::TIMESTAMPTZ),
        (&it.value, Type::FLOAT8),
        (&it.bound, Type::FLOAT8),
        (&it.worst, Type::FLOAT8),
        (&worst, Type::TIMESTAMPTZ),
        (&detail, Type::TEXT),
        (&muted, Type::TEXT),
        (&it.announced, Type::BOOL),
    ];
    Ok(db.execute_typed(&insert, &values).await? == 1)
}

/// The id of the incident, unless it was announced already.
async fn announce(db: &Client, which: &AlertRef) -> Result<Option<String>, Failure> {
    let update =
        format!("UPDATE alerts SET announced = true WHERE {OPEN} AND NOT announced RETURNING id");
    let fired = time(which.fired_ns);
    let rows = db.query_typed(&update, &key(which, &fired)).await?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
}

/// The id of the incident, if it was announced.
async fn resolve(db: &Client, end: &AlertEnd) -> Result<Option<String>, Failure> {
    let update = format!(
        "UPDATE alerts SET resolved_at = $7, worst = $8, worst_at = $9, ended = $10 WHERE {OPEN}
         RETURNING id, announced"
    );
    let [fired, at, worst] = [end.which.fired_ns, end.at_ns, end.worst_ns].map(time);
    let mut values = key(&end.which, &fired).to_vec();
    values.extend::<[Given<'_>; 4]>([
        (&at, Type::TIMESTAMPTZ),
        (&end.worst, Type::FLOAT8),
        (&worst, Type::TIMESTAMPTZ),
        (&end.ended, Type::TEXT),
    ]);
    let rows = db.query_typed(&update, &values).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(if row.try_get(1)? { Some(row.try_get(0)?) } else { None })
}

/// The targets that were told that an incident fires, or will be.
async fn told(db: &Client, incident: &str) -> Result<Vec<String>, Failure> {
    let select = "SELECT target FROM alert_messages
                  WHERE incident = $1 AND event = 'firing' AND state <> 'failed' ORDER BY target";
    let rows = db.query_typed(select, &[(&incident, Type::TEXT)]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

fn key<'a>(which: &'a AlertRef, fired: &'a SystemTime) -> [Given<'a>; 6] {
    let AlertSubject { client, nic, direction, name } = &which.subject;
    [
        (&which.rule, Type::TEXT),
        (client, Type::TEXT),
        (nic, Type::TEXT),
        (direction, Type::TEXT),
        (name, Type::TEXT),
        (fired, Type::TIMESTAMPTZ),
    ]
}

async fn queue(
    db: &Client,
    incident: &str,
    event: AlertEvent,
    messages: &[QueuedMessage],
    now_ns: WallNs,
) -> Result<(), Failure> {
    let insert = "
        INSERT INTO alert_messages (incident, event, target, body, created_at, held_until, retry_at,
            attempts, claimed_by, claimed_until, state, ended_at)
        VALUES ($1, $2, $3, $4, $5, $6, 'epoch', $7, 0, 'epoch', $8, $9) ON CONFLICT DO NOTHING";
    let now = time(now_ns);
    for QueuedMessage { target, held_until_ns, sent, body } in messages {
        let (state, ended) = if *sent { ("sent", Some(now)) } else { ("waiting", None) };
        let (event, body, held) = (event.name(), text(body), time(*held_until_ns));
        let attempts = i64::from(*sent);
        let values: [Given<'_>; 9] = [
            (&incident, Type::TEXT),
            (&event, Type::TEXT),
            (target, Type::TEXT),
            (&body, Type::TEXT),
            (&now, Type::TIMESTAMPTZ),
            (&held, Type::TIMESTAMPTZ),
            (&attempts, Type::INT8),
            (&state, Type::TEXT),
            (&ended, Type::TIMESTAMPTZ),
        ];
        db.execute_typed(insert, &values).await?;
    }
    Ok(())
}

/// Messages that were sent without the store are not sent again, unless that happens now.
async fn note_sent(
    db: &Client,
    (incident, event): (&str, AlertEvent),
    messages: &[QueuedMessage],
    now_ns: WallNs,
) -> Result<(), Failure> {
    let update = "UPDATE alert_messages SET state = 'sent', ended_at = $4
                  WHERE incident = $1 AND event = $2 AND target = $3 AND state = 'waiting'";
    for QueuedMessage { target, .. } in messages.iter().filter(|it| it.sent) {
        let (event, now) = (event.name(), time(now_ns));
        let values: [Given<'_>; 4] = [
            (&incident, Type::TEXT),
            (&event, Type::TEXT),
            (target, Type::TEXT),
            (&now, Type::TIMESTAMPTZ),
        ];
        db.execute_typed(update, &values).await?;
    }
    Ok(())
}

/// By the server's clock, which all collectors share.
async fn confirm(
    db: &Client,
    collector: &str,
    ids: &[String],
) -> Result<Vec<UnconfirmedAlert>, Failure> {
    let values: [Given<'_>; 2] = [(&collector, Type::TEXT), (&ids, Type::TEXT_ARRAY)];
    // Two collectors confirm in the same order, so that neither waits for the other.
    let update = "UPDATE alerts SET confirmed_at = now(), confirmed_by = $1 WHERE id IN (
                      SELECT id FROM alerts WHERE id = ANY($2) AND resolved_at IS NULL ORDER BY id FOR UPDATE)";
    db.execute_typed(update, &values).await?;
    let select = "SELECT id, greatest(0, extract(epoch FROM now() - confirmed_at))::float8,
                      confirmed_by IN ('', $1)
                  FROM alerts WHERE resolved_at IS NULL AND id <> ALL($2) ORDER BY id";
    let read = |row: &Row| {
        let since = Duration::try_from_secs_f64(row.try_get(1)?).unwrap_or(Duration::MAX);
        Ok(UnconfirmedAlert { id: row.try_get(0)?, since, own: row.try_get(2)? })
    };
    db.query_typed(select, &values).await?.iter().map(read).collect()
}

/// A message `m` to claim now.
const DUE: &str = "state = 'waiting' AND held_until <= now() AND retry_at <= now()
    AND claimed_until <= now()
    AND NOT (event = 'resolved' AND EXISTS (SELECT 1 FROM alert_messages f
        WHERE f.incident = m.incident AND f.target = m.target AND f.event = 'firing'
            AND f.state = 'waiting'))";

async fn claim(
    db: &Client,
    target: &str,
    lease: MessageLease,
    most: usize,
) -> Result<Vec<ClaimedMessage>, Failure> {
    // A row that another collector has just claimed is looked at again with its lease.
    let update = format!(
        "UPDATE alert_messages SET claimed_by = $2, claimed_until = now() + make_interval(secs => $3),
             attempts = attempts + 1
         WHERE (incident, event, target) IN (
             SELECT incident, event, target FROM alert_messages m WHERE target = $1 AND {DUE}
             ORDER BY created_at, incident LIMIT $4 FOR UPDATE SKIP LOCKED)
         RETURNING incident, event, attempts, body"
    );
    let (run, lasts) = (lease.collector.cast_signed(), lease.lasts.as_secs_f64());
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let values: [Given<'_>; 4] =
        [(&target, Type::TEXT), (&run, Type::INT8), (&lasts, Type::FLOAT8), (&most, Type::INT8)];
    let claimed = |row: &Row| {
        Ok(ClaimedMessage {
            incident: row.try_get(0)?,
            event: AlertEvent::of_name(row.try_get(1)?),
            attempts: small(row, 2)?,
            body: row.try_get(3)?,
        })
    };
    db.query_typed(&update, &values).await?.iter().map(claimed).collect()
}

async fn settle(db: &Client, target: &str, settled: &[SettledMessage]) -> Result<(), Failure> {
    let outcome = |it: &SettledMessage| match &it.outcome {
        MessageOutcome::Sent => ("sent", 0.0, None),
        MessageOutcome::Failed(why) => ("failed", 0.0, Some(text(why))),
        MessageOutcome::Retry(after, why) => ("waiting", after.as_secs_f64(), Some(text(why))),
    };
    let incidents: Vec<&str> = settled.iter().map(|it| it.incident.as_str()).collect();
    let events: Vec<&str> = settled.iter().map(|it| it.event.name()).collect();
    let states: Vec<&str> = settled.iter().map(|it| outcome(it).0).collect();
    let retries: Vec<f64> = settled.iter().map(|it| outcome(it).1).collect();
    let whys: Vec<Option<String>> = settled.iter().map(|it| outcome(it).2).collect();
    let update = "
        UPDATE alert_messages m SET state = s.state, error = s.why,
            retry_at = now() + make_interval(secs => s.retry),
            ended_at = CASE WHEN s.state = 'waiting' THEN NULL ELSE now() END,
            claimed_by = 0, claimed_until = 'epoch'
        FROM unnest($2, $3, $4, $5, $6) AS s (incident, event, state, retry, why)
        WHERE m.incident = s.incident AND m.event = s.event AND m.target = $1 AND m.state = 'waiting'";
    let values: [Given<'_>; 6] = [
        (&target, Type::TEXT),
        (&incidents, Type::TEXT_ARRAY),
        (&events, Type::TEXT_ARRAY),
        (&states, Type::TEXT_ARRAY),
        (&retries, Type::FLOAT8_ARRAY),
        (&whys, Type::TEXT_ARRAY),
    ];
    db.execute_typed(update, &values).await?;
    Ok(())
}

/// Deletes incidents that ended before `before_ns`, with their messages, and old silences; returns the
/// number of both.
pub(super) async fn delete(db: &Client, before_ns: WallNs) -> Result<u64, Failure> {
    let before = time(before_ns);
    let key: [Given<'_>; 1] = [(&before, Type::TIMESTAMPTZ)];
    let messages = "DELETE FROM alert_messages WHERE incident IN
                        (SELECT id FROM alerts WHERE resolved_at < $1)";
    db.execute_typed(messages, &key).await?;
    let deleted = db.execute_typed("DELETE FROM alerts WHERE resolved_at < $1", &key).await?;
    let silences = "DELETE FROM alert_silences WHERE until_at < $1";
    Ok(deleted + db.execute_typed(silences, &key).await?)
}
