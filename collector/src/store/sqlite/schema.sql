-- The collector's store in SQLite. Times are nanoseconds since 1970 (UTC); byte figures are bytes
-- on the wire, from the MAC header to the end of the payload.
--
-- Fact tables refer to clients.id and nics.id by small integers; the views resolve the names:
--   SELECT * FROM bandwidth_samples WHERE client_id = 'web' AND nic = 'eth0' AND time >= ...
-- or by hand:
--   SELECT c.client_id, n.name, s.* FROM bandwidth_stats s
--   JOIN nics n ON n.id = s.nic JOIN clients c ON c.id = s.client

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
) STRICT;

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
    expired_rx_bytes   INTEGER NOT NULL DEFAULT 0,
    expired_tx_bytes   INTEGER NOT NULL DEFAULT 0,
    expired_rx_packets INTEGER NOT NULL DEFAULT 0,
    expired_tx_packets INTEGER NOT NULL DEFAULT 0,
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
) STRICT;

CREATE INDEX sessions_client ON sessions (client, started);

-- What a session counted on a NIC, beside the totals that the agent kept itself.
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

-- What traffic was made of. Size classes are named by their largest packet, with FCS (RFC 2819).
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

-- Ranges of sequence numbers without samples, one row for each NIC of which exact counts are
-- known. reason: 1 the spool was full, 2 it was damaged, 3 forgotten after an earlier commit,
-- 4 nothing was measured, for the agent was broken off.
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
) STRICT;

CREATE INDEX gaps_session ON gaps (session, first_seq);

-- Frames that the store refused, as they came (wire format).
CREATE TABLE quarantine (
    session     INTEGER NOT NULL REFERENCES sessions (session),
    first_seq   INTEGER NOT NULL,
    last_seq    INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    reason      TEXT NOT NULL,
    frame       BLOB NOT NULL,
    PRIMARY KEY (session, first_seq)
) STRICT, WITHOUT ROWID;

-- Rows that start before these times have been deleted by age.
CREATE TABLE retention (
    one            INTEGER PRIMARY KEY CHECK (one = 1),
    raw_from       INTEGER NOT NULL,
    rollup_1m_from INTEGER NOT NULL,
    rollup_5m_from INTEGER NOT NULL
) STRICT;
INSERT INTO retention VALUES (1, 0, 0, 0);
