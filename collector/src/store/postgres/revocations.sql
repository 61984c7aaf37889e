-- Who was revoked, for all collectors of the database: certificates of a generation before this one
-- are refused. Changes are numbered in the order of their commits, so that each collector asks for
-- those that it doesn't know yet. revoked_at: seconds since 1970.
CREATE TABLE revocations (
    client_id  text PRIMARY KEY,
    generation bigint NOT NULL,
    revoked_at bigint NOT NULL,
    forgotten  boolean NOT NULL,
    replaced   boolean NOT NULL,
    change     bigint NOT NULL UNIQUE
);
