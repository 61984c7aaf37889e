-- Incidents: times during which a rule's condition held for a subject. Parts of the subject that don't apply
-- are empty.
CREATE TABLE alerts (
    id          TEXT PRIMARY KEY,
    rule        TEXT NOT NULL,
    measure     TEXT NOT NULL,
    severity    TEXT NOT NULL,
    client      TEXT NOT NULL,
    nic         TEXT NOT NULL,
    direction   TEXT NOT NULL,
    name        TEXT NOT NULL,
    since       INTEGER NOT NULL,
    fired_at    INTEGER NOT NULL,
    resolved_at INTEGER,
    value       REAL NOT NULL,
    bound       REAL NOT NULL,
    worst       REAL NOT NULL,
    worst_at    INTEGER NOT NULL,
    detail      TEXT NOT NULL,
    muted       TEXT,
    announced   INTEGER NOT NULL,
    ended       TEXT
) STRICT, WITHOUT ROWID;
-- Of one rule and subject at most one incident is open.
CREATE UNIQUE INDEX alerts_open ON alerts (rule, client, nic, direction, name) WHERE resolved_at IS NULL;
CREATE INDEX alerts_fired ON alerts (fired_at);

-- The outbox: messages about incidents, one per target and event. They stay as long as the incident.
CREATE TABLE alert_messages (
    incident      TEXT NOT NULL,
    event         TEXT NOT NULL,
    target        TEXT NOT NULL,
    body          TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    -- Not sent before these times.
    held_until    INTEGER NOT NULL,
    retry_at      INTEGER NOT NULL,
    attempts      INTEGER NOT NULL,
    -- The run of a collector that sends it now, and until when it is its turn.
    claimed_by    INTEGER NOT NULL,
    claimed_until INTEGER NOT NULL,
    -- waiting, sent or failed.
    state         TEXT NOT NULL,
    ended_at      INTEGER,
    error         TEXT,
    PRIMARY KEY (incident, event, target)
) STRICT, WITHOUT ROWID;
CREATE INDEX alert_messages_waiting ON alert_messages (target, created_at) WHERE state = 'waiting';

-- Times without messages, set by operators.
CREATE TABLE alert_silences (
    id         TEXT PRIMARY KEY,
    rule       TEXT NOT NULL,
    client     TEXT NOT NULL,
    tag        TEXT NOT NULL,
    from_at    INTEGER NOT NULL,
    until_at   INTEGER NOT NULL,
    set_by     TEXT NOT NULL,
    reason     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
