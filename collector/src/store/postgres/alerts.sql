-- Incidents: times during which a rule's condition held for a subject. Parts of the subject that don't apply
-- are empty.
CREATE TABLE alerts (
    id          text PRIMARY KEY,
    rule        text NOT NULL,
    measure     text NOT NULL,
    severity    text NOT NULL,
    client      text NOT NULL,
    nic         text NOT NULL,
    direction   text NOT NULL,
    name        text NOT NULL,
    since       timestamptz NOT NULL,
    fired_at    timestamptz NOT NULL,
    resolved_at timestamptz,
    value       double precision NOT NULL,
    bound       double precision NOT NULL,
    worst       double precision NOT NULL,
    worst_at    timestamptz NOT NULL,
    detail      text NOT NULL,
    muted       text,
    announced   boolean NOT NULL,
    ended       text
);
-- Of one rule and subject at most one incident is open.
CREATE UNIQUE INDEX alerts_open ON alerts (rule, client, nic, direction, name) WHERE resolved_at IS NULL;
CREATE INDEX alerts_fired ON alerts (fired_at);

-- The outbox: messages about incidents, one per target and event. They stay as long as the incident.
CREATE TABLE alert_messages (
    incident      text NOT NULL,
    event         text NOT NULL,
    target        text NOT NULL,
    body          text NOT NULL,
    created_at    timestamptz NOT NULL,
    -- Not sent before these times.
    held_until    timestamptz NOT NULL,
    retry_at      timestamptz NOT NULL,
    attempts      bigint NOT NULL,
    -- The run of a collector that sends it now, and until when it is its turn.
    claimed_by    bigint NOT NULL,
    claimed_until timestamptz NOT NULL,
    -- waiting, sent or failed.
    state         text NOT NULL,
    ended_at      timestamptz,
    error         text,
    PRIMARY KEY (incident, event, target)
);
CREATE INDEX alert_messages_waiting ON alert_messages (target, created_at) WHERE state = 'waiting';

-- Times without messages, set by operators.
CREATE TABLE alert_silences (
    id         text PRIMARY KEY,
    rule       text NOT NULL,
    client     text NOT NULL,
    tag        text NOT NULL,
    from_at    timestamptz NOT NULL,
    until_at   timestamptz NOT NULL,
    set_by     text NOT NULL,
    reason     text NOT NULL
);
