-- Browsers' sessions that were signed out, for all collectors of the store, until they would have ended by
-- themselves. Changes are numbered in the order of their commits, so that each collector asks for those
-- that it doesn't know yet. ends_at: seconds since 1970.
CREATE TABLE sign_outs (
    session text PRIMARY KEY,
    ends_at bigint NOT NULL,
    change  bigint NOT NULL UNIQUE
);
