-- Talkers: who had the traffic of a NIC. A row is the list of one NIC, interval and direction.
-- kind: 0 a minute, 1 a moment in which a sample broke a threshold (a minute covers it too).
-- direction: 0 received, 1 transmitted. total = entries + rest, and is what the NIC's samples of the
-- same interval add up to. Each entry had at least its bytes and at most error_bytes more; what is not
-- listed had at most unlisted_bytes each.
--
-- Entries are packed, as arrays would take twice the space: each column has all entries in a row, the
-- most bytes first, with equally many bytes each, the highest first (length / length of key_kinds).
-- An address is a number: 0 none, below 2^24 the place from 1 in long_addresses (16 bytes each), else
-- IPv4. owners counts owner_ids (8 bytes each) from 1, 0: unknown. The views below unpack them.
CREATE TABLE talkers (
    time           timestamptz NOT NULL,
    interval_ns    bigint NOT NULL,
    total_bytes    bigint NOT NULL,
    total_packets  bigint NOT NULL,
    rest_bytes     bigint NOT NULL,
    rest_packets   bigint NOT NULL,
    error_bytes    bigint NOT NULL,
    unlisted_bytes bigint NOT NULL,
    distinct_keys  bigint NOT NULL,
    distinct_error bigint NOT NULL,
    client         integer NOT NULL,
    nic            integer NOT NULL,
    kind           smallint NOT NULL,
    direction      smallint NOT NULL,
    key_kinds      bytea NOT NULL,
    protocols      bytea NOT NULL,
    ports          bytea NOT NULL,
    addresses      bytea NOT NULL,
    others         bytea,
    long_addresses bytea,
    bytes          bytea NOT NULL,
    packets        bytea NOT NULL,
    owners         bytea,
    owner_ids      bytea
) PARTITION BY RANGE (time);
CREATE INDEX talkers_nic ON talkers (client, nic, time, kind, direction, interval_ns);
CREATE TABLE talkers_default PARTITION OF talkers DEFAULT;
CREATE INDEX talkers_default_time ON talkers_default (time);

-- Owners by their numbers, and the day of the newest row that refers to each.
CREATE TABLE talker_owners (
    client  integer NOT NULL,
    owner   bigint NOT NULL,
    seen    timestamptz NOT NULL,
    kind    smallint NOT NULL,
    name    text NOT NULL,
    process text NOT NULL,
    PRIMARY KEY (client, owner)
);
CREATE INDEX talker_owners_seen ON talker_owners (seen);

