BEGIN;
CREATE TABLE clients (
    id                 INTEGER PRIMARY KEY,
    client_id          TEXT NOT NULL UNIQUE,
    alias              TEXT NOT NULL,
    created_at         INTEGER NOT NULL,
    last_seen_at       INTEGER NOT NULL,
    agent_version      TEXT NOT NULL,
    os                 TEXT NOT NULL,
    kernel             TEXT NOT NULL,
    cpus               INTEGER NOT NULL,
    sample_interval_ns INTEGER NOT NULL
, forgotten_at INTEGER) STRICT;
CREATE TABLE nics (
    id                 INTEGER PRIMARY KEY,
    client             INTEGER NOT NULL REFERENCES clients (id),
    name               TEXT NOT NULL,
    if_index           INTEGER NOT NULL DEFAULT 0,
    mac                BLOB NOT NULL DEFAULT x'000000000000',
    mtu                INTEGER NOT NULL DEFAULT 0,
    speed_bits         INTEGER NOT NULL DEFAULT 0,
    kind               TEXT NOT NULL DEFAULT '',
    up                 INTEGER NOT NULL DEFAULT 0,
    stacked            INTEGER NOT NULL DEFAULT 0,
    -- In the inventory that the agent sent last.
    present            INTEGER NOT NULL DEFAULT 0,
    -- Left bandwidth_5m by age, less what forgotten sessions counted: for the proof of `fsck`.
    expired_rx_bytes TEXT NOT NULL DEFAULT '0', expired_tx_bytes TEXT NOT NULL DEFAULT '0', expired_rx_packets TEXT NOT NULL DEFAULT '0', expired_tx_packets TEXT NOT NULL DEFAULT '0',
    UNIQUE (client, name)
) STRICT;
CREATE TABLE sessions (
    -- 64 random bits, as a signed number.
    session         INTEGER PRIMARY KEY,
    client          INTEGER NOT NULL REFERENCES clients (id),
    started         INTEGER NOT NULL,
    committed_seq   INTEGER NOT NULL DEFAULT 0,
    -- How often the session was opened: what an earlier opening left to commit is refused.
    epoch           INTEGER NOT NULL DEFAULT 0,
    committed_at    INTEGER NOT NULL,
    clock_offset_ns INTEGER,
    -- Sequence numbers covered by committed records: equal to committed_seq, or fsck says so.
    covered_seqs    INTEGER NOT NULL DEFAULT 0,
    gap_seqs        INTEGER NOT NULL DEFAULT 0,
    quarantine_seqs INTEGER NOT NULL DEFAULT 0
, committed_digest INTEGER, digest_seq INTEGER, expired_quarantine_seqs INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE session_nics (
    session            INTEGER NOT NULL REFERENCES sessions (session),
    nic                INTEGER NOT NULL REFERENCES nics (id),
    first_rx_bytes     INTEGER NOT NULL,
    first_tx_bytes     INTEGER NOT NULL,
    first_rx_packets   INTEGER NOT NULL,
    first_tx_packets   INTEGER NOT NULL,
    last_rx_bytes      INTEGER NOT NULL,
    last_tx_bytes      INTEGER NOT NULL,
    last_rx_packets    INTEGER NOT NULL,
    last_tx_packets    INTEGER NOT NULL,
    counted_rx_bytes   INTEGER NOT NULL,
    counted_tx_bytes   INTEGER NOT NULL,
    counted_rx_packets INTEGER NOT NULL,
    counted_tx_packets INTEGER NOT NULL,
    PRIMARY KEY (session, nic)
) STRICT, WITHOUT ROWID;
CREATE TABLE bandwidth_stats (
    client             INTEGER NOT NULL,
    nic                INTEGER NOT NULL,
    time               INTEGER NOT NULL,
    -- Counts up where samples of a NIC start at the same time, as after a step of the clock.
    nth                INTEGER NOT NULL,
    interval_ns        INTEGER NOT NULL,
    rx_bytes           INTEGER NOT NULL,
    tx_bytes           INTEGER NOT NULL,
    rx_packets         INTEGER NOT NULL,
    tx_packets         INTEGER NOT NULL,
    rx_captured        INTEGER NOT NULL,
    tx_captured        INTEGER NOT NULL,
    rx_peak_1ms_bytes  INTEGER NOT NULL,
    tx_peak_1ms_bytes  INTEGER NOT NULL,
    rx_peak_10ms_bytes INTEGER NOT NULL,
    tx_peak_10ms_bytes INTEGER NOT NULL,
    drops              INTEGER NOT NULL,
    -- 1 stacked, 2 no vnet header, 4 clock step, 8 partial, 16 no kernel counts; the kernel counts
    -- 32 super-packets, 64 packets that no tap sees, 128 fewer than the tap; 256 unbalanced.
    flags              INTEGER NOT NULL,
    PRIMARY KEY (client, nic, time, nth)
) STRICT, WITHOUT ROWID;
CREATE TABLE bandwidth_1m (
    client             INTEGER NOT NULL,
    nic                INTEGER NOT NULL,
    time               INTEGER NOT NULL,
    samples            INTEGER NOT NULL,
    covered_ns         INTEGER NOT NULL,
    rx_bytes           INTEGER NOT NULL,
    tx_bytes           INTEGER NOT NULL,
    rx_packets         INTEGER NOT NULL,
    tx_packets         INTEGER NOT NULL,
    rx_captured        INTEGER NOT NULL,
    tx_captured        INTEGER NOT NULL,
    rx_peak_1ms_bytes  INTEGER NOT NULL,
    tx_peak_1ms_bytes  INTEGER NOT NULL,
    rx_peak_10ms_bytes INTEGER NOT NULL,
    tx_peak_10ms_bytes INTEGER NOT NULL,
    drops              INTEGER NOT NULL,
    freezes            INTEGER NOT NULL,
    late               INTEGER NOT NULL,
    inexact            INTEGER NOT NULL,
    kernel_rx_packets  INTEGER NOT NULL,
    kernel_tx_packets  INTEGER NOT NULL,
    kernel_rx_bytes    INTEGER NOT NULL,
    kernel_tx_bytes    INTEGER NOT NULL,
    kernel_dropped     INTEGER NOT NULL,
    kernel_errors      INTEGER NOT NULL,
    flags              INTEGER NOT NULL,
    PRIMARY KEY (client, nic, time)
) STRICT, WITHOUT ROWID;
CREATE TABLE bandwidth_5m (
    client             INTEGER NOT NULL,
    nic                INTEGER NOT NULL,
    time               INTEGER NOT NULL,
    samples            INTEGER NOT NULL,
    covered_ns         INTEGER NOT NULL,
    rx_bytes           INTEGER NOT NULL,
    tx_bytes           INTEGER NOT NULL,
    rx_packets         INTEGER NOT NULL,
    tx_packets         INTEGER NOT NULL,
    rx_captured        INTEGER NOT NULL,
    tx_captured        INTEGER NOT NULL,
    rx_peak_1ms_bytes  INTEGER NOT NULL,
    tx_peak_1ms_bytes  INTEGER NOT NULL,
    rx_peak_10ms_bytes INTEGER NOT NULL,
    tx_peak_10ms_bytes INTEGER NOT NULL,
    drops              INTEGER NOT NULL,
    freezes            INTEGER NOT NULL,
    late               INTEGER NOT NULL,
    inexact            INTEGER NOT NULL,
    kernel_rx_packets  INTEGER NOT NULL,
    kernel_tx_packets  INTEGER NOT NULL,
    kernel_rx_bytes    INTEGER NOT NULL,
    kernel_tx_bytes    INTEGER NOT NULL,
    kernel_dropped     INTEGER NOT NULL,
    kernel_errors      INTEGER NOT NULL,
    flags              INTEGER NOT NULL,
    PRIMARY KEY (client, nic, time)
) STRICT, WITHOUT ROWID;
CREATE TABLE traffic_mix (
    client                     INTEGER NOT NULL,
    nic                        INTEGER NOT NULL,
    time                       INTEGER NOT NULL,
    nth                        INTEGER NOT NULL,
    interval_ns                INTEGER NOT NULL,
    rx_multicast_packets       INTEGER NOT NULL,
    rx_broadcast_packets       INTEGER NOT NULL,
    rx_tcp_syn_packets         INTEGER NOT NULL,
    rx_tcp_rst_packets         INTEGER NOT NULL,
    rx_size_64_packets         INTEGER NOT NULL,
    rx_size_127_packets        INTEGER NOT NULL,
    rx_size_255_packets        INTEGER NOT NULL,
    rx_size_511_packets        INTEGER NOT NULL,
    rx_size_1023_packets       INTEGER NOT NULL,
    rx_size_1518_packets       INTEGER NOT NULL,
    rx_size_over_1518_packets  INTEGER NOT NULL,
    rx_ipv4_bytes              INTEGER NOT NULL,
    rx_ipv6_bytes              INTEGER NOT NULL,
    rx_arp_bytes               INTEGER NOT NULL,
    rx_other_bytes             INTEGER NOT NULL,
    rx_tcp_packets             INTEGER NOT NULL,
    rx_tcp_bytes               INTEGER NOT NULL,
    rx_udp_packets             INTEGER NOT NULL,
    rx_udp_bytes               INTEGER NOT NULL,
    rx_icmp_packets            INTEGER NOT NULL,
    rx_icmp_bytes              INTEGER NOT NULL,
    rx_other_transport_packets INTEGER NOT NULL,
    rx_other_transport_bytes   INTEGER NOT NULL,
    tx_multicast_packets       INTEGER NOT NULL,
    tx_broadcast_packets       INTEGER NOT NULL,
    tx_tcp_syn_packets         INTEGER NOT NULL,
    tx_tcp_rst_packets         INTEGER NOT NULL,
    tx_size_64_packets         INTEGER NOT NULL,
    tx_size_127_packets        INTEGER NOT NULL,
    tx_size_255_packets        INTEGER NOT NULL,
    tx_size_511_packets        INTEGER NOT NULL,
    tx_size_1023_packets       INTEGER NOT NULL,
    tx_size_1518_packets       INTEGER NOT NULL,
    tx_size_over_1518_packets  INTEGER NOT NULL,
    tx_ipv4_bytes              INTEGER NOT NULL,
    tx_ipv6_bytes              INTEGER NOT NULL,
    tx_arp_bytes               INTEGER NOT NULL,
    tx_other_bytes             INTEGER NOT NULL,
    tx_tcp_packets             INTEGER NOT NULL,
    tx_tcp_bytes               INTEGER NOT NULL,
    tx_udp_packets             INTEGER NOT NULL,
    tx_udp_bytes               INTEGER NOT NULL,
    tx_icmp_packets            INTEGER NOT NULL,
    tx_icmp_bytes              INTEGER NOT NULL,
    tx_other_transport_packets INTEGER NOT NULL,
    tx_other_transport_bytes   INTEGER NOT NULL,
    kernel_rx_packets          INTEGER NOT NULL,
    kernel_tx_packets          INTEGER NOT NULL,
    kernel_rx_bytes            INTEGER NOT NULL,
    kernel_tx_bytes            INTEGER NOT NULL,
    kernel_dropped             INTEGER NOT NULL,
    kernel_errors              INTEGER NOT NULL,
    PRIMARY KEY (client, nic, time, nth)
) STRICT, WITHOUT ROWID;
CREATE TABLE gaps (
    session            INTEGER NOT NULL REFERENCES sessions (session),
    first_seq          INTEGER NOT NULL,
    last_seq           INTEGER NOT NULL,
    reason             INTEGER NOT NULL,
    client             INTEGER NOT NULL,
    nic                INTEGER,
    time               INTEGER,
    interval_ns        INTEGER,
    rx_bytes           INTEGER NOT NULL DEFAULT 0,
    tx_bytes           INTEGER NOT NULL DEFAULT 0,
    rx_packets         INTEGER NOT NULL DEFAULT 0,
    tx_packets         INTEGER NOT NULL DEFAULT 0,
    rx_captured        INTEGER NOT NULL DEFAULT 0,
    tx_captured        INTEGER NOT NULL DEFAULT 0,
    rx_peak_1ms_bytes  INTEGER NOT NULL DEFAULT 0,
    tx_peak_1ms_bytes  INTEGER NOT NULL DEFAULT 0,
    rx_peak_10ms_bytes INTEGER NOT NULL DEFAULT 0,
    tx_peak_10ms_bytes INTEGER NOT NULL DEFAULT 0,
    drops              INTEGER NOT NULL DEFAULT 0,
    flags              INTEGER NOT NULL DEFAULT 0
, arrived INTEGER) STRICT;
CREATE TABLE quarantine (
    session     INTEGER NOT NULL REFERENCES sessions (session),
    first_seq   INTEGER NOT NULL,
    last_seq    INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    reason      TEXT NOT NULL,
    frame       BLOB NOT NULL,
    PRIMARY KEY (session, first_seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE retention (
    one            INTEGER PRIMARY KEY CHECK (one = 1),
    raw_from       INTEGER NOT NULL,
    rollup_1m_from INTEGER NOT NULL,
    rollup_5m_from INTEGER NOT NULL
, clock INTEGER) STRICT;
CREATE TABLE link_changes (
    client INTEGER NOT NULL,
    nic    INTEGER NOT NULL REFERENCES nics (id),
    time   INTEGER NOT NULL,
    up     INTEGER NOT NULL,
    PRIMARY KEY (client, nic, time)
) STRICT, WITHOUT ROWID;
CREATE TABLE revocations (
    client_id  TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    revoked_at INTEGER NOT NULL,
    forgotten  INTEGER NOT NULL,
    replaced   INTEGER NOT NULL,
    change     INTEGER NOT NULL UNIQUE
) STRICT;
CREATE TABLE token_uses (
    -- Digest of its secret, hexadecimal.
    token      TEXT PRIMARY KEY,
    -- For how many hosts it was used; at least as often as it may be once it is cancelled.
    used       INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE enrolled (
    client_id   TEXT PRIMARY KEY,
    enrolled_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE sign_outs (
    session TEXT PRIMARY KEY,
    ends_at INTEGER NOT NULL,
    change  INTEGER NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;
CREATE TABLE second_hosts (
    client_id TEXT PRIMARY KEY,
    since     INTEGER NOT NULL,
    -- When it was last told: every 10 minutes while it tries.
    told_at   INTEGER NOT NULL,
    -- Addresses of the host that goes on and of the one that was refused.
    kept      TEXT NOT NULL,
    refused   TEXT NOT NULL,
    -- What the second is to the first.
    what      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "clients" VALUES (1, 'web', 'the web server', 1799971200000000000, 1795682635713438695, '1.2.3', 'Debian', '6.1', 4, 500000000, NULL);
INSERT INTO "nics" VALUES (1, 1, 'eth0', 0, X'020000000007', 9000, 0, 'physical', 1, 0, 1, '0', '0', '0', '0');
INSERT INTO "nics" VALUES (2, 1, 'eth1', 0, X'000000000000', 0, 0, '', 0, 0, 0, '0', '0', '0', '0');
INSERT INTO "sessions" VALUES (-8, 1, 1799971200000000000, 17, 1, 1795682635713438695, -77, 17, 13, 0, 8974805065073253815, 17, 0);
INSERT INTO "session_nics" VALUES (-8, 1, 0, 0, 0, 0, 9005, 18005, 100, 190, 9005, 18005, 100, 190);
INSERT INTO "session_nics" VALUES (-8, 2, 0, 0, 0, 0, 10004, 20004, 108, 208, 10004, 20004, 108, 208);
INSERT INTO "bandwidth_stats" VALUES (1, 1, 1799971200000000000, 0, 500000000, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 0, 0);
INSERT INTO "bandwidth_stats" VALUES (1, 1, 1799971260000000000, 0, 500000000, 1001, 2001, 12, 22, 8, 13, 104, 204, 205, 405, 1, 0);
INSERT INTO "bandwidth_stats" VALUES (1, 1, 1799971320000000000, 0, 500000000, 2001, 4001, 22, 42, 13, 23, 204, 404, 405, 805, 2, 0);
INSERT INTO "bandwidth_stats" VALUES (1, 1, 1799971380000000000, 0, 500000000, 3001, 6001, 32, 62, 18, 33, 304, 604, 605, 1205, 0, 0);
INSERT INTO "bandwidth_stats" VALUES (1, 2, 1799971200000000000, 0, 500000000, 1001, 2001, 12, 22, 8, 13, 104, 204, 205, 405, 1, 0);
INSERT INTO "bandwidth_stats" VALUES (1, 2, 1799971260000000000, 0, 500000000, 2001, 4001, 22, 42, 13, 23, 204, 404, 405, 805, 2, 0);
INSERT INTO "bandwidth_stats" VALUES (1, 2, 1799971320000000000, 0, 500000000, 3001, 6001, 32, 62, 18, 33, 304, 604, 605, 1205, 0, 0);
INSERT INTO "bandwidth_stats" VALUES (1, 2, 1799971380000000000, 0, 500000000, 4001, 8001, 42, 82, 23, 43, 404, 804, 805, 1605, 1, 0);
INSERT INTO "bandwidth_1m" VALUES (1, 1, 1799971200000000000, 1, 500000000, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
INSERT INTO "bandwidth_1m" VALUES (1, 1, 1799971260000000000, 1, 500000000, 1001, 2001, 12, 22, 8, 13, 104, 204, 205, 405, 1, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0);
INSERT INTO "bandwidth_1m" VALUES (1, 1, 1799971320000000000, 1, 500000000, 2001, 4001, 22, 42, 13, 23, 204, 404, 405, 805, 2, 0, 0, 0, 0, 0, 14, 0, 0, 0, 0);
INSERT INTO "bandwidth_1m" VALUES (1, 1, 1799971380000000000, 1, 500000000, 3001, 6001, 32, 62, 18, 33, 304, 604, 605, 1205, 0, 0, 0, 0, 0, 0, 21, 0, 0, 0, 0);
INSERT INTO "bandwidth_1m" VALUES (1, 2, 1799971200000000000, 1, 500000000, 1001, 2001, 12, 22, 8, 13, 104, 204, 205, 405, 1, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0);
INSERT INTO "bandwidth_1m" VALUES (1, 2, 1799971260000000000, 1, 500000000, 2001, 4001, 22, 42, 13, 23, 204, 404, 405, 805, 2, 0, 0, 0, 0, 0, 14, 0, 0, 0, 0);
INSERT INTO "bandwidth_1m" VALUES (1, 2, 1799971320000000000, 1, 500000000, 3001, 6001, 32, 62, 18, 33, 304, 604, 605, 1205, 0, 0, 0, 0, 0, 0, 21, 0, 0, 0, 0);
INSERT INTO "bandwidth_1m" VALUES (1, 2, 1799971380000000000, 1, 500000000, 4001, 8001, 42, 82, 23, 43, 404, 804, 805, 1605, 1, 0, 0, 0, 0, 0, 28, 0, 0, 0, 0);
INSERT INTO "bandwidth_5m" VALUES (1, 1, 1799971200000000000, 4, 2000000000, 6004, 12004, 68, 128, 42, 72, 304, 604, 605, 1205, 3, 0, 0, 0, 0, 0, 42, 0, 0, 0, 0);
INSERT INTO "bandwidth_5m" VALUES (1, 2, 1799971200000000000, 4, 2000000000, 10004, 20004, 108, 208, 62, 112, 404, 804, 805, 1605, 4, 0, 0, 0, 0, 0, 70, 0, 0, 0, 0);
INSERT INTO "traffic_mix" VALUES (1, 1, 1799971200000000000, 0, 10000000000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
INSERT INTO "traffic_mix" VALUES (1, 1, 1799971260000000000, 0, 10000000000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
INSERT INTO "traffic_mix" VALUES (1, 1, 1799971320000000000, 0, 10000000000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
INSERT INTO "traffic_mix" VALUES (1, 1, 1799971380000000000, 0, 10000000000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
INSERT INTO "gaps" VALUES (-8, 5, 14, 1, 1, 1, 1799971500000000000, 500000000, 3001, 6001, 32, 62, 18, 33, 304, 604, 605, 1205, 0, 0, 1795682635713438695);
INSERT INTO "gaps" VALUES (-8, 15, 17, 3, 1, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1795682635713438695);
INSERT INTO "retention" VALUES (1, 0, 0, 0, NULL);
CREATE INDEX sessions_client ON sessions (client, started);
CREATE INDEX gaps_session ON gaps (session, first_seq);
CREATE VIEW bandwidth_samples AS
SELECT c.client_id, c.alias, n.name AS nic,
       strftime('%Y-%m-%d %H:%M:%f', s.time / 1e9, 'unixepoch') AS timestamp,
       s.time, s.interval_ns, s.rx_bytes, s.tx_bytes, s.rx_packets, s.tx_packets,
       s.rx_captured, s.tx_captured, s.rx_peak_1ms_bytes, s.tx_peak_1ms_bytes,
       s.rx_peak_10ms_bytes, s.tx_peak_10ms_bytes, s.drops, s.flags
FROM clients c
JOIN nics n ON n.client = c.id
JOIN bandwidth_stats s ON s.client = c.id AND s.nic = n.id;
CREATE VIEW bandwidth_rates_5m AS
SELECT c.client_id, c.alias, n.name AS nic, r.time,
       strftime('%Y-%m-%d %H:%M:%S', r.time / 1000000000, 'unixepoch') AS timestamp,
       CAST(round(r.rx_bytes * 8e9 / r.covered_ns) AS INTEGER) AS rx_bits_per_second,
       CAST(round(r.tx_bytes * 8e9 / r.covered_ns) AS INTEGER) AS tx_bits_per_second
FROM bandwidth_5m r
JOIN nics n ON n.id = r.nic
JOIN clients c ON c.id = r.client
WHERE r.covered_ns > 0;
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
CREATE INDEX gaps_misdated ON gaps (arrived) WHERE reason = 6;
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
CREATE INDEX session_nics_nic ON session_nics (nic);
CREATE INDEX link_changes_nic ON link_changes (nic);
CREATE INDEX gaps_nic ON gaps (nic) WHERE nic IS NOT NULL;
CREATE INDEX quarantine_received ON quarantine (received_at);
PRAGMA application_id = 1313689422;
PRAGMA user_version = 15;
COMMIT;
