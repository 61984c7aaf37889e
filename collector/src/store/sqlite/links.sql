-- When links were found up or down, by the collector's clock. NICs that are gone are down.
CREATE TABLE link_changes (
    client INTEGER NOT NULL,
    nic    INTEGER NOT NULL REFERENCES nics (id),
    time   INTEGER NOT NULL,
    up     INTEGER NOT NULL,
    PRIMARY KEY (client, nic, time)
) STRICT, WITHOUT ROWID;
