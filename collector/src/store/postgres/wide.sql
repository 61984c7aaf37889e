-- Mean rates of 5-minute intervals, bit/s, over the time that was measured of each; at most what a
-- bigint holds, so that nobody's figures keep those of others from being read.
CREATE OR REPLACE VIEW bandwidth_rates_5m AS
SELECT c.client_id, c.alias, n.name AS nic, r.time AS timestamp,
       least(round(r.rx_bytes * 8e9 / r.covered_ns), 9223372036854775807)::bigint
           AS rx_bits_per_second,
       least(round(r.tx_bytes * 8e9 / r.covered_ns), 9223372036854775807)::bigint
           AS tx_bits_per_second
FROM bandwidth_5m r
JOIN nics n ON n.id = r.nic
JOIN clients c ON c.id = r.client
WHERE r.covered_ns > 0;
