-- Samples have two forms: a row each in hot_samples while they are new, then stretches in packed_samples.
-- The names of partitions stay. On its own, because Citus passes on whole texts.
ALTER TABLE bandwidth_stats RENAME TO hot_samples;
