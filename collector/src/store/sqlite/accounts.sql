-- The statement of each account for each cycle: renewed while the cycle runs, and never changed once it
-- is frozen. statement: everything that the API answers, as JSON. evidence: of a frozen cycle, its
-- intervals and gaps as CSV. digest: SHA-256 over what was frozen. Kept for good.
CREATE TABLE account_statements (
    account               TEXT NOT NULL,
    cycle                 TEXT NOT NULL,
    starts_at             INTEGER NOT NULL,
    ends_at               INTEGER NOT NULL,
    as_of                 INTEGER NOT NULL,
    frozen_at             INTEGER,
    rule                  TEXT NOT NULL,
    basis                 TEXT NOT NULL,
    rx_bytes              INTEGER NOT NULL,
    tx_bytes              INTEGER NOT NULL,
    rx_packets            INTEGER NOT NULL,
    tx_packets            INTEGER NOT NULL,
    opening_bytes         INTEGER NOT NULL,
    used_bytes            INTEGER NOT NULL,
    used_max_bytes        INTEGER,
    quota_bytes           INTEGER,
    missing_ns            INTEGER NOT NULL,
    p95_bits_per_second   INTEGER,
    commit_bits_per_second INTEGER,
    statement             TEXT NOT NULL,
    evidence              TEXT NOT NULL,
    digest                TEXT NOT NULL,
    PRIMARY KEY (account, cycle)
) STRICT, WITHOUT ROWID;

-- What operators typed in: opening balances and the provider's figures. Rows are only added; of a kind,
-- the last one of a cycle holds. digest: SHA-256 over the row and the digest of the row before.
CREATE TABLE account_entries (
    nth      INTEGER PRIMARY KEY,
    account  TEXT NOT NULL,
    cycle    TEXT NOT NULL,
    kind     TEXT NOT NULL,
    bytes    INTEGER NOT NULL,
    reason   TEXT NOT NULL,
    operator TEXT NOT NULL,
    at       INTEGER NOT NULL,
    digest   TEXT NOT NULL
) STRICT;

-- The warnings that were given, each once per cycle.
CREATE TABLE account_warnings (
    account TEXT NOT NULL,
    cycle   TEXT NOT NULL,
    warning TEXT NOT NULL,
    at      INTEGER NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (account, cycle, warning)
) STRICT, WITHOUT ROWID;

CREATE VIEW account_cycles AS
SELECT account, cycle, starts_at, ends_at, as_of, frozen_at, rule, basis, rx_bytes, tx_bytes,
       rx_packets, tx_packets, opening_bytes, used_bytes, used_max_bytes, quota_bytes,
       round(used_bytes * 100.0 / quota_bytes, 2) AS used_percent, missing_ns,
       p95_bits_per_second, commit_bits_per_second,
       (SELECT e.bytes FROM account_entries e WHERE e.account = s.account AND e.cycle = s.cycle
            AND e.kind = 'provider' ORDER BY e.nth DESC LIMIT 1) AS provider_bytes,
       digest
FROM account_statements s;
