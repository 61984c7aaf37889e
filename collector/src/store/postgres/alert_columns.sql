-- Silences of some NICs.
ALTER TABLE alert_silences ADD COLUMN nic text NOT NULL DEFAULT '';

-- When the collector that an open incident is about last said that it still runs.
ALTER TABLE alerts ADD COLUMN confirmed_at timestamptz NOT NULL DEFAULT 'epoch';
UPDATE alerts SET confirmed_at = now() WHERE resolved_at IS NULL;
