-- Talkers: who had the traffic of a NIC. A row is the list of one NIC, interval and direction.
-- kind: 0 a minute, 1 a moment in which a sample broke a threshold (a minute covers it too).
-- direction: 0 received, 1 transmitted. total = entries + rest, and is what the NIC's samples of the
-- same interval add up to. Each entry had at least its bytes and at most error_bytes more; what is not
-- listed had at most unlisted_bytes each.
--
-- Entries are packed: each column has all entries in a row, the most bytes first, with equally many
-- bytes each, the highest first (length / length of key_kinds). An address is a number: 0 none, below
-- 2^24 the place from 1 in long_addresses (16 bytes each), else IPv4. owners counts owner_ids (8 bytes
-- each) from 1, 0: unknown. The views below unpack them.
CREATE TABLE talkers (
    client         INTEGER NOT NULL,
    nic            INTEGER NOT NULL,
    time           INTEGER NOT NULL,
    interval_ns    INTEGER NOT NULL,
    kind           INTEGER NOT NULL,
    direction      INTEGER NOT NULL,
    total_bytes    INTEGER NOT NULL,
    total_packets  INTEGER NOT NULL,
    rest_bytes     INTEGER NOT NULL,
    rest_packets   INTEGER NOT NULL,
    error_bytes    INTEGER NOT NULL,
    unlisted_bytes INTEGER NOT NULL,
    distinct_keys  INTEGER NOT NULL,
    distinct_error INTEGER NOT NULL,
    key_kinds      BLOB NOT NULL,
    protocols      BLOB NOT NULL,
    ports          BLOB NOT NULL,
    addresses      BLOB NOT NULL,
    others         BLOB,
    long_addresses BLOB,
    bytes          BLOB NOT NULL,
    packets        BLOB NOT NULL,
    owners         BLOB,
    owner_ids      BLOB
) STRICT;
-- Not a key of the table itself: rows are long, and those of many NICs arrive in turn.
CREATE INDEX talkers_nic ON talkers (client, nic, time, kind, direction, interval_ns);

-- Owners by their numbers, and the day of the newest row that refers to each.
CREATE TABLE talker_owners (
    client  INTEGER NOT NULL,
    owner   INTEGER NOT NULL,
    seen    INTEGER NOT NULL,
    kind    INTEGER NOT NULL,
    name    TEXT NOT NULL,
    process TEXT NOT NULL,
    PRIMARY KEY (client, owner)
) STRICT, WITHOUT ROWID;
CREATE INDEX talker_owners_seen ON talker_owners (seen);

-- The entries of each record, and its rest as an entry of its own: they add up to the total.
CREATE VIEW talker_entries AS
WITH RECURSIVE places (i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM places WHERE i < 64),
cut AS (
    SELECT i, i < length(t.key_kinds) AS listed,
           hex(substr(t.key_kinds, i + 1, 1)) AS kind_hex,
           hex(substr(t.protocols, i + 1, 1)) AS protocol_hex,
           hex(substr(t.ports, 2 * i + 1, 2)) AS port_hex,
           substr('00000000' || hex(substr(t.addresses,
               i * (length(t.addresses) / length(t.key_kinds)) + 1,
               length(t.addresses) / length(t.key_kinds))), -8) AS address_hex,
           substr('00000000' || hex(substr(t.others,
               i * (length(t.others) / length(t.key_kinds)) + 1,
               length(t.others) / length(t.key_kinds))), -8) AS other_hex,
           substr('0000000000000000' || hex(substr(t.bytes,
               i * (length(t.bytes) / length(t.key_kinds)) + 1,
               length(t.bytes) / length(t.key_kinds))), -16) AS bytes_hex,
           substr('0000000000000000' || hex(substr(t.packets,
               i * (length(t.packets) / length(t.key_kinds)) + 1,
               length(t.packets) / length(t.key_kinds))), -16) AS packets_hex,
           hex(substr(t.owners, i + 1, 1)) AS owner_hex, t.*
    FROM talkers t CROSS JOIN places WHERE i <= length(t.key_kinds)),
