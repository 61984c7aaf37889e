-- What left bandwidth_5m by age, as text: sums over many sessions that 64 bits might not hold.
ALTER TABLE nics ADD COLUMN wide_rx_bytes TEXT NOT NULL DEFAULT '0';
ALTER TABLE nics ADD COLUMN wide_tx_bytes TEXT NOT NULL DEFAULT '0';
ALTER TABLE nics ADD COLUMN wide_rx_packets TEXT NOT NULL DEFAULT '0';
ALTER TABLE nics ADD COLUMN wide_tx_packets TEXT NOT NULL DEFAULT '0';
UPDATE nics SET wide_rx_bytes = expired_rx_bytes, wide_tx_bytes = expired_tx_bytes,
    wide_rx_packets = expired_rx_packets, wide_tx_packets = expired_tx_packets;
ALTER TABLE nics DROP COLUMN expired_rx_bytes;
ALTER TABLE nics DROP COLUMN expired_tx_bytes;
ALTER TABLE nics DROP COLUMN expired_rx_packets;
ALTER TABLE nics DROP COLUMN expired_tx_packets;
ALTER TABLE nics RENAME COLUMN wide_rx_bytes TO expired_rx_bytes;
ALTER TABLE nics RENAME COLUMN wide_tx_bytes TO expired_tx_bytes;
ALTER TABLE nics RENAME COLUMN wide_rx_packets TO expired_rx_packets;
ALTER TABLE nics RENAME COLUMN wide_tx_packets TO expired_tx_packets;

-- As before, by sums that can't overflow.
DROP VIEW bandwidth_report;
-- One row for each sample of a NIC that counts in its host's total. Speeds are bytes per second
-- over the samples of the last 2 s: where there are 10 or more, without the highest and lowest
-- tenth. Packet sizes are means over the same 2 s, NULL without packets. Restrict `time` (and
-- client_id, nic) rather than `timestamp`, which no index knows.
CREATE VIEW bandwidth_report AS
SELECT c.client_id, c.alias, n.name AS nic,
       strftime('%Y-%m-%d %H:%M:%f', s.time / 1e9, 'unixepoch') AS timestamp,
       (SELECT total(bytes) * 1e9 / total(interval_ns) FROM (
            SELECT w.tx_bytes AS bytes, w.interval_ns, count(*) OVER () AS n,
                   row_number() OVER (ORDER BY w.tx_bytes * 1.0 / w.interval_ns) AS place
            FROM bandwidth_stats w
            WHERE w.client = s.client AND w.nic = s.nic AND w.time <= s.time
              AND w.time >= min(s.time, s.time + s.interval_ns - 2000000000))
        WHERE n < 10 OR place BETWEEN n / 10 + 1 AND n - n / 10) AS upload_speed,
       (SELECT total(bytes) * 1e9 / total(interval_ns) FROM (
            SELECT w.rx_bytes AS bytes, w.interval_ns, count(*) OVER () AS n,
                   row_number() OVER (ORDER BY w.rx_bytes * 1.0 / w.interval_ns) AS place
            FROM bandwidth_stats w
            WHERE w.client = s.client AND w.nic = s.nic AND w.time <= s.time
              AND w.time >= min(s.time, s.time + s.interval_ns - 2000000000))
        WHERE n < 10 OR place BETWEEN n / 10 + 1 AND n - n / 10) AS download_speed,
       (SELECT total(w.tx_bytes) / nullif(total(w.tx_packets), 0) FROM bandwidth_stats w
        WHERE w.client = s.client AND w.nic = s.nic AND w.time <= s.time
          AND w.time >= min(s.time, s.time + s.interval_ns - 2000000000))
           AS avg_upload_packet_size,
       (SELECT total(w.rx_bytes) / nullif(total(w.rx_packets), 0) FROM bandwidth_stats w
        WHERE w.client = s.client AND w.nic = s.nic AND w.time <= s.time
          AND w.time >= min(s.time, s.time + s.interval_ns - 2000000000))
           AS avg_download_packet_size,
       s.time
FROM clients c
JOIN nics n ON n.client = c.id
JOIN bandwidth_stats s ON s.client = c.id AND s.nic = n.id
WHERE s.flags & 1 = 0;
