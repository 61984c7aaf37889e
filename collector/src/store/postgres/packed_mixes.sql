-- Mixes of one NIC within one hour (UTC), column by column. Those that came late are a stretch of their own.
CREATE SEQUENCE packed_mixes_id;
CREATE TABLE packed_mixes (
    id      bigint NOT NULL DEFAULT nextval('packed_mixes_id'),
    -- Starts of the first and the last mix. The stretch is deleted once its last one is too old.
    first   timestamptz NOT NULL,
    time    timestamptz NOT NULL,
    client  integer NOT NULL,
    nic     integer NOT NULL,
    -- Number of mixes.
    mixes   bigint NOT NULL,
    -- The mixes (store/rows/packed), each column with its checksum.
    columns bytea NOT NULL
) PARTITION BY RANGE (time);
CREATE INDEX packed_mixes_nic ON packed_mixes (client, nic, time);
CREATE TABLE packed_mixes_default PARTITION OF packed_mixes DEFAULT;
CREATE INDEX packed_mixes_default_time ON packed_mixes_default (time);

-- The mixes of a row of packed_mixes.
CREATE FUNCTION unpack_mixes(client integer, nic integer, columns bytea)
RETURNS SETOF hot_mixes LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path FROM CURRENT AS $$
DECLARE
    bits CONSTANT bit varying := ('x' || encode(columns, 'hex'))::bit varying;
    at integer := 1;
    number bigint;
    part integer;
    shift integer;
    mixes integer;
    -- Place of the column like which one is written.
    place_like integer;
    -- The columns, each an array of its numbers.
    m bigint[] := '{}';
BEGIN
    IF get_byte(columns, 0) <> 2 THEN
        RAISE 'packed mixes of % bytes are damaged: run netmon-collector fsck', length(columns);
    END IF;
    -- 0 is the number of mixes.
    FOR place IN 0..54 LOOP
        number := 0;
        shift := 0;
        LOOP
            part := get_byte(columns, at);
            at := at + 1;
            number := number | ((part & 127)::bigint << shift);
            EXIT WHEN part < 128;
            shift := shift + 7;
        END LOOP;
        IF place = 0 THEN
            mixes := number;
            CONTINUE;
        END IF;
        -- Bytes of TCP and IPv4; packets and bytes of the kernel, and those of TCP and IPv4.
        place_like := CASE place WHEN 19 THEN 14 WHEN 42 THEN 37 WHEN 49 THEN 18 WHEN 50 THEN 41
            WHEN 51 THEN 14 WHEN 52 THEN 37 END;
        -- Behind the length, its checksum.
        at := at + 4;
        m := m || ARRAY[unpack_column(columns, bits, at, mixes,
            CASE WHEN place_like > 0 THEN ARRAY(SELECT unnest(m[place_like:place_like])) END)];
        at := at + number;
    END LOOP;
    RETURN QUERY SELECT timestamptz 'epoch' + m[1][nth] / 1000 * interval '1 microsecond', m[2][nth], client, nic,
        m[3][nth], m[4][nth], m[5][nth], m[6][nth], m[7][nth], m[8][nth], m[9][nth], m[10][nth], m[11][nth],
        m[12][nth], m[13][nth], m[14][nth], m[15][nth], m[16][nth], m[17][nth], m[18][nth], m[19][nth], m[20][nth],
        m[21][nth], m[22][nth], m[23][nth], m[24][nth], m[25][nth], m[26][nth], m[27][nth], m[28][nth], m[29][nth],
        m[30][nth], m[31][nth], m[32][nth], m[33][nth], m[34][nth], m[35][nth], m[36][nth], m[37][nth], m[38][nth],
        m[39][nth], m[40][nth], m[41][nth], m[42][nth], m[43][nth], m[44][nth], m[45][nth], m[46][nth], m[47][nth],
        m[48][nth], m[49][nth], m[50][nth], m[51][nth], m[52][nth], m[53][nth], m[54][nth]
    FROM generate_series(1, mixes) AS nth;
END
$$;

-- What traffic was made of: one row each. The mixes of a stretch are unpacked together: in a query for a short time,
-- restrict stretch_to and stretch_from besides `time`.
CREATE VIEW traffic_mix AS
SELECT *, time AS stretch_from, time AS stretch_to FROM hot_mixes
UNION ALL
SELECT u.time, u.interval_ns, p.client, p.nic, u.rx_multicast_packets, u.rx_broadcast_packets, u.rx_tcp_syn_packets,
       u.rx_tcp_rst_packets, u.rx_size_64_packets, u.rx_size_127_packets, u.rx_size_255_packets,
       u.rx_size_511_packets, u.rx_size_1023_packets, u.rx_size_1518_packets, u.rx_size_over_1518_packets,
       u.rx_ipv4_bytes, u.rx_ipv6_bytes, u.rx_arp_bytes, u.rx_other_bytes, u.rx_tcp_packets, u.rx_tcp_bytes,
       u.rx_udp_packets, u.rx_udp_bytes, u.rx_icmp_packets, u.rx_icmp_bytes, u.rx_other_transport_packets,
       u.rx_other_transport_bytes, u.tx_multicast_packets, u.tx_broadcast_packets, u.tx_tcp_syn_packets,
       u.tx_tcp_rst_packets, u.tx_size_64_packets, u.tx_size_127_packets, u.tx_size_255_packets,
       u.tx_size_511_packets, u.tx_size_1023_packets, u.tx_size_1518_packets, u.tx_size_over_1518_packets,
       u.tx_ipv4_bytes, u.tx_ipv6_bytes, u.tx_arp_bytes, u.tx_other_bytes, u.tx_tcp_packets, u.tx_tcp_bytes,
       u.tx_udp_packets, u.tx_udp_bytes, u.tx_icmp_packets, u.tx_icmp_bytes, u.tx_other_transport_packets,
       u.tx_other_transport_bytes, u.kernel_rx_packets, u.kernel_tx_packets, u.kernel_rx_bytes, u.kernel_tx_bytes,
       u.kernel_dropped, u.kernel_errors, p.first, p.time
FROM packed_mixes p CROSS JOIN LATERAL unpack_mixes(p.client, p.nic, p.columns) AS u;
