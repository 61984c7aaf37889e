-- What agents (client.tags) and operators (collector tag) say of clients now. The collector's tag goes
-- before the agent's with the same key.
CREATE TABLE client_tags (
    client INTEGER NOT NULL REFERENCES clients (id),
    source TEXT NOT NULL CHECK (source IN ('agent', 'collector')),
    key    TEXT NOT NULL,
    value  TEXT NOT NULL,
    PRIMARY KEY (client, source, key)
) STRICT, WITHOUT ROWID;

-- Which tag of a client counts when: what starts from valid_from on and before valid_to. NULL: still.
-- Both are multiples of 5 minutes, so that rows of every table count whole; intervals of one key don't
-- overlap. For sums by group:
--   SELECT t.value, sum(r.rx_bytes) FROM bandwidth_5m r
--   JOIN tag_intervals t ON t.client = r.client AND t.key = 'site' AND r.time >= t.valid_from
--       AND (t.valid_to IS NULL OR r.time < t.valid_to) GROUP BY t.value
CREATE TABLE tag_intervals (
    client     INTEGER NOT NULL REFERENCES clients (id),
    key        TEXT NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to   INTEGER,
    value      TEXT NOT NULL,
    source     TEXT NOT NULL CHECK (source IN ('agent', 'collector')),
    PRIMARY KEY (client, key, valid_from)
) STRICT, WITHOUT ROWID;

-- When the agent last said its tags.
ALTER TABLE clients ADD COLUMN tags_heard_at INTEGER;
