-- Where Citus spreads the fact tables over nodes, a client's name alone makes it ask every shard: what
-- has rows of one client asks its number first, and then the one node that has them:
--   SELECT id FROM clients WHERE client_id = 'web';
--   SELECT * FROM bandwidth_samples WHERE client = 17 AND nic = 'eth0' AND timestamp > ...
CREATE OR REPLACE VIEW bandwidth_samples AS
SELECT c.client_id, c.alias, n.name AS nic, s.time AS timestamp, s.interval_ns, s.rx_bytes,
       s.tx_bytes, s.rx_packets, s.tx_packets, s.rx_captured, s.tx_captured,
       s.rx_peak_1ms_bytes, s.tx_peak_1ms_bytes, s.rx_peak_10ms_bytes, s.tx_peak_10ms_bytes,
       s.drops, s.flags, s.client
FROM bandwidth_stats s
JOIN nics n ON n.id = s.nic
JOIN clients c ON c.id = s.client;

CREATE OR REPLACE VIEW bandwidth_rates_5m AS
SELECT c.client_id, c.alias, n.name AS nic, r.time AS timestamp,
       least(round(r.rx_bytes * 8e9 / r.covered_ns), 9223372036854775807)::bigint
           AS rx_bits_per_second,
       least(round(r.tx_bytes * 8e9 / r.covered_ns), 9223372036854775807)::bigint
           AS tx_bits_per_second,
       r.client
FROM bandwidth_5m r
JOIN nics n ON n.id = r.nic
JOIN clients c ON c.id = r.client
WHERE r.covered_ns > 0;

-- As before, in a language that Citus runs: names first, then the rows of that client.
CREATE OR REPLACE FUNCTION bandwidth_p95(of_client text, of_nic text, from_time timestamptz,
    to_time timestamptz) RETURNS TABLE (measured_intervals bigint, rx_bits_per_second bigint,
    tx_bits_per_second bigint, max_bits_per_second bigint)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    client_number integer;
    nic_number integer;
BEGIN
    SELECT c.id, n.id INTO client_number, nic_number FROM clients c JOIN nics n ON n.client = c.id
    WHERE c.client_id = of_client AND n.name = of_nic;
    RETURN QUERY
    WITH ranked AS (
        SELECT r.rx, r.tx, count(*) OVER () AS n,
               row_number() OVER (ORDER BY r.rx DESC) AS rx_place,
               row_number() OVER (ORDER BY r.tx DESC) AS tx_place
        FROM (SELECT least(round(f.rx_bytes * 8e9 / f.covered_ns), 9223372036854775807)::bigint AS rx,
                     least(round(f.tx_bytes * 8e9 / f.covered_ns), 9223372036854775807)::bigint AS tx
              FROM bandwidth_5m f
              WHERE f.client = client_number AND f.nic = nic_number AND f.covered_ns > 0
                AND f.time >= from_time AND f.time <= to_time - interval '5 minutes') AS r),
    found AS (
        SELECT count(*) AS n, max(ranked.rx) FILTER (WHERE rx_place = ranked.n / 20 + 1) AS rx,
               max(ranked.tx) FILTER (WHERE tx_place = ranked.n / 20 + 1) AS tx
        FROM ranked)
    SELECT found.n, found.rx, found.tx, greatest(found.rx, found.tx) FROM found;
END
$$;
