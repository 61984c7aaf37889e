-- On Citus nothing is packed: its nodes can't unpack.
CREATE OR REPLACE VIEW bandwidth_stats AS SELECT * FROM hot_samples;

CREATE OR REPLACE VIEW traffic_mix AS
SELECT *, time AS stretch_from, time AS stretch_to FROM hot_mixes;

CREATE OR REPLACE VIEW bandwidth_samples AS
SELECT c.client_id, c.alias, n.name AS nic, s.time AS timestamp, s.interval_ns, s.rx_bytes,
       s.tx_bytes, s.rx_packets, s.tx_packets, s.rx_captured, s.tx_captured,
       s.rx_peak_1ms_bytes, s.tx_peak_1ms_bytes, s.rx_peak_10ms_bytes, s.tx_peak_10ms_bytes,
       s.drops, s.flags, s.client, s.time AS stretch_from, s.time AS stretch_to
FROM hot_samples s
JOIN nics n ON n.id = s.nic
JOIN clients c ON c.id = s.client;

-- As in views.sql.
CREATE OR REPLACE VIEW bandwidth_report AS
SELECT c.client_id, c.alias, n.name AS nic, s.time AS timestamp,
       report.upload_speed, report.download_speed,
       report.avg_upload_packet_size, report.avg_download_packet_size,
       s.time AS stretch_from, s.time AS stretch_to
FROM hot_samples s
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
          FROM hot_samples w
          WHERE w.client = s.client AND w.nic = s.nic AND w.time <= s.time
            AND w.time >= least(s.time, s.time + s.interval_ns / 1000 * interval '1 microsecond'
                                        - interval '2 seconds')) AS latest
) AS report
WHERE s.flags & 1 = 0;

CREATE OR REPLACE FUNCTION samples_between(of_client integer, of_nic integer, from_time timestamptz, to_time timestamptz)
RETURNS SETOF hot_samples LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path FROM CURRENT AS $$
BEGIN
    RETURN QUERY SELECT * FROM hot_samples h
        WHERE h.client = of_client AND h.nic = of_nic AND h.time >= from_time AND h.time <= to_time;
END
$$;
