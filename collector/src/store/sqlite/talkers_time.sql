-- A search for an address looks through the rows of all NICs in a range of time, which arrive almost in this
-- order: the table is read as it lies. 20 bytes a row.
CREATE INDEX talkers_time ON talkers (time);
