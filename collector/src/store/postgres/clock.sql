-- The time by which rows are deleted, kept from one run of the collector to the next.
ALTER TABLE retention ADD COLUMN clock timestamptz;
