-- Mean rates of 5-minute intervals, bit/s, over the time that was measured of each.
CREATE VIEW bandwidth_rates_5m AS
SELECT c.client_id, c.alias, n.name AS nic, r.time,
       strftime('%Y-%m-%d %H:%M:%S', r.time / 1000000000, 'unixepoch') AS timestamp,
       CAST(round(r.rx_bytes * 8e9 / r.covered_ns) AS INTEGER) AS rx_bits_per_second,
       CAST(round(r.tx_bytes * 8e9 / r.covered_ns) AS INTEGER) AS tx_bits_per_second
FROM bandwidth_5m r
JOIN nics n ON n.id = r.nic
JOIN clients c ON c.id = r.client
WHERE r.covered_ns > 0;

-- The 95th percentile as transit billing takes it, by calendar month (UTC), this month so far: the
-- rates of all measured intervals are sorted, the highest 5 % dropped (rounded down), and the next
-- is the value. What was not measured counts as nothing; measured_intervals tells how much there
-- was.
CREATE VIEW bandwidth_p95_monthly AS
WITH ranked AS (
    SELECT client_id, alias, nic, substr(timestamp, 1, 7) AS month,
           rx_bits_per_second AS rx, tx_bits_per_second AS tx, count(*) OVER w AS n,
           row_number() OVER (w ORDER BY rx_bits_per_second DESC) AS rx_place,
           row_number() OVER (w ORDER BY tx_bits_per_second DESC) AS tx_place
    FROM bandwidth_rates_5m
    WHERE time <= (unixepoch() - 300) * 1000000000
    WINDOW w AS (PARTITION BY client_id, nic, substr(timestamp, 1, 7))),
found AS (
    SELECT client_id, alias, nic, month, count(*) AS n,
           max(rx) FILTER (WHERE rx_place = n / 20 + 1) AS rx,
           max(tx) FILTER (WHERE tx_place = n / 20 + 1) AS tx
    FROM ranked GROUP BY client_id, alias, nic, month)
SELECT client_id, alias, nic, month, n AS measured_intervals, rx AS rx_bits_per_second,
       tx AS tx_bits_per_second, max(rx, tx) AS max_bits_per_second
FROM found;