-- The entries of each record, and its rest as an entry of its own: they add up to the total.
CREATE VIEW talker_entries AS
SELECT c.client_id, c.alias, n.name AS nic, t.time AS timestamp, t.interval_ns,
       CASE t.kind WHEN 0 THEN 'minute' WHEN 1 THEN 'moment' ELSE t.kind::text END AS kind,
       CASE t.direction WHEN 0 THEN 'rx' WHEN 1 THEN 'tx' ELSE t.direction::text END AS direction,
       CASE WHEN i < length(t.key_kinds) THEN 'talker' ELSE 'rest' END AS entry,
       CASE WHEN i < length(t.key_kinds) THEN
           CASE get_byte(t.key_kinds, i) WHEN 0 THEN 'remote service' WHEN 1 THEN 'local service'
               WHEN 2 THEN 'no port' WHEN 3 THEN 'icmp' WHEN 4 THEN 'arp' WHEN 5 THEN 'ethertype'
               WHEN 6 THEN 'unparsed' ELSE get_byte(t.key_kinds, i)::text END END AS key_kind,
       CASE WHEN i < length(t.key_kinds) THEN get_byte(t.protocols, i) END AS protocol,
       CASE WHEN i < length(t.key_kinds)
           THEN get_byte(t.ports, 2 * i) * 256 + get_byte(t.ports, 2 * i + 1) END AS port,
       CASE WHEN k.address >= 16777216 THEN '0.0.0.0'::inet + k.address
           WHEN k.address > 0 THEN CASE
               WHEN substr(substr(t.long_addresses, 16 * k.address::integer - 15, 16), 1, 12) = '\x00000000000000000000ffff'
               THEN '0.0.0.0'::inet + ('x' || encode(substr(substr(t.long_addresses, 16 * k.address::integer - 15, 16), 13), 'hex'))::bit(32)::bigint
               ELSE regexp_replace(encode(substr(t.long_addresses, 16 * k.address::integer - 15, 16), 'hex'), '(....)(?=.)', '\1:', 'g')::inet END END AS address,
       CASE WHEN k.other >= 16777216 THEN '0.0.0.0'::inet + k.other
           WHEN k.other > 0 THEN CASE
               WHEN substr(substr(t.long_addresses, 16 * k.other::integer - 15, 16), 1, 12) = '\x00000000000000000000ffff'
               THEN '0.0.0.0'::inet + ('x' || encode(substr(substr(t.long_addresses, 16 * k.other::integer - 15, 16), 13), 'hex'))::bit(32)::bigint
               ELSE regexp_replace(encode(substr(t.long_addresses, 16 * k.other::integer - 15, 16), 'hex'), '(....)(?=.)', '\1:', 'g')::inet END END AS other,
       CASE WHEN i < length(t.key_kinds) THEN 
           ('x' || lpad(encode(substr(t.bytes, i * (length(t.bytes) / length(t.key_kinds)) + 1,
               length(t.bytes) / length(t.key_kinds)), 'hex'), 16, '0'))::bit(64)::bigint ELSE t.rest_bytes END AS bytes,
       CASE WHEN i < length(t.key_kinds) THEN 
           ('x' || lpad(encode(substr(t.packets, i * (length(t.packets) / length(t.key_kinds)) + 1,
               length(t.packets) / length(t.key_kinds)), 'hex'), 16, '0'))::bit(64)::bigint ELSE t.rest_packets END AS packets,
       CASE WHEN i < length(t.key_kinds) THEN t.error_bytes END AS error_bytes,
       t.rest_bytes, t.unlisted_bytes, t.distinct_keys, t.distinct_error,
       CASE o.kind WHEN 0 THEN 'unit' WHEN 1 THEN 'container' WHEN 2 THEN 'pod'
           WHEN 3 THEN 'cgroup' WHEN 4 THEN 'process' WHEN 5 THEN 'kernel'
           ELSE o.kind::text END AS owner_kind,
       o.name AS owner, o.process, t.client
FROM talkers t
JOIN nics n ON n.id = t.nic
JOIN clients c ON c.id = t.client
CROSS JOIN LATERAL generate_series(0, length(t.key_kinds)) AS i
CROSS JOIN LATERAL (SELECT
    CASE WHEN i < length(t.key_kinds) THEN
           ('x' || lpad(encode(substr(t.addresses, i * (length(t.addresses) / length(t.key_kinds)) + 1,
               length(t.addresses) / length(t.key_kinds)), 'hex'), 16, '0'))::bit(64)::bigint END AS address,
    CASE WHEN i < length(t.key_kinds) THEN
           ('x' || lpad(encode(substr(t.others, i * (length(t.others) / length(t.key_kinds)) + 1,
               length(t.others) / length(t.key_kinds)), 'hex'), 16, '0'))::bit(64)::bigint END AS other) AS k
LEFT JOIN talker_owners o ON o.client = t.client AND o.owner = CASE
    WHEN i < length(t.owners) AND get_byte(t.owners, i) > 0 THEN
        ('x' || encode(substr(t.owner_ids, get_byte(t.owners, i) * 8 - 7, 8), 'hex'))::bit(64)::bigint END;

-- The same by what people ask for. A row is an entry: it had at least its bytes and at most error_bytes
-- more. A host, service or owner as a whole had at most the record's rest more, as a list may leave out
-- more of it.
CREATE VIEW talkers_by_host AS
SELECT client_id, alias, nic, timestamp, interval_ns, kind, direction, entry, address AS host,
       bytes, packets, error_bytes, rest_bytes, client
FROM talker_entries;

-- A service: kind of key, protocol and port.
CREATE VIEW talkers_by_service AS
SELECT client_id, alias, nic, timestamp, interval_ns, kind, direction, entry, key_kind,
       protocol, port, bytes, packets, error_bytes, rest_bytes, client
FROM talker_entries;

-- Of the host's processes and services. What nobody is known to own is an entry 'unattributed'.
CREATE VIEW talkers_by_owner AS
SELECT client_id, alias, nic, timestamp, interval_ns, kind, direction,
       CASE WHEN entry = 'talker' AND owner IS NULL THEN 'unattributed' ELSE entry END AS entry,
       owner_kind, owner, process, bytes, packets, error_bytes, rest_bytes, client
FROM talker_entries;
