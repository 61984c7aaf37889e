-- Digest of the newest committed record: by it an agent that was set back to an earlier state tells
-- its own records from those of its lost future. NULL in sessions of older collectors,
-- and of no meaning where one has moved committed_seq on from digest_seq.
ALTER TABLE sessions ADD COLUMN committed_digest bigint, ADD COLUMN digest_seq bigint;
COMMENT ON COLUMN gaps.reason IS
    '1 the spool was full, 2 it was damaged, 3 forgotten after an earlier commit, 4 nothing was '
    'measured, for the agent was broken off, 5 the host was set back to an earlier state';
