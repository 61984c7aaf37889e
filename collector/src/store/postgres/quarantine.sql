-- Frames in quarantine have an age of their own, which is shorter than that of their sessions: how many
-- sequence numbers those covered that were deleted.
ALTER TABLE sessions ADD COLUMN expired_quarantine_seqs bigint NOT NULL DEFAULT 0;
CREATE INDEX quarantine_received ON quarantine (received_at);
