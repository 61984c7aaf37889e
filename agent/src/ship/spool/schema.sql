-- The agent's spool: what was measured and is not known to be safe in the collector's database.
-- Sequence numbers are below 2^63; session ids are 64 random bits, stored as signed.
BEGIN IMMEDIATE;

CREATE TABLE sessions (
    session       INTEGER PRIMARY KEY,
    started_ns    INTEGER NOT NULL,
    last_seq      INTEGER NOT NULL,
    committed_seq INTEGER NOT NULL,
    -- A connection was given all up to here: the database may have it, in records of these bounds.
    sent_seq      INTEGER NOT NULL,
    -- Committed records up to here were deleted.
    forgotten_seq INTEGER NOT NULL,
    -- 1 once the run has ended with all of it written, 2 if it was broken off.
    ended         INTEGER NOT NULL,
    -- Sessions in the order in which they began.
    nth           INTEGER NOT NULL,
    -- The boot of the kernel in which the session runs or ran, 0 if unknown.
    boot          INTEGER NOT NULL
);

CREATE TABLE records (
    session   INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq  INTEGER NOT NULL,
    level     INTEGER NOT NULL,
    -- By the spool's clock.
    made_ns   INTEGER NOT NULL,
    frame     BLOB NOT NULL,
    -- CRC-32 of the session, the numbers and the frame.
    crc       INTEGER NOT NULL,
    PRIMARY KEY (session, first_seq)
) WITHOUT ROWID;

-- When, by the spool's clock, a session was known to be committed how far: committed records are
-- kept a while longer.
CREATE TABLE commits (
    session INTEGER NOT NULL,
    at_ns   INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    PRIMARY KEY (session, at_ns)
) WITHOUT ROWID;

-- The spool's clock beside the boot-time clock, as they were not long ago.
CREATE TABLE clock (
    only     INTEGER PRIMARY KEY CHECK (only = 1),
    boot_ns  INTEGER NOT NULL,
    spool_ns INTEGER NOT NULL
);

PRAGMA user_version = 4;
COMMIT;
