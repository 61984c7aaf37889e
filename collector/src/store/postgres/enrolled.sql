-- The ids that hosts have enrolled under, at all collectors of the store together, until they are
-- forgotten. Clients that have connected are in `clients` too; those of before this table only there.
CREATE TABLE enrolled (
    client_id   text PRIMARY KEY,
    enrolled_at timestamptz NOT NULL
);
