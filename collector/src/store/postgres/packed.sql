-- Samples of one NIC within one hour (UTC), column by column. Those of a NIC don't overlap.
CREATE SEQUENCE packed_samples_id;
CREATE TABLE packed_samples (
    id                 bigint NOT NULL DEFAULT nextval('packed_samples_id'),
    -- Starts of the first and the last sample. The stretch is deleted once its last one is too old.
    first              timestamptz NOT NULL,
    time               timestamptz NOT NULL,
    client             integer NOT NULL,
    nic                integer NOT NULL,
    -- Number, sums and highest peaks of the samples.
    samples            bigint NOT NULL,
    interval_ns        numeric NOT NULL,
    rx_bytes           numeric NOT NULL,
    tx_bytes           numeric NOT NULL,
    rx_packets         numeric NOT NULL,
    tx_packets         numeric NOT NULL,
    rx_captured        numeric NOT NULL,
    tx_captured        numeric NOT NULL,
    rx_peak_1ms_bytes  bigint NOT NULL,
    tx_peak_1ms_bytes  bigint NOT NULL,
    rx_peak_10ms_bytes bigint NOT NULL,
    tx_peak_10ms_bytes bigint NOT NULL,
    drops              numeric NOT NULL,
    flags              integer NOT NULL,
    -- The samples (store/rows/packed), each column with its checksum.
    columns            bytea NOT NULL
) PARTITION BY RANGE (time);
CREATE INDEX packed_samples_nic ON packed_samples (client, nic, time);
CREATE TABLE packed_samples_default PARTITION OF packed_samples DEFAULT;
CREATE INDEX packed_samples_default_time ON packed_samples_default (time);

