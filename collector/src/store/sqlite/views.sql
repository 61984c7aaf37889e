-- Views over the fact tables.
CREATE VIEW bandwidth_samples AS
SELECT c.client_id, c.alias, n.name AS nic,
       strftime('%Y-%m-%d %H:%M:%f', s.time / 1e9, 'unixepoch') AS timestamp,
       s.time, s.interval_ns, s.rx_bytes, s.tx_bytes, s.rx_packets, s.tx_packets,
       s.rx_captured, s.tx_captured, s.rx_peak_1ms_bytes, s.tx_peak_1ms_bytes,
       s.rx_peak_10ms_bytes, s.tx_peak_10ms_bytes, s.drops, s.flags
FROM clients c
JOIN nics n ON n.client = c.id
JOIN bandwidth_stats s ON s.client = c.id AND s.nic = n.id;

-- One row for each sample of a NIC that counts in its host's total. Speeds are bytes per second
-- over the samples of the last 2 s: where there are 10 or more, without the highest and lowest
-- tenth. Packet sizes are means over the same 2 s, NULL without packets. Restrict `time` (and
-- client_id, nic) rather than `timestamp`, which no index knows.
CREATE VIEW bandwidth_report AS
SELECT c.client_id, c.alias, n.name AS nic,
       strftime('%Y-%m-%d %H:%M:%f', s.time / 1e9, 'unixepoch') AS timestamp,
       (SELECT sum(bytes) * 1e9 / sum(interval_ns) FROM (
            SELECT w.tx_bytes AS bytes, w.interval_ns, count(*) OVER () AS n,
                   row_number() OVER (ORDER BY w.tx_bytes * 1.0 / w.interval_ns) AS place
            FROM bandwidth_stats w
            WHERE w.client = s.client AND w.nic = s.nic AND w.time <= s.time
              AND w.time >= min(s.time, s.time + s.interval_ns - 2000000000))
        WHERE n < 10 OR place BETWEEN n / 10 + 1 AND n - n / 10) AS upload_speed,
       (SELECT sum(bytes) * 1e9 / sum(interval_ns) FROM (
            SELECT w.rx_bytes AS bytes, w.interval_ns, count(*) OVER () AS n,
                   row_number() OVER (ORDER BY w.rx_bytes * 1.0 / w.interval_ns) AS place
            FROM bandwidth_stats w
            WHERE w.client = s.client AND w.nic = s.nic AND w.time <= s.time
              AND w.time >= min(s.time, s.time + s.interval_ns - 2000000000))
        WHERE n < 10 OR place BETWEEN n / 10 + 1 AND n - n / 10) AS download_speed,
       (SELECT sum(w.tx_bytes) * 1.0 / nullif(sum(w.tx_packets), 0) FROM bandwidth_stats w
        WHERE w.client = s.client AND w.nic = s.nic AND w.time <= s.time
          AND w.time >= min(s.time, s.time + s.interval_ns - 2000000000))
           AS avg_upload_packet_size,
       (SELECT sum(w.rx_bytes) * 1.0 / nullif(sum(w.rx_packets), 0) FROM bandwidth_stats w
        WHERE w.client = s.client AND w.nic = s.nic AND w.time <= s.time
          AND w.time >= min(s.time, s.time + s.interval_ns - 2000000000))
           AS avg_download_packet_size,
       s.time
FROM clients c
JOIN nics n ON n.client = c.id
JOIN bandwidth_stats s ON s.client = c.id AND s.nic = n.id
WHERE s.flags & 1 = 0;
