-- The statement of each account for each cycle: renewed while the cycle runs, and never changed once it
-- is frozen. statement: everything that the API answers, as JSON. evidence: of a frozen cycle, its
-- intervals and gaps as CSV. digest: SHA-256 over what was frozen. Kept for good.
CREATE TABLE account_statements (
    account               text NOT NULL,
    cycle                 text NOT NULL,
    starts_at             timestamptz NOT NULL,
    ends_at               timestamptz NOT NULL,
    as_of                 timestamptz NOT NULL,
    frozen_at             timestamptz,
    rule                  text NOT NULL,
    basis                 text NOT NULL,
    rx_bytes              bigint NOT NULL,
    tx_bytes              bigint NOT NULL,
    rx_packets            bigint NOT NULL,
    tx_packets            bigint NOT NULL,
    opening_bytes         bigint NOT NULL,
    used_bytes            bigint NOT NULL,
    used_max_bytes        bigint,
    quota_bytes           bigint,
    missing_ns            bigint NOT NULL,
    p95_bits_per_second   bigint,
    commit_bits_per_second bigint,
    statement             text NOT NULL,
    evidence              text NOT NULL,
    digest                text NOT NULL,
    PRIMARY KEY (account, cycle)
);

-- What operators typed in: opening balances and the provider's figures. Rows are only added; of a kind,
-- the last one of a cycle holds. digest: SHA-256 over the row and the digest of the row before.
CREATE TABLE account_entries (
    nth      bigint PRIMARY KEY,
    account  text NOT NULL,
    cycle    text NOT NULL,
    kind     text NOT NULL,
    bytes    bigint NOT NULL,
    reason   text NOT NULL,
    operator text NOT NULL,
    at       timestamptz NOT NULL,
    digest   text NOT NULL
);

-- The warnings that were given, each once per cycle.
CREATE TABLE account_warnings (
    account text NOT NULL,
    cycle   text NOT NULL,
    warning text NOT NULL,
    at      timestamptz NOT NULL,
    message text NOT NULL,
    PRIMARY KEY (account, cycle, warning)
);

CREATE VIEW account_cycles AS
SELECT account, cycle, starts_at, ends_at, as_of, frozen_at, rule, basis, rx_bytes, tx_bytes,
       rx_packets, tx_packets, opening_bytes, used_bytes, used_max_bytes, quota_bytes,
       round(used_bytes * 100.0 / quota_bytes, 2)::double precision AS used_percent, missing_ns,
       p95_bits_per_second, commit_bits_per_second,
       (SELECT e.bytes FROM account_entries e WHERE e.account = s.account AND e.cycle = s.cycle
            AND e.kind = 'provider' ORDER BY e.nth DESC LIMIT 1) AS provider_bytes,
       digest
FROM account_statements s;
