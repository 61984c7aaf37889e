-- Version 1 had neither checksums nor anything but `session`, `started_ns`, `last_seq` and
-- `committed_seq` of a session: all of it may have been sent, and no run counts as broken off.
BEGIN IMMEDIATE;
ALTER TABLE sessions ADD COLUMN sent_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN forgotten_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN ended INTEGER NOT NULL DEFAULT 1;
ALTER TABLE records ADD COLUMN crc INTEGER NOT NULL DEFAULT -1;
UPDATE sessions SET sent_seq = last_seq, forgotten_seq = committed_seq;
PRAGMA user_version = 2;
COMMIT;
