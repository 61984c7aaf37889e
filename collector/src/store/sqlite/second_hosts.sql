-- Second hosts that were refused under a client's certificate: the last of each client.
CREATE TABLE second_hosts (
    client_id TEXT PRIMARY KEY,
    since     INTEGER NOT NULL,
    -- When it was last told: every 10 minutes while it tries.
    told_at   INTEGER NOT NULL,
    -- Addresses of the host that goes on and of the one that was refused.
    kept      TEXT NOT NULL,
    refused   TEXT NOT NULL,
    -- What the second is to the first.
    what      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