numbered AS (
    SELECT cut.*, CASE WHEN listed AND owner_hex > '00' THEN hex(substr(owner_ids,
               8 * ((instr('0123456789ABCDEF', substr(owner_hex, 1, 1)) - 1) * 16 + (instr('0123456789ABCDEF', substr(owner_hex, 2, 1)) - 1)) - 7, 8)) END AS id_hex,
           CASE WHEN listed THEN ((instr('0123456789ABCDEF', substr(address_hex, 1, 1)) - 1) << 28) +
           ((instr('0123456789ABCDEF', substr(address_hex, 2, 1)) - 1) << 24) +
           ((instr('0123456789ABCDEF', substr(address_hex, 3, 1)) - 1) << 20) +
           ((instr('0123456789ABCDEF', substr(address_hex, 4, 1)) - 1) << 16) +
           ((instr('0123456789ABCDEF', substr(address_hex, 5, 1)) - 1) << 12) +
           ((instr('0123456789ABCDEF', substr(address_hex, 6, 1)) - 1) << 8) +
           ((instr('0123456789ABCDEF', substr(address_hex, 7, 1)) - 1) << 4) +
           ((instr('0123456789ABCDEF', substr(address_hex, 8, 1)) - 1) << 0) END AS address,
           CASE WHEN listed THEN ((instr('0123456789ABCDEF', substr(other_hex, 1, 1)) - 1) << 28) +
           ((instr('0123456789ABCDEF', substr(other_hex, 2, 1)) - 1) << 24) +
           ((instr('0123456789ABCDEF', substr(other_hex, 3, 1)) - 1) << 20) +
           ((instr('0123456789ABCDEF', substr(other_hex, 4, 1)) - 1) << 16) +
           ((instr('0123456789ABCDEF', substr(other_hex, 5, 1)) - 1) << 12) +
           ((instr('0123456789ABCDEF', substr(other_hex, 6, 1)) - 1) << 8) +
           ((instr('0123456789ABCDEF', substr(other_hex, 7, 1)) - 1) << 4) +
           ((instr('0123456789ABCDEF', substr(other_hex, 8, 1)) - 1) << 0) END AS other
    FROM cut),
known AS (
    SELECT numbered.*,
           CASE WHEN address BETWEEN 1 AND 16777215
               THEN hex(substr(long_addresses, 16 * address - 15, 16)) END AS address_long,
           CASE WHEN other BETWEEN 1 AND 16777215
               THEN hex(substr(long_addresses, 16 * other - 15, 16)) END AS other_long
    FROM numbered)
