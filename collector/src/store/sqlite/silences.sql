-- Silences of some NICs.
ALTER TABLE alert_silences ADD COLUMN nic TEXT NOT NULL DEFAULT '';
