-- Silences of some NICs.
ALTER TABLE alert_silences ADD COLUMN nic TEXT NOT NULL DEFAULT '';

-- When the collector that an open incident is about last said that it still runs.
ALTER TABLE alerts ADD COLUMN confirmed_at INTEGER NOT NULL DEFAULT 0;
UPDATE alerts SET confirmed_at = unixepoch() * 1000000000 WHERE resolved_at IS NULL;
