-- When an operator forgot the client: it is listed no more, until it is let in again.
ALTER TABLE clients ADD COLUMN forgotten_at INTEGER;
