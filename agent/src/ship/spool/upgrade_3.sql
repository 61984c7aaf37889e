-- Version 3 didn't know in which boot of the kernel a session ran.
BEGIN IMMEDIATE;
ALTER TABLE sessions ADD COLUMN boot INTEGER NOT NULL DEFAULT 0;
PRAGMA user_version = 4;
COMMIT;
