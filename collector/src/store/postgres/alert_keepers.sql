-- Who last stood behind an open incident; `confirmed_at` says when. Empty: the one that opened it.
ALTER TABLE alerts ADD COLUMN confirmed_by text NOT NULL DEFAULT '';
UPDATE alerts SET confirmed_at = now() WHERE resolved_at IS NULL;
