-- What all NICs of a client carried on a day (UTC; days since 1970), packed from bandwidth_5m once the day
-- has ended, so that sums over months read little. NULL: to be packed. Without a row, or while it is NULL,
-- bandwidth_5m is read. Nothing is kept here alone.
CREATE TABLE client_days (
    client  INTEGER NOT NULL REFERENCES clients (id),
    day     INTEGER NOT NULL,
    -- How often rows were added to the day after its end.
    version INTEGER NOT NULL DEFAULT 0,
    -- Packets, peaks and drops of the day; of each of its intervals time and bytes; and packets, peaks and
    -- drops.
    totals  BLOB,
    rates   BLOB,
    figures BLOB,
    PRIMARY KEY (client, day)
) STRICT, WITHOUT ROWID;

CREATE INDEX client_days_open ON client_days (day, client) WHERE rates IS NULL;

-- Who adds rows that start earlier notes their days in client_days.
ALTER TABLE retention ADD COLUMN packed_to INTEGER NOT NULL DEFAULT 0;

-- Accounts and groups ask who had a tag.
CREATE INDEX tag_intervals_value ON tag_intervals (key, value, valid_from);
