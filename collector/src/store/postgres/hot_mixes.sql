-- Mixes have two forms: a row each in hot_mixes while they are new, then stretches in packed_mixes. The names of
-- partitions stay. On its own, because Citus passes on whole texts.
ALTER TABLE traffic_mix RENAME TO hot_mixes;
