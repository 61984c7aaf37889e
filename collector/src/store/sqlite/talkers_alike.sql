-- What all long addresses of a row have in common is kept once. long_alike: three lengths of a byte each, of
-- the beginning, of the bytes in common after the first that differ, and of the end that may differ; then
-- both pieces in common. long_addresses has what is left of each. Without long_alike, 16 bytes each.
ALTER TABLE talkers ADD COLUMN long_alike BLOB;

DROP INDEX talkers_nic;
CREATE INDEX talkers_nic ON talkers (client, nic, time, kind);

DROP VIEW talker_entries;
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
           hex(substr(t.owners, i + 1, 1)) AS owner_hex,
           CASE WHEN t.long_alike IS NULL THEN 0
               ELSE instr('0123456789ABCDEF', substr(hex(t.long_alike), 2, 1)) - 1 END AS start,
           CASE WHEN t.long_alike IS NULL THEN 0
               ELSE instr('0123456789ABCDEF', substr(hex(t.long_alike), 4, 1)) - 1 END AS middle,
           CASE WHEN t.long_alike IS NULL THEN 0
               ELSE instr('0123456789ABCDEF', substr(hex(t.long_alike), 6, 1)) - 1 END AS ends, t.*
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
               THEN hex(substr(long_alike, 4, start))
                   || hex(substr(long_addresses, (address - 1) * (16 - start - middle) + 1,
                       16 - start - middle - ends))
                   || hex(substr(long_alike, 4 + start, middle))
                   || hex(substr(long_addresses, address * (16 - start - middle) - ends + 1,
                       ends)) END AS address_long,
           CASE WHEN other BETWEEN 1 AND 16777215
               THEN hex(substr(long_alike, 4, start))
                   || hex(substr(long_addresses, (other - 1) * (16 - start - middle) + 1,
                       16 - start - middle - ends))
                   || hex(substr(long_alike, 4 + start, middle))
                   || hex(substr(long_addresses, other * (16 - start - middle) - ends + 1,
                       ends)) END AS other_long
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
