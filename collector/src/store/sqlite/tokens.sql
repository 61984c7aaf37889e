-- How often enrolment tokens were used, at all collectors of the store together. What a token is good
-- for is in the file of the collector that made it.
CREATE TABLE token_uses (
    -- Digest of its secret, hexadecimal.
    token      TEXT PRIMARY KEY,
    -- For how many hosts it was used; at least as often as it may be once it is cancelled.
    used       INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
