-- Mean rates of 5-minute intervals, bit/s, over the time that was measured of each.
CREATE VIEW bandwidth_rates_5m AS
SELECT c.client_id, c.alias, n.name AS nic, r.time AS timestamp,
       round(r.rx_bytes * 8e9 / r.covered_ns)::bigint AS rx_bits_per_second,
       round(r.tx_bytes * 8e9 / r.covered_ns)::bigint AS tx_bits_per_second
FROM bandwidth_5m r
JOIN nics n ON n.id = r.nic
JOIN clients c ON c.id = r.client
WHERE r.covered_ns > 0;

-- The 95th percentile as transit billing takes it: the rates of all measured intervals are sorted,
-- the highest 5 % dropped (rounded down), and the next is the value. What was not measured counts
-- as nothing; measured_intervals tells how much there was.
CREATE FUNCTION bandwidth_p95(of_client text, of_nic text, from_time timestamptz,
    to_time timestamptz) RETURNS TABLE (measured_intervals bigint, rx_bits_per_second bigint,
    tx_bits_per_second bigint, max_bits_per_second bigint)
LANGUAGE sql STABLE AS $$
    WITH ranked AS (
        SELECT r.rx_bits_per_second AS rx, r.tx_bits_per_second AS tx, count(*) OVER () AS n,
               row_number() OVER (ORDER BY r.rx_bits_per_second DESC) AS rx_place,
               row_number() OVER (ORDER BY r.tx_bits_per_second DESC) AS tx_place
        FROM bandwidth_rates_5m r
        WHERE r.client_id = of_client AND r.nic = of_nic AND r.timestamp >= from_time
          AND r.timestamp <= to_time - interval '5 minutes'),
    found AS (
        SELECT count(*) AS n, max(rx) FILTER (WHERE rx_place = n / 20 + 1) AS rx,
               max(tx) FILTER (WHERE tx_place = n / 20 + 1) AS tx
        FROM ranked)
    SELECT n, rx, tx, greatest(rx, tx) FROM found
$$;

-- The same by calendar month (UTC), this month so far.
CREATE VIEW bandwidth_p95_monthly AS
WITH ranked AS (
    SELECT client_id, alias, nic, to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM') AS month,
           rx_bits_per_second AS rx, tx_bits_per_second AS tx, count(*) OVER w AS n,
           row_number() OVER (w ORDER BY rx_bits_per_second DESC) AS rx_place,
           row_number() OVER (w ORDER BY tx_bits_per_second DESC) AS tx_place
    FROM bandwidth_rates_5m
    WHERE timestamp <= now() - interval '5 minutes'
    WINDOW w AS (PARTITION BY client_id, nic,
                 to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM'))),
found AS (
    SELECT client_id, alias, nic, month, count(*) AS n,
           max(rx) FILTER (WHERE rx_place = n / 20 + 1) AS rx,
           max(tx) FILTER (WHERE tx_place = n / 20 + 1) AS tx
    FROM ranked GROUP BY client_id, alias, nic, month)
SELECT client_id, alias, nic, month, n AS measured_intervals, rx AS rx_bits_per_second,
       tx AS tx_bits_per_second, greatest(rx, tx) AS max_bits_per_second
FROM found;