SELECT c.client_id, c.alias, n.name AS nic,
       strftime('%Y-%m-%d %H:%M:%f', k.time / 1e9, 'unixepoch') AS timestamp,
       k.time, k.interval_ns,
       CASE k.kind WHEN 0 THEN 'minute' WHEN 1 THEN 'moment' ELSE CAST(k.kind AS TEXT) END AS kind,
       CASE k.direction WHEN 0 THEN 'rx' WHEN 1 THEN 'tx' ELSE CAST(k.direction AS TEXT) END
           AS direction,
       CASE WHEN listed THEN 'talker' ELSE 'rest' END AS entry,
       CASE WHEN listed THEN CASE kind_hex WHEN '00' THEN 'remote service'
           WHEN '01' THEN 'local service' WHEN '02' THEN 'no port' WHEN '03' THEN 'icmp'
           WHEN '04' THEN 'arp' WHEN '05' THEN 'ethertype' WHEN '06' THEN 'unparsed'
           ELSE kind_hex END END AS key_kind,
       CASE WHEN listed THEN ((instr('0123456789ABCDEF', substr(protocol_hex, 1, 1)) - 1) * 16 + (instr('0123456789ABCDEF', substr(protocol_hex, 2, 1)) - 1)) END AS protocol,
       CASE WHEN listed THEN ((instr('0123456789ABCDEF', substr(port_hex, 1, 1)) - 1) * 16 + (instr('0123456789ABCDEF', substr(port_hex, 2, 1)) - 1)) * 256 + ((instr('0123456789ABCDEF', substr(port_hex, 3, 1)) - 1) * 16 + (instr('0123456789ABCDEF', substr(port_hex, 4, 1)) - 1)) END AS port,
       CASE WHEN k.address >= 16777216 THEN (k.address >> 24) || '.' || (k.address >> 16 & 255) || '.' ||
               (k.address >> 8 & 255) || '.' || (k.address & 255)
           WHEN substr(k.address_long, 1, 24) = '00000000000000000000FFFF'
           THEN ((instr('0123456789ABCDEF', substr(k.address_long, 25, 1)) - 1) * 16 + (instr('0123456789ABCDEF', substr(k.address_long, 26, 1)) - 1)) || '.' ||
               ((instr('0123456789ABCDEF', substr(k.address_long, 27, 1)) - 1) * 16 + (instr('0123456789ABCDEF', substr(k.address_long, 28, 1)) - 1)) || '.' ||
               ((instr('0123456789ABCDEF', substr(k.address_long, 29, 1)) - 1) * 16 + (instr('0123456789ABCDEF', substr(k.address_long, 30, 1)) - 1)) || '.' ||
               ((instr('0123456789ABCDEF', substr(k.address_long, 31, 1)) - 1) * 16 + (instr('0123456789ABCDEF', substr(k.address_long, 32, 1)) - 1))
           ELSE lower(substr(k.address_long, 1, 4) || ':' ||
               substr(k.address_long, 5, 4) || ':' ||
               substr(k.address_long, 9, 4) || ':' ||
               substr(k.address_long, 13, 4) || ':' ||
               substr(k.address_long, 17, 4) || ':' ||
               substr(k.address_long, 21, 4) || ':' ||
               substr(k.address_long, 25, 4) || ':' ||
               substr(k.address_long, 29, 4)) END AS address,
       CASE WHEN k.other >= 16777216 THEN (k.other >> 24) || '.' || (k.other >> 16 & 255) || '.' ||
               (k.other >> 8 & 255) || '.' || (k.other & 255)
           WHEN substr(k.other_long, 1, 24) = '00000000000000000000FFFF'
           THEN ((instr('0123456789ABCDEF', substr(k.other_long, 25, 1)) - 1) * 16 + (instr('0123456789ABCDEF', substr(k.other_long, 26, 1)) - 1)) || '.' ||
               ((instr('0123456789ABCDEF', substr(k.other_long, 27, 1)) - 1) * 16 + (instr('0123456789ABCDEF', substr(k.other_long, 28, 1)) - 1)) || '.' ||
               ((instr('0123456789ABCDEF', substr(k.other_long, 29, 1)) - 1) * 16 + (instr('0123456789ABCDEF', substr(k.other_long, 30, 1)) - 1)) || '.' ||
               ((instr('0123456789ABCDEF', substr(k.other_long, 31, 1)) - 1) * 16 + (instr('0123456789ABCDEF', substr(k.other_long, 32, 1)) - 1))
           ELSE lower(substr(k.other_long, 1, 4) || ':' ||
               substr(k.other_long, 5, 4) || ':' ||
               substr(k.other_long, 9, 4) || ':' ||
               substr(k.other_long, 13, 4) || ':' ||
               substr(k.other_long, 17, 4) || ':' ||
               substr(k.other_long, 21, 4) || ':' ||
               substr(k.other_long, 25, 4) || ':' ||
               substr(k.other_long, 29, 4)) END AS other,
       CASE WHEN listed THEN ((instr('0123456789ABCDEF', substr(bytes_hex, 1, 1)) - 1) << 60) +
           ((instr('0123456789ABCDEF', substr(bytes_hex, 2, 1)) - 1) << 56) +
           ((instr('0123456789ABCDEF', substr(bytes_hex, 3, 1)) - 1) << 52) +
           ((instr('0123456789ABCDEF', substr(bytes_hex, 4, 1)) - 1) << 48) +
           ((instr('0123456789ABCDEF', substr(bytes_hex, 5, 1)) - 1) << 44) +
           ((instr('0123456789ABCDEF', substr(bytes_hex, 6, 1)) - 1) << 40) +
           ((instr('0123456789ABCDEF', substr(bytes_hex, 7, 1)) - 1) << 36) +
           ((instr('0123456789ABCDEF', substr(bytes_hex, 8, 1)) - 1) << 32) +
           ((instr('0123456789ABCDEF', substr(bytes_hex, 9, 1)) - 1) << 28) +
           ((instr('0123456789ABCDEF', substr(bytes_hex, 10, 1)) - 1) << 24) +
           ((instr('0123456789ABCDEF', substr(bytes_hex, 11, 1)) - 1) << 20) +
           ((instr('0123456789ABCDEF', substr(bytes_hex, 12, 1)) - 1) << 16) +
           ((instr('0123456789ABCDEF', substr(bytes_hex, 13, 1)) - 1) << 12) +
           ((instr('0123456789ABCDEF', substr(bytes_hex, 14, 1)) - 1) << 8) +
           ((instr('0123456789ABCDEF', substr(bytes_hex, 15, 1)) - 1) << 4) +
           ((instr('0123456789ABCDEF', substr(bytes_hex, 16, 1)) - 1) << 0)
           ELSE k.rest_bytes END AS bytes,
       CASE WHEN listed THEN ((instr('0123456789ABCDEF', substr(packets_hex, 1, 1)) - 1) << 60) +
           ((instr('0123456789ABCDEF', substr(packets_hex, 2, 1)) - 1) << 56) +
           ((instr('0123456789ABCDEF', substr(packets_hex, 3, 1)) - 1) << 52) +
           ((instr('0123456789ABCDEF', substr(packets_hex, 4, 1)) - 1) << 48) +
           ((instr('0123456789ABCDEF', substr(packets_hex, 5, 1)) - 1) << 44) +
           ((instr('0123456789ABCDEF', substr(packets_hex, 6, 1)) - 1) << 40) +
           ((instr('0123456789ABCDEF', substr(packets_hex, 7, 1)) - 1) << 36) +
           ((instr('0123456789ABCDEF', substr(packets_hex, 8, 1)) - 1) << 32) +
           ((instr('0123456789ABCDEF', substr(packets_hex, 9, 1)) - 1) << 28) +
           ((instr('0123456789ABCDEF', substr(packets_hex, 10, 1)) - 1) << 24) +
           ((instr('0123456789ABCDEF', substr(packets_hex, 11, 1)) - 1) << 20) +
           ((instr('0123456789ABCDEF', substr(packets_hex, 12, 1)) - 1) << 16) +
           ((instr('0123456789ABCDEF', substr(packets_hex, 13, 1)) - 1) << 12) +
           ((instr('0123456789ABCDEF', substr(packets_hex, 14, 1)) - 1) << 8) +
           ((instr('0123456789ABCDEF', substr(packets_hex, 15, 1)) - 1) << 4) +
           ((instr('0123456789ABCDEF', substr(packets_hex, 16, 1)) - 1) << 0)
           ELSE k.rest_packets END AS packets,
       CASE WHEN listed THEN k.error_bytes END AS error_bytes,
       k.rest_bytes, k.unlisted_bytes, k.distinct_keys, k.distinct_error,
       CASE o.kind WHEN 0 THEN 'unit' WHEN 1 THEN 'container' WHEN 2 THEN 'pod'
           WHEN 3 THEN 'cgroup' WHEN 4 THEN 'process' WHEN 5 THEN 'kernel'
           ELSE CAST(o.kind AS TEXT) END AS owner_kind,
       o.name AS owner, o.process
