-- A gap's reason 6: the samples are dated too far from the collector's time; each is here with its own
-- time and exact counts. When they arrived, for they can't be deleted by their date.
ALTER TABLE gaps ADD COLUMN arrived INTEGER;
CREATE INDEX gaps_misdated ON gaps (arrived) WHERE reason = 6;
