-- Samples have two forms: a row each in hot_samples while they are new, then stretches of up to an hour in
-- packed_samples. bandwidth_stats, bandwidth_samples and bandwidth_report have both. They need the collector's
-- own functions: use `collector sql`. Elsewhere they fail rather than leave out samples.
DROP VIEW bandwidth_samples;
DROP VIEW bandwidth_report;
ALTER TABLE bandwidth_stats RENAME TO hot_samples;

-- Samples of one NIC within one hour (UTC), column by column. Those of a NIC don't overlap.
CREATE TABLE packed_samples (
    id                 INTEGER PRIMARY KEY,
    client             INTEGER NOT NULL,
    nic                INTEGER NOT NULL,
    -- Starts of the first and the last sample. The stretch is deleted once its last one is too old.
    first              INTEGER NOT NULL,
    time               INTEGER NOT NULL,
    -- Number, sums and highest peaks of the samples. Sums beyond 64 bits are text.
    samples            INTEGER NOT NULL,
    interval_ns        ANY NOT NULL,
    rx_bytes           ANY NOT NULL,
    tx_bytes           ANY NOT NULL,
    rx_packets         ANY NOT NULL,
    tx_packets         ANY NOT NULL,
    rx_captured        ANY NOT NULL,
    tx_captured        ANY NOT NULL,
    rx_peak_1ms_bytes  INTEGER NOT NULL,
    tx_peak_1ms_bytes  INTEGER NOT NULL,
    rx_peak_10ms_bytes INTEGER NOT NULL,
    tx_peak_10ms_bytes INTEGER NOT NULL,
    drops              ANY NOT NULL,
    flags              INTEGER NOT NULL,
    -- The samples (store/rows/packed), each column with its checksum.
    columns            BLOB NOT NULL
) STRICT;

CREATE INDEX packed_samples_nic ON packed_samples (client, nic, time);

-- Samples: one row each.
CREATE VIEW bandwidth_stats AS
SELECT client, nic, time, nth, interval_ns, rx_bytes, tx_bytes, rx_packets, tx_packets,
       rx_captured, tx_captured, rx_peak_1ms_bytes, tx_peak_1ms_bytes,
       rx_peak_10ms_bytes, tx_peak_10ms_bytes, drops, flags
FROM hot_samples
UNION ALL
SELECT p.client, p.nic, s.value ->> 0, s.value ->> 1, s.value ->> 2, s.value ->> 3, s.value ->> 4,
       s.value ->> 5, s.value ->> 6, s.value ->> 7, s.value ->> 8, s.value ->> 9, s.value ->> 10,
       s.value ->> 11, s.value ->> 12, s.value ->> 13, s.value ->> 14
FROM packed_samples p, json_each(only_collector_sql_unpacks(p.columns, 0, 9223372036854775807)) s;

-- The samples of a stretch are unpacked together: in a query for a short time, restrict stretch_to and
-- stretch_from besides `time`.
CREATE VIEW bandwidth_samples AS
SELECT c.client_id, c.alias, n.name AS nic,
       strftime('%Y-%m-%d %H:%M:%f', s.time / 1e9, 'unixepoch') AS timestamp,
       s.time, s.interval_ns, s.rx_bytes, s.tx_bytes, s.rx_packets, s.tx_packets,
       s.rx_captured, s.tx_captured, s.rx_peak_1ms_bytes, s.tx_peak_1ms_bytes,
       s.rx_peak_10ms_bytes, s.tx_peak_10ms_bytes, s.drops, s.flags,
       s.time AS stretch_from, s.time AS stretch_to
FROM clients c
JOIN nics n ON n.client = c.id
JOIN hot_samples s ON s.client = c.id AND s.nic = n.id
UNION ALL
SELECT c.client_id, c.alias, n.name,
       strftime('%Y-%m-%d %H:%M:%f', (s.value ->> 0) / 1e9, 'unixepoch'),
       s.value ->> 0, s.value ->> 2, s.value ->> 3, s.value ->> 4, s.value ->> 5, s.value ->> 6,
       s.value ->> 7, s.value ->> 8, s.value ->> 9, s.value ->> 10, s.value ->> 11, s.value ->> 12,
       s.value ->> 13, s.value ->> 14, p.first, p.time
