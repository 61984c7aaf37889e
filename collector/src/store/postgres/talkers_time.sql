-- A search for an address looks through the rows of all NICs in a range of time, which arrive almost in this
-- order: of each 128 pages it is known which times they have. Next to no space.
CREATE INDEX talkers_time ON talkers USING brin (time) WITH (autosummarize = on);
