-- Which host has a client's place, for all collectors of the database.
CREATE TABLE claims (
    client_id text PRIMARY KEY,
    -- The run of a collector that the host is connected to, and the number of its place there.
    collector bigint NOT NULL,
    place     bigint NOT NULL,
    -- Who the host says that it is.
    machine   bytea NOT NULL,
    boot      bytea NOT NULL,
    session   bigint NOT NULL,
    address   text NOT NULL,
    -- Numbers of the last question whether the host still answers, and of the last that it did.
    question  bigint NOT NULL DEFAULT 0,
    answered  bigint NOT NULL DEFAULT 0,
    -- Since when questions are not answered, if the last one isn't.
    asked_since timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX claims_collector ON claims (collector);

-- Second hosts that were refused under a client's certificate: the last of each client.
CREATE TABLE second_hosts (
    client_id text PRIMARY KEY,
    since     timestamptz NOT NULL,
    -- When it was last told: every 10 minutes while it tries.
    told_at   timestamptz NOT NULL,
    -- Addresses of the host that goes on and of the one that was refused.
    kept      text NOT NULL,
    refused   text NOT NULL,
    -- What the second is to the first.
    what      text NOT NULL
);
