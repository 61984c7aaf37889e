-- Who was revoked, beside the identity's own files: certificates of a generation before this one are
-- refused. Changes are numbered. revoked_at: seconds since 1970.
CREATE TABLE revocations (
    client_id  TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    revoked_at INTEGER NOT NULL,
    forgotten  INTEGER NOT NULL,
    replaced   INTEGER NOT NULL,
    change     INTEGER NOT NULL UNIQUE
) STRICT;