-- One column of packed samples, from byte `at` on; `bits` are all bytes as bits. `like_column` is the one that
-- some blocks are written as differences from.
CREATE FUNCTION unpack_column(columns bytea, bits bit varying, at integer, samples integer, like_column bigint[])
RETURNS bigint[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    all_equal CONSTANT boolean := get_byte(columns, at) = 0;
    -- Of each block of 128 numbers: how it is written, bits of a number, its first bit, the least number.
    ways integer[] := '{}';
    widths integer[] := '{}';
    places integer[] := '{}';
    lows bigint[] := '{}';
    width integer;
    low bigint;
    part integer;
    shift integer;
    done integer := 0;
    numbers bigint[];
    sums bigint[] := '{}';
    last bigint := 0;
BEGIN
    at := at + 1;
    WHILE done < samples LOOP
        IF NOT all_equal THEN
            ways := ways || get_byte(columns, at);
            width := get_byte(columns, at + 1);
            at := at + 2;
        END IF;
        low := 0;
        shift := 0;
        LOOP
            part := get_byte(columns, at);
            at := at + 1;
            low := low | ((part & 127)::bigint << shift);
            EXIT WHEN part < 128;
            shift := shift + 7;
        END LOOP;
        low := (low >> 1 & 9223372036854775807) # -(low & 1);
        IF all_equal THEN
            RETURN array_fill(low, ARRAY[samples]);
        END IF;
        lows := lows || low;
        widths := widths || width;
        places := places || 8 * at + 1;
        at := at + (least(128, samples - done) * width + 7) / 8;
        done := done + 128;
    END LOOP;
    -- Functions in the list of columns are read row by row, without a copy. Numbers of 64 bits may lie
    -- beyond a bigint until the least one is added.
    numbers := ARRAY(
        SELECT CASE WHEN block_width = 0 THEN block_low
                    WHEN block_width < 64 THEN block_low + int8(substring(bits FROM place FOR block_width))
                    ELSE (block_low::numeric + int8(substring(bits FROM place FOR 64))
                        + CASE WHEN get_bit(substring(bits FROM place FOR 1), 0) = 1
                               THEN 18446744073709551616 ELSE 0 END)::bigint END
               + CASE WHEN way = 2 THEN like_column[row_number] ELSE 0 END
        FROM (SELECT way, block_low, block_width,
                     block_place + block_width * generate_series(0, 127) AS place,
                     128 * nth + generate_series(1, 128) AS row_number
              FROM (SELECT unnest(ways) AS way, unnest(lows) AS block_low, unnest(widths) AS block_width,
                           unnest(places) AS block_place,
                           generate_series(0, cardinality(ways) - 1) AS nth) AS blocks) AS number
        LIMIT samples);
    IF NOT 1 = ANY (ways) THEN
        RETURN numbers;
    END IF;
    done := 0;
    FOREACH low IN ARRAY numbers LOOP
        last := CASE WHEN ways[done / 128 + 1] = 1 THEN last + low ELSE low END;
        sums := sums || last;
        done := done + 1;
    END LOOP;
    RETURN sums;
END
$$;

-- The samples of a row of packed_samples.
CREATE FUNCTION unpack_samples(client integer, nic integer, columns bytea)
RETURNS SETOF hot_samples LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path FROM CURRENT AS $$
DECLARE
    bits CONSTANT bit varying := ('x' || encode(columns, 'hex'))::bit varying;
    -- A column's one like it, by place; 0 is the number of samples.
    like_places CONSTANT integer[] := '{0,0,0,0,4,0,6,0,0,9,0,11,0,0}';
    at integer := 1;
    number bigint;
    part integer;
    shift integer;
    samples integer;
    unpacked bigint[];
    c1 bigint[]; c2 bigint[]; c3 bigint[]; c4 bigint[]; c5 bigint[]; c6 bigint[]; c7 bigint[];
    c8 bigint[]; c9 bigint[]; c10 bigint[]; c11 bigint[]; c12 bigint[]; c13 bigint[]; c14 bigint[];
BEGIN
    IF get_byte(columns, 0) <> 1 THEN
        RAISE 'packed samples of % bytes are damaged: run netmon-collector fsck', length(columns);
    END IF;
    FOR place IN 0..14 LOOP
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
            samples := number;
            CONTINUE;
        END IF;
        -- Behind the length, its checksum.
        at := at + 4;
        unpacked := unpack_column(columns, bits, at, samples, CASE like_places[place]
            WHEN 4 THEN c4 WHEN 6 THEN c6 WHEN 9 THEN c9 WHEN 11 THEN c11 END);
        at := at + number;
        CASE place
            WHEN 1 THEN c1 := unpacked; WHEN 2 THEN c2 := unpacked; WHEN 3 THEN c3 := unpacked;
            WHEN 4 THEN c4 := unpacked; WHEN 5 THEN c5 := unpacked; WHEN 6 THEN c6 := unpacked;
            WHEN 7 THEN c7 := unpacked; WHEN 8 THEN c8 := unpacked; WHEN 9 THEN c9 := unpacked;
            WHEN 10 THEN c10 := unpacked; WHEN 11 THEN c11 := unpacked; WHEN 12 THEN c12 := unpacked;
            WHEN 13 THEN c13 := unpacked; ELSE c14 := unpacked;
        END CASE;
    END LOOP;
    RETURN QUERY SELECT timestamptz 'epoch' + unnest(c1) / 1000 * interval '1 microsecond', unnest(c2),
        unnest(c3), unnest(c8), client, nic, unnest(c4)::integer, unnest(c9)::integer,
        unnest(c5)::integer, unnest(c10)::integer, unnest(c6)::integer, unnest(c11)::integer,
        unnest(c7)::integer, unnest(c12)::integer, unnest(c13)::integer, unnest(c14)::integer;
END
$$;

-- The start of the 2 s before the end of a sample, or of the sample.
CREATE FUNCTION recent_from(start timestamptz, interval_ns bigint) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT least(start, start + interval_ns / 1000 * interval '1 microsecond' - interval '2 seconds')
$$;

-- The samples of a NIC that start in a closed range.
CREATE FUNCTION samples_between(of_client integer, of_nic integer, from_time timestamptz, to_time timestamptz)
RETURNS SETOF hot_samples LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path FROM CURRENT AS $$
BEGIN
    RETURN QUERY SELECT * FROM hot_samples h
        WHERE h.client = of_client AND h.nic = of_nic AND h.time >= from_time AND h.time <= to_time;
    RETURN QUERY SELECT u.* FROM packed_samples p, unpack_samples(p.client, p.nic, p.columns) u
        WHERE p.client = of_client AND p.nic = of_nic AND p.time >= from_time AND p.first <= to_time
          AND p.time < to_time + interval '1 hour' AND u.time >= from_time AND u.time <= to_time;
END
$$;

-- The samples of a stretch that count in their host's total, and for each those of the 2 s before its end, from
-- those near the stretch. It reads no table: who may ask the view need not have rights on tables.
CREATE FUNCTION recent_of_stretch(near hot_samples[], of_client integer, of_nic integer, columns bytea)
RETURNS TABLE (sample_time timestamptz, recent hot_samples[])
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path FROM CURRENT AS $$
BEGIN
    RETURN QUERY WITH windows AS MATERIALIZED (
        SELECT w.time, array_agg(w) OVER (ORDER BY w.time RANGE BETWEEN interval '2 seconds' PRECEDING
                                          AND CURRENT ROW) AS before
        FROM unnest(near) AS w)
    SELECT s.time, ARRAY(SELECT b FROM unnest(n.before) AS b
                         WHERE b.time >= recent_from(s.time, s.interval_ns))
    FROM unpack_samples(of_client, of_nic, columns) AS s
    JOIN (SELECT DISTINCT ON (windows.time) windows.time, before FROM windows) AS n ON n.time = s.time
    WHERE s.flags & 1 = 0;
END
$$;

-- Samples: one row each.
CREATE VIEW bandwidth_stats AS
SELECT * FROM hot_samples
UNION ALL
SELECT u.time, u.interval_ns, u.rx_bytes, u.tx_bytes, p.client, p.nic, u.rx_packets, u.tx_packets,
       u.rx_captured, u.tx_captured, u.rx_peak_1ms_bytes, u.tx_peak_1ms_bytes,
       u.rx_peak_10ms_bytes, u.tx_peak_10ms_bytes, u.drops, u.flags
FROM packed_samples p CROSS JOIN LATERAL unpack_samples(p.client, p.nic, p.columns) AS u;

-- The samples of a stretch are unpacked together: in a query for a short time, restrict stretch_to and
-- stretch_from besides `timestamp`.
CREATE OR REPLACE VIEW bandwidth_samples AS
SELECT c.client_id, c.alias, n.name AS nic, s.time AS timestamp, s.interval_ns, s.rx_bytes,
       s.tx_bytes, s.rx_packets, s.tx_packets, s.rx_captured, s.tx_captured,
       s.rx_peak_1ms_bytes, s.tx_peak_1ms_bytes, s.rx_peak_10ms_bytes, s.tx_peak_10ms_bytes,
       s.drops, s.flags, s.client, s.time AS stretch_from, s.time AS stretch_to
FROM hot_samples s
JOIN nics n ON n.id = s.nic
JOIN clients c ON c.id = s.client
UNION ALL
SELECT c.client_id, c.alias, n.name, u.time, u.interval_ns, u.rx_bytes,
       u.tx_bytes, u.rx_packets, u.tx_packets, u.rx_captured, u.tx_captured,
       u.rx_peak_1ms_bytes, u.tx_peak_1ms_bytes, u.rx_peak_10ms_bytes, u.tx_peak_10ms_bytes,
       u.drops, u.flags, p.client, p.first, p.time
FROM packed_samples p
JOIN nics n ON n.id = p.nic
JOIN clients c ON c.id = p.client
CROSS JOIN LATERAL unpack_samples(p.client, p.nic, p.columns) AS u;

-- One row for each sample of a NIC that counts in its host's total. Speeds are bytes per second
-- over the samples of the last 2 s: where there are 10 or more, without the highest and lowest
-- tenth. Packet sizes are means over the same 2 s, NULL without packets.
CREATE OR REPLACE VIEW bandwidth_report AS
SELECT s.client_id, s.alias, s.nic, s.time AS timestamp,
       report.upload_speed, report.download_speed,
       report.avg_upload_packet_size, report.avg_download_packet_size,
       s.stretch_from, s.stretch_to
FROM (SELECT c.client_id, c.alias, n.name AS nic, h.time, h.time AS stretch_from, h.time AS stretch_to, ARRAY(
          SELECT w FROM hot_samples w
          WHERE w.client = h.client AND w.nic = h.nic AND w.time <= h.time
            AND w.time >= recent_from(h.time, h.interval_ns)
          UNION ALL
          SELECT u FROM packed_samples p CROSS JOIN LATERAL unpack_samples(p.client, p.nic, p.columns) AS u
          WHERE p.client = h.client AND p.nic = h.nic AND p.first <= h.time
            AND p.time >= recent_from(h.time, h.interval_ns) AND p.time < h.time + interval '1 hour'
            AND u.time <= h.time AND u.time >= recent_from(h.time, h.interval_ns)) AS recent
      FROM hot_samples h
      JOIN nics n ON n.id = h.nic
      JOIN clients c ON c.id = h.client
      WHERE h.flags & 1 = 0
      UNION ALL
      SELECT c.client_id, c.alias, n.name, w.sample_time, p.first, p.time, w.recent
      FROM packed_samples p
      JOIN nics n ON n.id = p.nic
      JOIN clients c ON c.id = p.client
      CROSS JOIN LATERAL recent_of_stretch(ARRAY(
          SELECT h FROM hot_samples h
          WHERE h.client = p.client AND h.nic = p.nic AND h.time <= p.time
            AND h.time >= p.first - interval '2 seconds'
          UNION ALL
          SELECT u FROM packed_samples q CROSS JOIN LATERAL unpack_samples(q.client, q.nic, q.columns) AS u
          WHERE q.client = p.client AND q.nic = p.nic AND q.first <= p.time
            AND q.time >= p.first - interval '2 seconds' AND q.time < p.time + interval '1 hour'
            AND u.time <= p.time AND u.time >= p.first - interval '2 seconds'),
          p.client, p.nic, p.columns) AS w) AS s
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
          FROM unnest(s.recent) AS w) AS latest
) AS report;
