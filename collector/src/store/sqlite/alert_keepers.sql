-- Who last stood behind an open incident; `confirmed_at` says when. Empty: the one that opened it.
ALTER TABLE alerts ADD COLUMN confirmed_by TEXT NOT NULL DEFAULT '';
UPDATE alerts SET confirmed_at = unixepoch() * 1000000000 WHERE resolved_at IS NULL;
