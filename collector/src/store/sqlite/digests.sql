-- Digest of the newest committed record: by it an agent that was set back to an earlier state tells
-- its own records from those of its lost future. NULL in sessions of older collectors.
-- A gap's reason 5: the host was set back, and what is disputed has its exact counts here.
ALTER TABLE sessions ADD COLUMN committed_digest INTEGER;
-- The number that it is of.
ALTER TABLE sessions ADD COLUMN digest_seq INTEGER;
