-- What agents (client.tags) and operators (collector tag) say of clients now. The collector's tag goes
-- before the agent's with the same key.
CREATE TABLE client_tags (
    client integer NOT NULL REFERENCES clients (id),
    source text NOT NULL CHECK (source IN ('agent', 'collector')),
    key    text NOT NULL,
    value  text NOT NULL,
    PRIMARY KEY (client, source, key)
);

-- Which tag of a client counts when: what starts from valid_from on and before valid_to. NULL: still.
-- Both are multiples of 5 minutes, so that rows of every table count whole; intervals of one key don't
-- overlap. For sums by group:
--   SELECT t.value, sum(r.rx_bytes) FROM bandwidth_5m r
--   JOIN tag_intervals t ON t.client = r.client AND t.key = 'site' AND r.time >= t.valid_from
--       AND (t.valid_to IS NULL OR r.time < t.valid_to) GROUP BY t.value
CREATE TABLE tag_intervals (
    client     integer NOT NULL REFERENCES clients (id),
    key        text NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to   timestamptz,
    value      text NOT NULL,
    source     text NOT NULL CHECK (source IN ('agent', 'collector')),
    PRIMARY KEY (client, key, valid_from)
);

-- When the agent last said its tags.
ALTER TABLE clients ADD COLUMN tags_heard_at timestamptz;
