-- Both directions of a minute share an entry of the index.
DROP INDEX talkers_nic;
CREATE INDEX talkers_nic ON talkers (client, nic, time, kind);

CREATE OR REPLACE VIEW talker_entries AS
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
               WHEN substr(long, 1, 12) = '\x00000000000000000000ffff'
               THEN '0.0.0.0'::inet + ('x' || encode(substr(long, 13), 'hex'))::bit(32)::bigint
               ELSE regexp_replace(encode(long, 'hex'), '(....)(?=.)', '\1:', 'g')::inet END END AS address,
       CASE WHEN k.other >= 16777216 THEN '0.0.0.0'::inet + k.other
           WHEN k.other > 0 THEN CASE
               WHEN substr(long_other, 1, 12) = '\x00000000000000000000ffff'
               THEN '0.0.0.0'::inet + ('x' || encode(substr(long_other, 13), 'hex'))::bit(32)::bigint
               ELSE regexp_replace(encode(long_other, 'hex'), '(....)(?=.)', '\1:', 'g')::inet END END AS other,
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
CROSS JOIN LATERAL (SELECT coalesce(t.long_alike, '\x000000') AS alike,
    get_byte(coalesce(t.long_alike, '\x000000'), 0) AS start,
    get_byte(coalesce(t.long_alike, '\x000000'), 1) AS middle,
    get_byte(coalesce(t.long_alike, '\x000000'), 2) AS ending) AS a
-- As functions, for the planner copies expressions of subqueries to each place that refers to them.
CROSS JOIN LATERAL substr(CASE WHEN k.address BETWEEN 1 AND 16777215 THEN
        substr(a.alike, 4, a.start)
        || substr(t.long_addresses, (k.address::integer - 1) * (16 - a.start - a.middle) + 1,
            16 - a.start - a.middle - a.ending)
        || substr(a.alike, 4 + a.start, a.middle)
        || substr(t.long_addresses, k.address::integer * (16 - a.start - a.middle) - a.ending + 1,
            a.ending) END, 1) AS long
CROSS JOIN LATERAL substr(CASE WHEN k.other BETWEEN 1 AND 16777215 THEN
        substr(a.alike, 4, a.start)
        || substr(t.long_addresses, (k.other::integer - 1) * (16 - a.start - a.middle) + 1,
            16 - a.start - a.middle - a.ending)
        || substr(a.alike, 4 + a.start, a.middle)
        || substr(t.long_addresses, k.other::integer * (16 - a.start - a.middle) - a.ending + 1,
            a.ending) END, 1) AS long_other
LEFT JOIN talker_owners o ON o.client = t.client AND o.owner = CASE
    WHEN i < length(t.owners) AND get_byte(t.owners, i) > 0 THEN
        ('x' || encode(substr(t.owner_ids, get_byte(t.owners, i) * 8 - 7, 8), 'hex'))::bit(64)::bigint END;