FROM clients c
JOIN nics n ON n.client = c.id
JOIN known k ON k.client = c.id AND k.nic = n.id
LEFT JOIN talker_owners o ON o.client = k.client AND o.owner =
           ((instr('0123456789ABCDEF', substr(id_hex, 1, 1)) - 1) << 60) +
           ((instr('0123456789ABCDEF', substr(id_hex, 2, 1)) - 1) << 56) +
           ((instr('0123456789ABCDEF', substr(id_hex, 3, 1)) - 1) << 52) +
           ((instr('0123456789ABCDEF', substr(id_hex, 4, 1)) - 1) << 48) +
           ((instr('0123456789ABCDEF', substr(id_hex, 5, 1)) - 1) << 44) +
           ((instr('0123456789ABCDEF', substr(id_hex, 6, 1)) - 1) << 40) +
           ((instr('0123456789ABCDEF', substr(id_hex, 7, 1)) - 1) << 36) +
           ((instr('0123456789ABCDEF', substr(id_hex, 8, 1)) - 1) << 32) +
           ((instr('0123456789ABCDEF', substr(id_hex, 9, 1)) - 1) << 28) +
           ((instr('0123456789ABCDEF', substr(id_hex, 10, 1)) - 1) << 24) +
           ((instr('0123456789ABCDEF', substr(id_hex, 11, 1)) - 1) << 20) +
           ((instr('0123456789ABCDEF', substr(id_hex, 12, 1)) - 1) << 16) +
           ((instr('0123456789ABCDEF', substr(id_hex, 13, 1)) - 1) << 12) +
           ((instr('0123456789ABCDEF', substr(id_hex, 14, 1)) - 1) << 8) +
           ((instr('0123456789ABCDEF', substr(id_hex, 15, 1)) - 1) << 4) +
           ((instr('0123456789ABCDEF', substr(id_hex, 16, 1)) - 1) << 0);

-- The same by what people ask for. A row is an entry: it had at least its bytes and at most error_bytes
-- more. A host, service or owner as a whole had at most the record's rest more, as a list may leave out
-- more of it.
CREATE VIEW talkers_by_host AS
SELECT client_id, alias, nic, timestamp, time, interval_ns, kind, direction, entry, address AS host,
       bytes, packets, error_bytes, rest_bytes
FROM talker_entries;

-- A service: kind of key, protocol and port.
CREATE VIEW talkers_by_service AS
SELECT client_id, alias, nic, timestamp, time, interval_ns, kind, direction, entry, key_kind,
       protocol, port, bytes, packets, error_bytes, rest_bytes
FROM talker_entries;

-- Of the host's processes and services. What nobody is known to own is an entry 'unattributed'.
CREATE VIEW talkers_by_owner AS
SELECT client_id, alias, nic, timestamp, time, interval_ns, kind, direction,
       CASE WHEN entry = 'talker' AND owner IS NULL THEN 'unattributed' ELSE entry END AS entry,
       owner_kind, owner, process, bytes, packets, error_bytes, rest_bytes
FROM talker_entries;
