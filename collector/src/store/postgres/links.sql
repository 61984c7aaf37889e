-- When links were found up or down, by the collector's clock. NICs that are gone are down.
CREATE TABLE link_changes (
    client integer     NOT NULL,
    nic    integer     NOT NULL REFERENCES nics (id),
    time   timestamptz NOT NULL,
    up     boolean     NOT NULL,
    PRIMARY KEY (client, nic, time)
);