FROM clients c
JOIN nics n ON n.client = c.id
JOIN packed_samples p ON p.client = c.id AND p.nic = n.id
JOIN json_each(only_collector_sql_unpacks(p.columns, 0, 9223372036854775807)) s;

-- One row for each sample of a NIC that counts in its host's total. Speeds are bytes per second
-- over the samples of the last 2 s: where there are 10 or more, without the highest and lowest
-- tenth. Packet sizes are means over the same 2 s, NULL without packets. Restrict `time` (and
-- client_id, nic) rather than `timestamp`, which no index knows.
CREATE VIEW bandwidth_report AS
SELECT client_id, alias, nic, strftime('%Y-%m-%d %H:%M:%f', time / 1e9, 'unixepoch') AS timestamp,
       recent ->> 0 AS upload_speed, recent ->> 1 AS download_speed,
       recent ->> 2 AS avg_upload_packet_size, recent ->> 3 AS avg_download_packet_size,
       time, stretch_from, stretch_to
FROM (
    SELECT c.client_id, c.alias, n.name AS nic, s.time,
           s.time AS stretch_from, s.time AS stretch_to,
           (SELECT recent_speeds(rx_bytes, tx_bytes, rx_packets, tx_packets, interval_ns) FROM (
                SELECT w.rx_bytes, w.tx_bytes, w.rx_packets, w.tx_packets, w.interval_ns
                FROM hot_samples w
                WHERE w.client = s.client AND w.nic = s.nic AND w.time <= s.time
                  AND w.time >= min(s.time, s.time + s.interval_ns - 2000000000)
                UNION ALL
                SELECT w.value ->> 3, w.value ->> 4, w.value ->> 5, w.value ->> 6, w.value ->> 2
                FROM packed_samples q, json_each(only_collector_sql_unpacks(q.columns,
                     min(s.time, s.time + s.interval_ns - 2000000000), s.time)) w
                WHERE q.client = s.client AND q.nic = s.nic AND q.first <= s.time
                  AND q.time >= min(s.time, s.time + s.interval_ns - 2000000000)
                  AND q.time < s.time + 3600000000000)) AS recent
    FROM clients c
    JOIN nics n ON n.client = c.id
    JOIN hot_samples s ON s.client = c.id AND s.nic = n.id
    WHERE s.flags & 1 = 0
    UNION ALL
    SELECT c.client_id, c.alias, n.name, s.value ->> 0, p.first, p.time,
           (SELECT recent_speeds(rx_bytes, tx_bytes, rx_packets, tx_packets, interval_ns) FROM (
                SELECT w.rx_bytes, w.tx_bytes, w.rx_packets, w.tx_packets, w.interval_ns
                FROM hot_samples w
                WHERE w.client = p.client AND w.nic = p.nic AND w.time <= s.value ->> 0
                  AND w.time >= min(s.value ->> 0, (s.value ->> 0) + (s.value ->> 2) - 2000000000)
                UNION ALL
                SELECT w.value ->> 3, w.value ->> 4, w.value ->> 5, w.value ->> 6, w.value ->> 2
                FROM packed_samples q, json_each(only_collector_sql_unpacks(q.columns,
                     min(s.value ->> 0, (s.value ->> 0) + (s.value ->> 2) - 2000000000),
                     s.value ->> 0)) w
                WHERE q.client = p.client AND q.nic = p.nic AND q.first <= s.value ->> 0
                  AND q.time >= min(s.value ->> 0, (s.value ->> 0) + (s.value ->> 2) - 2000000000)
                  AND q.time < (s.value ->> 0) + 3600000000000))
    FROM clients c
    JOIN nics n ON n.client = c.id
    JOIN packed_samples p ON p.client = c.id AND p.nic = n.id
    JOIN json_each(only_collector_sql_unpacks(p.columns, 0, 9223372036854775807)) s
    WHERE (s.value ->> 14) & 1 = 0);
