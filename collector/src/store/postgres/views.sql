-- Views over the fact tables.
CREATE VIEW bandwidth_samples AS
SELECT c.client_id, c.alias, n.name AS nic, s.time AS timestamp, s.interval_ns, s.rx_bytes,
       s.tx_bytes, s.rx_packets, s.tx_packets, s.rx_captured, s.tx_captured,
       s.rx_peak_1ms_bytes, s.tx_peak_1ms_bytes, s.rx_peak_10ms_bytes, s.tx_peak_10ms_bytes,
       s.drops, s.flags
FROM bandwidth_stats s
JOIN nics n ON n.id = s.nic
JOIN clients c ON c.id = s.client;

-- One row for each sample of a NIC that counts in its host's total. Speeds are bytes per second
-- over the samples of the last 2 s: where there are 10 or more, without the highest and lowest
-- tenth. Packet sizes are means over the same 2 s, NULL without packets.
CREATE VIEW bandwidth_report AS
SELECT c.client_id, c.alias, n.name AS nic, s.time AS timestamp,
       report.upload_speed, report.download_speed,
       report.avg_upload_packet_size, report.avg_download_packet_size
FROM bandwidth_stats s
JOIN nics n ON n.id = s.nic
JOIN clients c ON c.id = s.client
CROSS JOIN LATERAL (
    SELECT (sum(tx_bytes) FILTER (WHERE n < 10 OR up BETWEEN n / 10 + 1 AND n - n / 10) * 1e9
               / sum(interval_ns) FILTER (WHERE n < 10 OR up BETWEEN n / 10 + 1 AND n - n / 10)
           )::double precision AS upload_speed,
           (sum(rx_bytes) FILTER (WHERE n < 10 OR down BETWEEN n / 10 + 1 AND n - n / 10) * 1e9
               / sum(interval_ns) FILTER (WHERE n < 10 OR down BETWEEN n / 10 + 1 AND n - n / 10)
           )::double precision AS download_speed,
           (sum(tx_bytes) / nullif(sum(tx_packets), 0))::double precision
               AS avg_upload_packet_size,
           (sum(rx_bytes) / nullif(sum(rx_packets), 0))::double precision
               AS avg_download_packet_size
    FROM (SELECT w.rx_bytes, w.tx_bytes, w.rx_packets, w.tx_packets, w.interval_ns,
                 count(*) OVER () AS n,
                 row_number() OVER (ORDER BY w.tx_bytes::numeric / w.interval_ns) AS up,
                 row_number() OVER (ORDER BY w.rx_bytes::numeric / w.interval_ns) AS down
          FROM bandwidth_stats w
          WHERE w.client = s.client AND w.nic = s.nic AND w.time <= s.time
            AND w.time >= least(s.time, s.time + s.interval_ns / 1000 * interval '1 microsecond'
                                        - interval '2 seconds')) AS latest
) AS report
WHERE s.flags & 1 = 0;
