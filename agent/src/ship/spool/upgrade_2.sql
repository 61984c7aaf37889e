-- Version 2 told time by the wall clock. What was committed is kept once more for as long as ever;
-- records have times far beyond any of the spool's clock, and so no age: their size bounds them.
BEGIN IMMEDIATE;
ALTER TABLE sessions ADD COLUMN nth INTEGER NOT NULL DEFAULT 0;
UPDATE sessions SET nth = (SELECT count(*) FROM sessions AS earlier
    WHERE (earlier.started_ns, earlier.session) <= (sessions.started_ns, sessions.session));
CREATE TABLE clock (
    only     INTEGER PRIMARY KEY CHECK (only = 1),
    boot_ns  INTEGER NOT NULL,
    spool_ns INTEGER NOT NULL
);
CREATE TEMP TABLE latest AS SELECT session, max(seq) AS seq FROM commits GROUP BY session;
DELETE FROM commits;
INSERT INTO commits SELECT session, 0, seq FROM latest;
DROP TABLE latest;
PRAGMA user_version = 3;
COMMIT;
