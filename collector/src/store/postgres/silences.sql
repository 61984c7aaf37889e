-- Silences of some NICs.
ALTER TABLE alert_silences ADD COLUMN nic text NOT NULL DEFAULT '';
