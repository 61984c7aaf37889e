-- What all long addresses of a row have in common is kept once. long_alike: three lengths of a byte each, of
-- the beginning, of the bytes in common after the first that differ, and of the end that may differ; then
-- both pieces in common. long_addresses has what is left of each. Without long_alike, 16 bytes each.
ALTER TABLE talkers ADD COLUMN long_alike bytea;
