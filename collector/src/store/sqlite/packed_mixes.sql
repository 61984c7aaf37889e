-- Mixes have two forms: a row each in hot_mixes while they are new, then stretches of up to an hour in packed_mixes.
-- traffic_mix has both. It needs the collector's own function: use `collector sql`. Elsewhere it fails rather than
-- leave out mixes.
ALTER TABLE traffic_mix RENAME TO hot_mixes;

-- Mixes of one NIC within one hour (UTC), column by column. Those that came late are a stretch of their own.
CREATE TABLE packed_mixes (
    id      INTEGER PRIMARY KEY,
    client  INTEGER NOT NULL,
    nic     INTEGER NOT NULL,
    -- Starts of the first and the last mix. The stretch is deleted once its last one is too old.
    first   INTEGER NOT NULL,
    time    INTEGER NOT NULL,
    -- Number of mixes.
    mixes   INTEGER NOT NULL,
    -- The mixes (store/rows/packed), each column with its checksum.
    columns BLOB NOT NULL
) STRICT;

CREATE INDEX packed_mixes_nic ON packed_mixes (client, nic, time);

-- What traffic was made of: one row each. The mixes of a stretch are unpacked together: in a query for a short time,
-- restrict stretch_to and stretch_from besides `time`.
CREATE VIEW traffic_mix AS
SELECT client, nic, time, nth, interval_ns, rx_multicast_packets, rx_broadcast_packets,
       rx_tcp_syn_packets, rx_tcp_rst_packets, rx_size_64_packets, rx_size_127_packets,
       rx_size_255_packets, rx_size_511_packets, rx_size_1023_packets, rx_size_1518_packets,
       rx_size_over_1518_packets, rx_ipv4_bytes, rx_ipv6_bytes, rx_arp_bytes, rx_other_bytes,
       rx_tcp_packets, rx_tcp_bytes, rx_udp_packets, rx_udp_bytes, rx_icmp_packets, rx_icmp_bytes,
       rx_other_transport_packets, rx_other_transport_bytes, tx_multicast_packets,
       tx_broadcast_packets, tx_tcp_syn_packets, tx_tcp_rst_packets, tx_size_64_packets,
       tx_size_127_packets, tx_size_255_packets, tx_size_511_packets, tx_size_1023_packets,
       tx_size_1518_packets, tx_size_over_1518_packets, tx_ipv4_bytes, tx_ipv6_bytes,
       tx_arp_bytes, tx_other_bytes, tx_tcp_packets, tx_tcp_bytes, tx_udp_packets, tx_udp_bytes,
       tx_icmp_packets, tx_icmp_bytes, tx_other_transport_packets, tx_other_transport_bytes,
       kernel_rx_packets, kernel_tx_packets, kernel_rx_bytes, kernel_tx_bytes, kernel_dropped,
       kernel_errors, time AS stretch_from, time AS stretch_to
FROM hot_mixes
UNION ALL
SELECT p.client, p.nic, m.value ->> 0, m.value ->> 1, m.value ->> 2, m.value ->> 3, m.value ->> 4,
       m.value ->> 5, m.value ->> 6, m.value ->> 7, m.value ->> 8, m.value ->> 9, m.value ->> 10,
       m.value ->> 11, m.value ->> 12, m.value ->> 13, m.value ->> 14, m.value ->> 15,
       m.value ->> 16, m.value ->> 17, m.value ->> 18, m.value ->> 19, m.value ->> 20,
       m.value ->> 21, m.value ->> 22, m.value ->> 23, m.value ->> 24, m.value ->> 25,
       m.value ->> 26, m.value ->> 27, m.value ->> 28, m.value ->> 29, m.value ->> 30,
       m.value ->> 31, m.value ->> 32, m.value ->> 33, m.value ->> 34, m.value ->> 35,
       m.value ->> 36, m.value ->> 37, m.value ->> 38, m.value ->> 39, m.value ->> 40,
       m.value ->> 41, m.value ->> 42, m.value ->> 43, m.value ->> 44, m.value ->> 45,
       m.value ->> 46, m.value ->> 47, m.value ->> 48, m.value ->> 49, m.value ->> 50,
       m.value ->> 51, m.value ->> 52, m.value ->> 53, m.value ->> 54, p.first, p.time
FROM packed_mixes p, json_each(only_collector_sql_unpacks_mixes(p.columns)) m;
