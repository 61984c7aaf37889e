-- The collector's store in PostgreSQL. Times are kept to the microsecond; byte figures are bytes on
-- the wire, from the MAC header to the end of the payload.
--
-- Fact tables refer to clients.id and nics.id by integers; the views resolve the names:
--   SELECT * FROM bandwidth_samples WHERE client_id = 'web' AND nic = 'eth0' AND timestamp > ...
-- or by hand:
--   SELECT c.client_id, n.name, s.* FROM bandwidth_stats s
--   JOIN nics n ON n.id = s.nic JOIN clients c ON c.id = s.client

CREATE TABLE clients (
    id                 integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id          text NOT NULL UNIQUE,
    alias              text NOT NULL,
    created_at         timestamptz NOT NULL,
    last_seen_at       timestamptz NOT NULL,
    agent_version      text NOT NULL,
    os                 text NOT NULL,
    kernel             text NOT NULL,
    cpus               bigint NOT NULL,
    sample_interval_ns bigint NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE nics (
    id                 integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client             integer NOT NULL REFERENCES clients (id),
    name               text NOT NULL,
    if_index           bigint NOT NULL DEFAULT 0,
    mac                bytea NOT NULL DEFAULT '\x000000000000',
    mtu                bigint NOT NULL DEFAULT 0,
    speed_bits         bigint NOT NULL DEFAULT 0,
    kind               text NOT NULL DEFAULT '',
    up                 boolean NOT NULL DEFAULT false,
    stacked            boolean NOT NULL DEFAULT false,
    -- In the inventory that the agent sent last.
    present            boolean NOT NULL DEFAULT false,
    -- Left bandwidth_5m by age, less what forgotten sessions counted: for the proof of `fsck`.
    expired_rx_bytes   numeric NOT NULL DEFAULT 0,
    expired_tx_bytes   numeric NOT NULL DEFAULT 0,
    expired_rx_packets numeric NOT NULL DEFAULT 0,
    expired_tx_packets numeric NOT NULL DEFAULT 0,
    UNIQUE (client, name)
);

CREATE TABLE sessions (
    -- 64 random bits, as a signed number.
    session         bigint PRIMARY KEY,
    client          integer NOT NULL REFERENCES clients (id),
    started         timestamptz NOT NULL,
    committed_seq   bigint NOT NULL DEFAULT 0,
    -- How often the session was opened: what an earlier opening left to commit is refused.
    epoch           bigint NOT NULL DEFAULT 0,
    committed_at    timestamptz NOT NULL,
    clock_offset_ns bigint,
    -- Sequence numbers covered by committed records: equal to committed_seq, or fsck says so.
    covered_seqs    bigint NOT NULL DEFAULT 0,
    gap_seqs        bigint NOT NULL DEFAULT 0,
    quarantine_seqs bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE INDEX sessions_client ON sessions (client, started);

-- What a session counted on a NIC, beside the totals that the agent kept itself.
CREATE TABLE session_nics (
    session            bigint NOT NULL REFERENCES sessions (session),
    nic                integer NOT NULL REFERENCES nics (id),
    first_rx_bytes     bigint NOT NULL,
    first_tx_bytes     bigint NOT NULL,
    first_rx_packets   bigint NOT NULL,
    first_tx_packets   bigint NOT NULL,
    last_rx_bytes      bigint NOT NULL,
    last_tx_bytes      bigint NOT NULL,
    last_rx_packets    bigint NOT NULL,
    last_tx_packets    bigint NOT NULL,
    counted_rx_bytes   bigint NOT NULL,
    counted_tx_bytes   bigint NOT NULL,
    counted_rx_packets bigint NOT NULL,
    counted_tx_packets bigint NOT NULL,
    PRIMARY KEY (session, nic)
) WITH (fillfactor = 50);

-- Partitions are made as they are needed and dropped by age; what lies far off today goes to the
-- default partition. flags: 1 stacked, 2 no vnet header, 4 clock step, 8 partial, 16 no kernel
-- counts; the kernel counts 32 super-packets, 64 packets that no tap sees, 128 fewer than the tap;
-- 256 unbalanced. Wide columns stand first, so that nothing is lost to alignment.
CREATE TABLE bandwidth_stats (
    time               timestamptz NOT NULL,
    interval_ns        bigint NOT NULL,
    rx_bytes           bigint NOT NULL,
    tx_bytes           bigint NOT NULL,
    client             integer NOT NULL,
    nic                integer NOT NULL,
    rx_packets         integer NOT NULL,
    tx_packets         integer NOT NULL,
    rx_captured        integer NOT NULL,
    tx_captured        integer NOT NULL,
    rx_peak_1ms_bytes  integer NOT NULL,
    tx_peak_1ms_bytes  integer NOT NULL,
    rx_peak_10ms_bytes integer NOT NULL,
    tx_peak_10ms_bytes integer NOT NULL,
    drops              integer NOT NULL,
    flags              integer NOT NULL
) PARTITION BY RANGE (time);
CREATE INDEX bandwidth_stats_nic ON bandwidth_stats (client, nic, time);
CREATE TABLE bandwidth_stats_default PARTITION OF bandwidth_stats DEFAULT;

CREATE TABLE bandwidth_1m (
    client             integer NOT NULL,
    nic                integer NOT NULL,
    time               timestamptz NOT NULL,
    samples            bigint NOT NULL,
    covered_ns         bigint NOT NULL,
    rx_bytes           bigint NOT NULL,
    tx_bytes           bigint NOT NULL,
    rx_packets         bigint NOT NULL,
    tx_packets         bigint NOT NULL,
    rx_captured        bigint NOT NULL,
    tx_captured        bigint NOT NULL,
    rx_peak_1ms_bytes  integer NOT NULL,
    tx_peak_1ms_bytes  integer NOT NULL,
    rx_peak_10ms_bytes integer NOT NULL,
    tx_peak_10ms_bytes integer NOT NULL,
    drops              bigint NOT NULL,
    freezes            bigint NOT NULL,
    late               bigint NOT NULL,
    inexact            bigint NOT NULL,
    kernel_rx_packets  bigint NOT NULL,
    kernel_tx_packets  bigint NOT NULL,
    kernel_rx_bytes    bigint NOT NULL,
    kernel_tx_bytes    bigint NOT NULL,
    kernel_dropped     bigint NOT NULL,
    kernel_errors      bigint NOT NULL,
    flags              integer NOT NULL,
    PRIMARY KEY (client, nic, time)
) PARTITION BY RANGE (time);
CREATE TABLE bandwidth_1m_default PARTITION OF bandwidth_1m DEFAULT;

CREATE TABLE bandwidth_5m (
    client             integer NOT NULL,
    nic                integer NOT NULL,
    time               timestamptz NOT NULL,
    samples            bigint NOT NULL,
    covered_ns         bigint NOT NULL,
    rx_bytes           bigint NOT NULL,
    tx_bytes           bigint NOT NULL,
    rx_packets         bigint NOT NULL,
    tx_packets         bigint NOT NULL,
    rx_captured        bigint NOT NULL,
    tx_captured        bigint NOT NULL,
    rx_peak_1ms_bytes  integer NOT NULL,
    tx_peak_1ms_bytes  integer NOT NULL,
    rx_peak_10ms_bytes integer NOT NULL,
    tx_peak_10ms_bytes integer NOT NULL,
    drops              bigint NOT NULL,
    freezes            bigint NOT NULL,
    late               bigint NOT NULL,
    inexact            bigint NOT NULL,
    kernel_rx_packets  bigint NOT NULL,
    kernel_tx_packets  bigint NOT NULL,
    kernel_rx_bytes    bigint NOT NULL,
    kernel_tx_bytes    bigint NOT NULL,
    kernel_dropped     bigint NOT NULL,
    kernel_errors      bigint NOT NULL,
    flags              integer NOT NULL,
    PRIMARY KEY (client, nic, time)
) PARTITION BY RANGE (time);
CREATE TABLE bandwidth_5m_default PARTITION OF bandwidth_5m DEFAULT;

-- What traffic was made of. Size classes are named by their largest packet, with FCS (RFC 2819).
CREATE TABLE traffic_mix (
    time                       timestamptz NOT NULL,
    interval_ns                bigint NOT NULL,
    client                     integer NOT NULL,
    nic                        integer NOT NULL,
    rx_multicast_packets       bigint NOT NULL,
    rx_broadcast_packets       bigint NOT NULL,
    rx_tcp_syn_packets         bigint NOT NULL,
    rx_tcp_rst_packets         bigint NOT NULL,
    rx_size_64_packets         bigint NOT NULL,
    rx_size_127_packets        bigint NOT NULL,
    rx_size_255_packets        bigint NOT NULL,
    rx_size_511_packets        bigint NOT NULL,
    rx_size_1023_packets       bigint NOT NULL,
    rx_size_1518_packets       bigint NOT NULL,
    rx_size_over_1518_packets  bigint NOT NULL,
    rx_ipv4_bytes              bigint NOT NULL,
    rx_ipv6_bytes              bigint NOT NULL,
    rx_arp_bytes               bigint NOT NULL,
    rx_other_bytes             bigint NOT NULL,
    rx_tcp_packets             bigint NOT NULL,
    rx_tcp_bytes               bigint NOT NULL,
    rx_udp_packets             bigint NOT NULL,
    rx_udp_bytes               bigint NOT NULL,
    rx_icmp_packets            bigint NOT NULL,
    rx_icmp_bytes              bigint NOT NULL,
    rx_other_transport_packets bigint NOT NULL,
    rx_other_transport_bytes   bigint NOT NULL,
    tx_multicast_packets       bigint NOT NULL,
    tx_broadcast_packets       bigint NOT NULL,
    tx_tcp_syn_packets         bigint NOT NULL,
    tx_tcp_rst_packets         bigint NOT NULL,
    tx_size_64_packets         bigint NOT NULL,
    tx_size_127_packets        bigint NOT NULL,
    tx_size_255_packets        bigint NOT NULL,
    tx_size_511_packets        bigint NOT NULL,
    tx_size_1023_packets       bigint NOT NULL,
    tx_size_1518_packets       bigint NOT NULL,
    tx_size_over_1518_packets  bigint NOT NULL,
    tx_ipv4_bytes              bigint NOT NULL,
    tx_ipv6_bytes              bigint NOT NULL,
    tx_arp_bytes               bigint NOT NULL,
    tx_other_bytes             bigint NOT NULL,
    tx_tcp_packets             bigint NOT NULL,
    tx_tcp_bytes               bigint NOT NULL,
    tx_udp_packets             bigint NOT NULL,
    tx_udp_bytes               bigint NOT NULL,
    tx_icmp_packets            bigint NOT NULL,
    tx_icmp_bytes              bigint NOT NULL,
    tx_other_transport_packets bigint NOT NULL,
    tx_other_transport_bytes   bigint NOT NULL,
    kernel_rx_packets          bigint NOT NULL,
    kernel_tx_packets          bigint NOT NULL,
    kernel_rx_bytes            bigint NOT NULL,
    kernel_tx_bytes            bigint NOT NULL,
    kernel_dropped             bigint NOT NULL,
    kernel_errors              bigint NOT NULL
) PARTITION BY RANGE (time);
CREATE INDEX traffic_mix_nic ON traffic_mix (client, nic, time);
CREATE TABLE traffic_mix_default PARTITION OF traffic_mix DEFAULT;

-- Ranges of sequence numbers without samples, one row for each NIC of which exact counts are
-- known. reason: 1 the spool was full, 2 it was damaged, 3 forgotten after an earlier commit,
-- 4 nothing was measured, for the agent was broken off.
CREATE TABLE gaps (
    session            bigint NOT NULL REFERENCES sessions (session),
    first_seq          bigint NOT NULL,
    last_seq           bigint NOT NULL,
    reason             smallint NOT NULL,
    client             integer NOT NULL,
    nic                integer,
    time               timestamptz,
    interval_ns        bigint,
    rx_bytes           bigint NOT NULL,
    tx_bytes           bigint NOT NULL,
    rx_packets         bigint NOT NULL,
    tx_packets         bigint NOT NULL,
    rx_captured        bigint NOT NULL,
    tx_captured        bigint NOT NULL,
    rx_peak_1ms_bytes  integer NOT NULL,
    tx_peak_1ms_bytes  integer NOT NULL,
    rx_peak_10ms_bytes integer NOT NULL,
    tx_peak_10ms_bytes integer NOT NULL,
    drops              bigint NOT NULL,
    flags              integer NOT NULL
);

CREATE INDEX gaps_session ON gaps (session, first_seq);

-- Frames that the store refused, as they came (wire format).
CREATE TABLE quarantine (
    session     bigint NOT NULL REFERENCES sessions (session),
    first_seq   bigint NOT NULL,
    last_seq    bigint NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    reason      text NOT NULL,
    frame       bytea NOT NULL,
    PRIMARY KEY (session, first_seq)
);

-- Rows that start before these times have been deleted by age.
CREATE TABLE retention (
    one            boolean PRIMARY KEY DEFAULT true CHECK (one),
    raw_from       timestamptz NOT NULL DEFAULT 'epoch',
    rollup_1m_from timestamptz NOT NULL DEFAULT 'epoch',
    rollup_5m_from timestamptz NOT NULL DEFAULT 'epoch'
);
INSERT INTO retention DEFAULT VALUES;
