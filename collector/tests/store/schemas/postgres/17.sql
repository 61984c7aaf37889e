SELECT pg_catalog.set_config('search_path', '', false);
CREATE FUNCTION public.bandwidth_p95(of_client text, of_nic text, from_time timestamp with time zone, to_time timestamp with time zone) RETURNS TABLE(measured_intervals bigint, rx_bits_per_second bigint, tx_bits_per_second bigint, max_bits_per_second bigint)
    LANGUAGE plpgsql STABLE
    AS $$
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
CREATE TABLE public.bandwidth_1m (
    client integer NOT NULL,
    nic integer NOT NULL,
    "time" timestamp with time zone NOT NULL,
    samples bigint NOT NULL,
    covered_ns bigint NOT NULL,
    rx_bytes bigint NOT NULL,
    tx_bytes bigint NOT NULL,
    rx_packets bigint NOT NULL,
    tx_packets bigint NOT NULL,
    rx_captured bigint NOT NULL,
    tx_captured bigint NOT NULL,
    rx_peak_1ms_bytes integer NOT NULL,
    tx_peak_1ms_bytes integer NOT NULL,
    rx_peak_10ms_bytes integer NOT NULL,
    tx_peak_10ms_bytes integer NOT NULL,
    drops bigint NOT NULL,
    freezes bigint NOT NULL,
    late bigint NOT NULL,
    inexact bigint NOT NULL,
    kernel_rx_packets bigint NOT NULL,
    kernel_tx_packets bigint NOT NULL,
    kernel_rx_bytes bigint NOT NULL,
    kernel_tx_bytes bigint NOT NULL,
    kernel_dropped bigint NOT NULL,
    kernel_errors bigint NOT NULL,
    flags integer NOT NULL
)
PARTITION BY RANGE ("time");
CREATE TABLE public.bandwidth_1m_default (
    client integer NOT NULL,
    nic integer NOT NULL,
    "time" timestamp with time zone NOT NULL,
    samples bigint NOT NULL,
    covered_ns bigint NOT NULL,
    rx_bytes bigint NOT NULL,
    tx_bytes bigint NOT NULL,
    rx_packets bigint NOT NULL,
    tx_packets bigint NOT NULL,
    rx_captured bigint NOT NULL,
    tx_captured bigint NOT NULL,
    rx_peak_1ms_bytes integer NOT NULL,
    tx_peak_1ms_bytes integer NOT NULL,
    rx_peak_10ms_bytes integer NOT NULL,
    tx_peak_10ms_bytes integer NOT NULL,
    drops bigint NOT NULL,
    freezes bigint NOT NULL,
    late bigint NOT NULL,
    inexact bigint NOT NULL,
    kernel_rx_packets bigint NOT NULL,
    kernel_tx_packets bigint NOT NULL,
    kernel_rx_bytes bigint NOT NULL,
    kernel_tx_bytes bigint NOT NULL,
    kernel_dropped bigint NOT NULL,
    kernel_errors bigint NOT NULL,
    flags integer NOT NULL
);
CREATE TABLE public.bandwidth_1m_p20783 (
    client integer NOT NULL,
    nic integer NOT NULL,
    "time" timestamp with time zone NOT NULL,
    samples bigint NOT NULL,
    covered_ns bigint NOT NULL,
    rx_bytes bigint NOT NULL,
    tx_bytes bigint NOT NULL,
    rx_packets bigint NOT NULL,
    tx_packets bigint NOT NULL,
    rx_captured bigint NOT NULL,
    tx_captured bigint NOT NULL,
    rx_peak_1ms_bytes integer NOT NULL,
    tx_peak_1ms_bytes integer NOT NULL,
    rx_peak_10ms_bytes integer NOT NULL,
    tx_peak_10ms_bytes integer NOT NULL,
    drops bigint NOT NULL,
    freezes bigint NOT NULL,
    late bigint NOT NULL,
    inexact bigint NOT NULL,
    kernel_rx_packets bigint NOT NULL,
    kernel_tx_packets bigint NOT NULL,
    kernel_rx_bytes bigint NOT NULL,
    kernel_tx_bytes bigint NOT NULL,
    kernel_dropped bigint NOT NULL,
    kernel_errors bigint NOT NULL,
    flags integer NOT NULL
)
WITH (fillfactor='70');
CREATE TABLE public.bandwidth_1m_p20784 (
    client integer NOT NULL,
    nic integer NOT NULL,
    "time" timestamp with time zone NOT NULL,
    samples bigint NOT NULL,
    covered_ns bigint NOT NULL,
    rx_bytes bigint NOT NULL,
    tx_bytes bigint NOT NULL,
    rx_packets bigint NOT NULL,
    tx_packets bigint NOT NULL,
    rx_captured bigint NOT NULL,
    tx_captured bigint NOT NULL,
    rx_peak_1ms_bytes integer NOT NULL,
    tx_peak_1ms_bytes integer NOT NULL,
    rx_peak_10ms_bytes integer NOT NULL,
    tx_peak_10ms_bytes integer NOT NULL,
    drops bigint NOT NULL,
    freezes bigint NOT NULL,
    late bigint NOT NULL,
    inexact bigint NOT NULL,
    kernel_rx_packets bigint NOT NULL,
    kernel_tx_packets bigint NOT NULL,
    kernel_rx_bytes bigint NOT NULL,
    kernel_tx_bytes bigint NOT NULL,
    kernel_dropped bigint NOT NULL,
    kernel_errors bigint NOT NULL,
    flags integer NOT NULL
)
WITH (fillfactor='70');
CREATE TABLE public.bandwidth_1m_p20785 (
    client integer NOT NULL,
    nic integer NOT NULL,
    "time" timestamp with time zone NOT NULL,
    samples bigint NOT NULL,
    covered_ns bigint NOT NULL,
    rx_bytes bigint NOT NULL,
    tx_bytes bigint NOT NULL,
    rx_packets bigint NOT NULL,
    tx_packets bigint NOT NULL,
    rx_captured bigint NOT NULL,
    tx_captured bigint NOT NULL,
    rx_peak_1ms_bytes integer NOT NULL,
    tx_peak_1ms_bytes integer NOT NULL,
    rx_peak_10ms_bytes integer NOT NULL,
    tx_peak_10ms_bytes integer NOT NULL,
    drops bigint NOT NULL,
    freezes bigint NOT NULL,
    late bigint NOT NULL,
    inexact bigint NOT NULL,
    kernel_rx_packets bigint NOT NULL,
    kernel_tx_packets bigint NOT NULL,
    kernel_rx_bytes bigint NOT NULL,
    kernel_tx_bytes bigint NOT NULL,
    kernel_dropped bigint NOT NULL,
    kernel_errors bigint NOT NULL,
    flags integer NOT NULL
)
WITH (fillfactor='70');
CREATE TABLE public.bandwidth_5m (
    client integer NOT NULL,
    nic integer NOT NULL,
    "time" timestamp with time zone NOT NULL,
    samples bigint NOT NULL,
    covered_ns bigint NOT NULL,
    rx_bytes bigint NOT NULL,
    tx_bytes bigint NOT NULL,
    rx_packets bigint NOT NULL,
    tx_packets bigint NOT NULL,
    rx_captured bigint NOT NULL,
    tx_captured bigint NOT NULL,
    rx_peak_1ms_bytes integer NOT NULL,
    tx_peak_1ms_bytes integer NOT NULL,
    rx_peak_10ms_bytes integer NOT NULL,
    tx_peak_10ms_bytes integer NOT NULL,
    drops bigint NOT NULL,
    freezes bigint NOT NULL,
    late bigint NOT NULL,
    inexact bigint NOT NULL,
    kernel_rx_packets bigint NOT NULL,
    kernel_tx_packets bigint NOT NULL,
    kernel_rx_bytes bigint NOT NULL,
    kernel_tx_bytes bigint NOT NULL,
    kernel_dropped bigint NOT NULL,
    kernel_errors bigint NOT NULL,
    flags integer NOT NULL
)
PARTITION BY RANGE ("time");
CREATE TABLE public.bandwidth_5m_default (
    client integer NOT NULL,
    nic integer NOT NULL,
    "time" timestamp with time zone NOT NULL,
    samples bigint NOT NULL,
    covered_ns bigint NOT NULL,
    rx_bytes bigint NOT NULL,
    tx_bytes bigint NOT NULL,
    rx_packets bigint NOT NULL,
    tx_packets bigint NOT NULL,
    rx_captured bigint NOT NULL,
    tx_captured bigint NOT NULL,
    rx_peak_1ms_bytes integer NOT NULL,
    tx_peak_1ms_bytes integer NOT NULL,
    rx_peak_10ms_bytes integer NOT NULL,
    tx_peak_10ms_bytes integer NOT NULL,
    drops bigint NOT NULL,
    freezes bigint NOT NULL,
    late bigint NOT NULL,
    inexact bigint NOT NULL,
    kernel_rx_packets bigint NOT NULL,
    kernel_tx_packets bigint NOT NULL,
    kernel_rx_bytes bigint NOT NULL,
    kernel_tx_bytes bigint NOT NULL,
    kernel_dropped bigint NOT NULL,
    kernel_errors bigint NOT NULL,
    flags integer NOT NULL
);
CREATE TABLE public.bandwidth_5m_p2078 (
    client integer NOT NULL,
    nic integer NOT NULL,
    "time" timestamp with time zone NOT NULL,
    samples bigint NOT NULL,
    covered_ns bigint NOT NULL,
    rx_bytes bigint NOT NULL,
    tx_bytes bigint NOT NULL,
    rx_packets bigint NOT NULL,
    tx_packets bigint NOT NULL,
    rx_captured bigint NOT NULL,
    tx_captured bigint NOT NULL,
    rx_peak_1ms_bytes integer NOT NULL,
    tx_peak_1ms_bytes integer NOT NULL,
    rx_peak_10ms_bytes integer NOT NULL,
    tx_peak_10ms_bytes integer NOT NULL,
    drops bigint NOT NULL,
    freezes bigint NOT NULL,
    late bigint NOT NULL,
    inexact bigint NOT NULL,
    kernel_rx_packets bigint NOT NULL,
    kernel_tx_packets bigint NOT NULL,
    kernel_rx_bytes bigint NOT NULL,
    kernel_tx_bytes bigint NOT NULL,
    kernel_dropped bigint NOT NULL,
    kernel_errors bigint NOT NULL,
    flags integer NOT NULL
)
WITH (fillfactor='70');
CREATE TABLE public.clients (
    id integer NOT NULL,
    client_id text NOT NULL,
    alias text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    agent_version text NOT NULL,
    os text NOT NULL,
    kernel text NOT NULL,
    cpus bigint NOT NULL,
    sample_interval_ns bigint NOT NULL,
    forgotten_at timestamp with time zone
)
WITH (fillfactor='70');
CREATE TABLE public.nics (
    id integer NOT NULL,
    client integer NOT NULL,
    name text NOT NULL,
    if_index bigint DEFAULT 0 NOT NULL,
    mac bytea DEFAULT '\x000000000000'::bytea NOT NULL,
    mtu bigint DEFAULT 0 NOT NULL,
    speed_bits bigint DEFAULT 0 NOT NULL,
    kind text DEFAULT ''::text NOT NULL,
    up boolean DEFAULT false NOT NULL,
    stacked boolean DEFAULT false NOT NULL,
    present boolean DEFAULT false NOT NULL,
    expired_rx_bytes numeric DEFAULT 0 NOT NULL,
    expired_tx_bytes numeric DEFAULT 0 NOT NULL,
    expired_rx_packets numeric DEFAULT 0 NOT NULL,
    expired_tx_packets numeric DEFAULT 0 NOT NULL
);
CREATE VIEW public.bandwidth_rates_5m AS
 SELECT c.client_id,
    c.alias,
    n.name AS nic,
    r."time" AS "timestamp",
    (LEAST(round((((r.rx_bytes)::numeric * '8000000000'::numeric) / (r.covered_ns)::numeric)), ('9223372036854775807'::bigint)::numeric))::bigint AS rx_bits_per_second,
    (LEAST(round((((r.tx_bytes)::numeric * '8000000000'::numeric) / (r.covered_ns)::numeric)), ('9223372036854775807'::bigint)::numeric))::bigint AS tx_bits_per_second,
    r.client
   FROM ((public.bandwidth_5m r
     JOIN public.nics n ON ((n.id = r.nic)))
     JOIN public.clients c ON ((c.id = r.client)))
  WHERE (r.covered_ns > 0);
CREATE VIEW public.bandwidth_p95_monthly AS
 WITH ranked AS (
         SELECT bandwidth_rates_5m.client_id,
            bandwidth_rates_5m.alias,
            bandwidth_rates_5m.nic,
            to_char((bandwidth_rates_5m."timestamp" AT TIME ZONE 'UTC'::text), 'YYYY-MM'::text) AS month,
            bandwidth_rates_5m.rx_bits_per_second AS rx,
            bandwidth_rates_5m.tx_bits_per_second AS tx,
            count(*) OVER w AS n,
            row_number() OVER (w ORDER BY bandwidth_rates_5m.rx_bits_per_second DESC) AS rx_place,
            row_number() OVER (w ORDER BY bandwidth_rates_5m.tx_bits_per_second DESC) AS tx_place
           FROM public.bandwidth_rates_5m
          WHERE (bandwidth_rates_5m."timestamp" <= (now() - '00:05:00'::interval))
          WINDOW w AS (PARTITION BY bandwidth_rates_5m.client_id, bandwidth_rates_5m.nic, (to_char((bandwidth_rates_5m."timestamp" AT TIME ZONE 'UTC'::text), 'YYYY-MM'::text)))
        ), found AS (
         SELECT ranked.client_id,
            ranked.alias,
            ranked.nic,
            ranked.month,
            count(*) AS n,
            max(ranked.rx) FILTER (WHERE (ranked.rx_place = ((ranked.n / 20) + 1))) AS rx,
            max(ranked.tx) FILTER (WHERE (ranked.tx_place = ((ranked.n / 20) + 1))) AS tx
           FROM ranked
          GROUP BY ranked.client_id, ranked.alias, ranked.nic, ranked.month
        )
 SELECT found.client_id,
    found.alias,
    found.nic,
    found.month,
    found.n AS measured_intervals,
    found.rx AS rx_bits_per_second,
    found.tx AS tx_bits_per_second,
    GREATEST(found.rx, found.tx) AS max_bits_per_second
   FROM found;
CREATE TABLE public.bandwidth_stats (
    "time" timestamp with time zone NOT NULL,
    interval_ns bigint NOT NULL,
    rx_bytes bigint NOT NULL,
    tx_bytes bigint NOT NULL,
    client integer NOT NULL,
    nic integer NOT NULL,
    rx_packets integer NOT NULL,
    tx_packets integer NOT NULL,
    rx_captured integer NOT NULL,
    tx_captured integer NOT NULL,
    rx_peak_1ms_bytes integer NOT NULL,
    tx_peak_1ms_bytes integer NOT NULL,
    rx_peak_10ms_bytes integer NOT NULL,
    tx_peak_10ms_bytes integer NOT NULL,
    drops integer NOT NULL,
    flags integer NOT NULL
)
PARTITION BY RANGE ("time");
CREATE VIEW public.bandwidth_report AS
 SELECT c.client_id,
    c.alias,
    n.name AS nic,
    s."time" AS "timestamp",
    report.upload_speed,
    report.download_speed,
    report.avg_upload_packet_size,
    report.avg_download_packet_size
   FROM (((public.bandwidth_stats s
     JOIN public.nics n ON ((n.id = s.nic)))
     JOIN public.clients c ON ((c.id = s.client)))
     CROSS JOIN LATERAL ( SELECT (((sum(latest.tx_bytes) FILTER (WHERE ((latest.n < 10) OR ((latest.up >= ((latest.n / 10) + 1)) AND (latest.up <= (latest.n - (latest.n / 10)))))) * '1000000000'::numeric) / sum(latest.interval_ns) FILTER (WHERE ((latest.n < 10) OR ((latest.up >= ((latest.n / 10) + 1)) AND (latest.up <= (latest.n - (latest.n / 10))))))))::double precision AS upload_speed,
            (((sum(latest.rx_bytes) FILTER (WHERE ((latest.n < 10) OR ((latest.down >= ((latest.n / 10) + 1)) AND (latest.down <= (latest.n - (latest.n / 10)))))) * '1000000000'::numeric) / sum(latest.interval_ns) FILTER (WHERE ((latest.n < 10) OR ((latest.down >= ((latest.n / 10) + 1)) AND (latest.down <= (latest.n - (latest.n / 10))))))))::double precision AS download_speed,
            ((sum(latest.tx_bytes) / (NULLIF(sum(latest.tx_packets), 0))::numeric))::double precision AS avg_upload_packet_size,
            ((sum(latest.rx_bytes) / (NULLIF(sum(latest.rx_packets), 0))::numeric))::double precision AS avg_download_packet_size
           FROM ( SELECT w.rx_bytes,
                    w.tx_bytes,
                    w.rx_packets,
                    w.tx_packets,
                    w.interval_ns,
                    count(*) OVER () AS n,
                    row_number() OVER (ORDER BY ((w.tx_bytes)::numeric / (w.interval_ns)::numeric)) AS up,
                    row_number() OVER (ORDER BY ((w.rx_bytes)::numeric / (w.interval_ns)::numeric)) AS down
                   FROM public.bandwidth_stats w
                  WHERE ((w.client = s.client) AND (w.nic = s.nic) AND (w."time" <= s."time") AND (w."time" >= LEAST(s."time", ((s."time" + (((s.interval_ns / 1000))::double precision * '00:00:00.000001'::interval)) - '00:00:02'::interval))))) latest) report)
  WHERE ((s.flags & 1) = 0);
CREATE VIEW public.bandwidth_samples AS
 SELECT c.client_id,
    c.alias,
    n.name AS nic,
    s."time" AS "timestamp",
    s.interval_ns,
    s.rx_bytes,
    s.tx_bytes,
    s.rx_packets,
    s.tx_packets,
    s.rx_captured,
    s.tx_captured,
    s.rx_peak_1ms_bytes,
    s.tx_peak_1ms_bytes,
    s.rx_peak_10ms_bytes,
    s.tx_peak_10ms_bytes,
    s.drops,
    s.flags,
    s.client
   FROM ((public.bandwidth_stats s
     JOIN public.nics n ON ((n.id = s.nic)))
     JOIN public.clients c ON ((c.id = s.client)));
CREATE TABLE public.bandwidth_stats_default (
    "time" timestamp with time zone NOT NULL,
    interval_ns bigint NOT NULL,
    rx_bytes bigint NOT NULL,
    tx_bytes bigint NOT NULL,
    client integer NOT NULL,
    nic integer NOT NULL,
    rx_packets integer NOT NULL,
    tx_packets integer NOT NULL,
    rx_captured integer NOT NULL,
    tx_captured integer NOT NULL,
    rx_peak_1ms_bytes integer NOT NULL,
    tx_peak_1ms_bytes integer NOT NULL,
    rx_peak_10ms_bytes integer NOT NULL,
    tx_peak_10ms_bytes integer NOT NULL,
    drops integer NOT NULL,
    flags integer NOT NULL
);
CREATE TABLE public.bandwidth_stats_p20783 (
    "time" timestamp with time zone NOT NULL,
    interval_ns bigint NOT NULL,
    rx_bytes bigint NOT NULL,
    tx_bytes bigint NOT NULL,
    client integer NOT NULL,
    nic integer NOT NULL,
    rx_packets integer NOT NULL,
    tx_packets integer NOT NULL,
    rx_captured integer NOT NULL,
    tx_captured integer NOT NULL,
    rx_peak_1ms_bytes integer NOT NULL,
    tx_peak_1ms_bytes integer NOT NULL,
    rx_peak_10ms_bytes integer NOT NULL,
    tx_peak_10ms_bytes integer NOT NULL,
    drops integer NOT NULL,
    flags integer NOT NULL
)
WITH (fillfactor='100');
CREATE TABLE public.bandwidth_stats_p20784 (
    "time" timestamp with time zone NOT NULL,
    interval_ns bigint NOT NULL,
    rx_bytes bigint NOT NULL,
    tx_bytes bigint NOT NULL,
    client integer NOT NULL,
    nic integer NOT NULL,
    rx_packets integer NOT NULL,
    tx_packets integer NOT NULL,
    rx_captured integer NOT NULL,
    tx_captured integer NOT NULL,
    rx_peak_1ms_bytes integer NOT NULL,
    tx_peak_1ms_bytes integer NOT NULL,
    rx_peak_10ms_bytes integer NOT NULL,
    tx_peak_10ms_bytes integer NOT NULL,
    drops integer NOT NULL,
    flags integer NOT NULL
)
WITH (fillfactor='100');
CREATE TABLE public.bandwidth_stats_p20785 (
    "time" timestamp with time zone NOT NULL,
    interval_ns bigint NOT NULL,
    rx_bytes bigint NOT NULL,
    tx_bytes bigint NOT NULL,
    client integer NOT NULL,
    nic integer NOT NULL,
    rx_packets integer NOT NULL,
    tx_packets integer NOT NULL,
    rx_captured integer NOT NULL,
    tx_captured integer NOT NULL,
    rx_peak_1ms_bytes integer NOT NULL,
    tx_peak_1ms_bytes integer NOT NULL,
    rx_peak_10ms_bytes integer NOT NULL,
    tx_peak_10ms_bytes integer NOT NULL,
    drops integer NOT NULL,
    flags integer NOT NULL
)
WITH (fillfactor='100');
CREATE TABLE public.claims (
    client_id text NOT NULL,
    collector bigint NOT NULL,
    place bigint NOT NULL,
    machine bytea NOT NULL,
    boot bytea NOT NULL,
    session bigint NOT NULL,
    address text NOT NULL,
    question bigint DEFAULT 0 NOT NULL,
    answered bigint DEFAULT 0 NOT NULL,
    asked_since timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE public.clients ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.clients_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.enrolled (
    client_id text NOT NULL,
    enrolled_at timestamp with time zone NOT NULL
);
CREATE TABLE public.gaps (
    session bigint NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    reason smallint NOT NULL,
    client integer NOT NULL,
    nic integer,
    "time" timestamp with time zone,
    interval_ns bigint,
    rx_bytes bigint NOT NULL,
    tx_bytes bigint NOT NULL,
    rx_packets bigint NOT NULL,
    tx_packets bigint NOT NULL,
    rx_captured bigint NOT NULL,
    tx_captured bigint NOT NULL,
    rx_peak_1ms_bytes integer NOT NULL,
    tx_peak_1ms_bytes integer NOT NULL,
    rx_peak_10ms_bytes integer NOT NULL,
    tx_peak_10ms_bytes integer NOT NULL,
    drops bigint NOT NULL,
    flags integer NOT NULL,
    arrived timestamp with time zone DEFAULT now()
);
COMMENT ON COLUMN public.gaps.reason IS '1 the spool was full, 2 it was damaged, 3 forgotten after an earlier commit, 4 nothing was measured, for the agent was broken off, 5 the host was set back to an earlier state';
CREATE TABLE public.link_changes (
    client integer NOT NULL,
    nic integer NOT NULL,
    "time" timestamp with time zone NOT NULL,
    up boolean NOT NULL
);
CREATE TABLE public.netmon_schema (
    version bigint NOT NULL
);
ALTER TABLE public.nics ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.nics_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.quarantine (
    session bigint NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    reason text NOT NULL,
    frame bytea NOT NULL
);
CREATE TABLE public.retention (
    one boolean DEFAULT true NOT NULL,
    raw_from timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL,
    rollup_1m_from timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL,
    rollup_5m_from timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL,
    clock timestamp with time zone,
    CONSTRAINT retention_one_check CHECK (one)
);
CREATE TABLE public.revocations (
    client_id text NOT NULL,
    generation bigint NOT NULL,
    revoked_at bigint NOT NULL,
    forgotten boolean NOT NULL,
    replaced boolean NOT NULL,
    change bigint NOT NULL
);
CREATE TABLE public.second_hosts (
    client_id text NOT NULL,
    since timestamp with time zone NOT NULL,
    told_at timestamp with time zone NOT NULL,
    kept text NOT NULL,
    refused text NOT NULL,
    what text NOT NULL
);
CREATE TABLE public.session_nics (
    session bigint NOT NULL,
    nic integer NOT NULL,
    first_rx_bytes bigint NOT NULL,
    first_tx_bytes bigint NOT NULL,
    first_rx_packets bigint NOT NULL,
    first_tx_packets bigint NOT NULL,
    last_rx_bytes bigint NOT NULL,
    last_tx_bytes bigint NOT NULL,
    last_rx_packets bigint NOT NULL,
    last_tx_packets bigint NOT NULL,
    counted_rx_bytes bigint NOT NULL,
    counted_tx_bytes bigint NOT NULL,
    counted_rx_packets bigint NOT NULL,
    counted_tx_packets bigint NOT NULL
)
WITH (fillfactor='50');
CREATE TABLE public.sessions (
    session bigint NOT NULL,
    client integer NOT NULL,
    started timestamp with time zone NOT NULL,
    committed_seq bigint DEFAULT 0 NOT NULL,
    epoch bigint DEFAULT 0 NOT NULL,
    committed_at timestamp with time zone NOT NULL,
    clock_offset_ns bigint,
    covered_seqs bigint DEFAULT 0 NOT NULL,
    gap_seqs bigint DEFAULT 0 NOT NULL,
    quarantine_seqs bigint DEFAULT 0 NOT NULL,
    committed_digest bigint,
    digest_seq bigint,
    expired_quarantine_seqs bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='50');
CREATE TABLE public.sign_outs (
    session text NOT NULL,
    ends_at bigint NOT NULL,
    change bigint NOT NULL
);
CREATE TABLE public.token_uses (
    token text NOT NULL,
    used bigint NOT NULL,
    expires_at timestamp with time zone NOT NULL
);
CREATE TABLE public.traffic_mix (
    "time" timestamp with time zone NOT NULL,
    interval_ns bigint NOT NULL,
    client integer NOT NULL,
    nic integer NOT NULL,
    rx_multicast_packets bigint NOT NULL,
    rx_broadcast_packets bigint NOT NULL,
    rx_tcp_syn_packets bigint NOT NULL,
    rx_tcp_rst_packets bigint NOT NULL,
    rx_size_64_packets bigint NOT NULL,
    rx_size_127_packets bigint NOT NULL,
    rx_size_255_packets bigint NOT NULL,
    rx_size_511_packets bigint NOT NULL,
    rx_size_1023_packets bigint NOT NULL,
    rx_size_1518_packets bigint NOT NULL,
    rx_size_over_1518_packets bigint NOT NULL,
    rx_ipv4_bytes bigint NOT NULL,
    rx_ipv6_bytes bigint NOT NULL,
    rx_arp_bytes bigint NOT NULL,
    rx_other_bytes bigint NOT NULL,
    rx_tcp_packets bigint NOT NULL,
    rx_tcp_bytes bigint NOT NULL,
    rx_udp_packets bigint NOT NULL,
    rx_udp_bytes bigint NOT NULL,
    rx_icmp_packets bigint NOT NULL,
    rx_icmp_bytes bigint NOT NULL,
    rx_other_transport_packets bigint NOT NULL,
    rx_other_transport_bytes bigint NOT NULL,
    tx_multicast_packets bigint NOT NULL,
    tx_broadcast_packets bigint NOT NULL,
    tx_tcp_syn_packets bigint NOT NULL,
    tx_tcp_rst_packets bigint NOT NULL,
    tx_size_64_packets bigint NOT NULL,
    tx_size_127_packets bigint NOT NULL,
    tx_size_255_packets bigint NOT NULL,
    tx_size_511_packets bigint NOT NULL,
    tx_size_1023_packets bigint NOT NULL,
    tx_size_1518_packets bigint NOT NULL,
    tx_size_over_1518_packets bigint NOT NULL,
    tx_ipv4_bytes bigint NOT NULL,
    tx_ipv6_bytes bigint NOT NULL,
    tx_arp_bytes bigint NOT NULL,
    tx_other_bytes bigint NOT NULL,
    tx_tcp_packets bigint NOT NULL,
    tx_tcp_bytes bigint NOT NULL,
    tx_udp_packets bigint NOT NULL,
    tx_udp_bytes bigint NOT NULL,
    tx_icmp_packets bigint NOT NULL,
    tx_icmp_bytes bigint NOT NULL,
    tx_other_transport_packets bigint NOT NULL,
    tx_other_transport_bytes bigint NOT NULL,
    kernel_rx_packets bigint NOT NULL,
    kernel_tx_packets bigint NOT NULL,
    kernel_rx_bytes bigint NOT NULL,
    kernel_tx_bytes bigint NOT NULL,
    kernel_dropped bigint NOT NULL,
    kernel_errors bigint NOT NULL
)
PARTITION BY RANGE ("time");
CREATE TABLE public.traffic_mix_default (
    "time" timestamp with time zone NOT NULL,
    interval_ns bigint NOT NULL,
    client integer NOT NULL,
    nic integer NOT NULL,
    rx_multicast_packets bigint NOT NULL,
    rx_broadcast_packets bigint NOT NULL,
    rx_tcp_syn_packets bigint NOT NULL,
    rx_tcp_rst_packets bigint NOT NULL,
    rx_size_64_packets bigint NOT NULL,
    rx_size_127_packets bigint NOT NULL,
    rx_size_255_packets bigint NOT NULL,
    rx_size_511_packets bigint NOT NULL,
    rx_size_1023_packets bigint NOT NULL,
    rx_size_1518_packets bigint NOT NULL,
    rx_size_over_1518_packets bigint NOT NULL,
    rx_ipv4_bytes bigint NOT NULL,
    rx_ipv6_bytes bigint NOT NULL,
    rx_arp_bytes bigint NOT NULL,
    rx_other_bytes bigint NOT NULL,
    rx_tcp_packets bigint NOT NULL,
    rx_tcp_bytes bigint NOT NULL,
    rx_udp_packets bigint NOT NULL,
    rx_udp_bytes bigint NOT NULL,
    rx_icmp_packets bigint NOT NULL,
    rx_icmp_bytes bigint NOT NULL,
    rx_other_transport_packets bigint NOT NULL,
    rx_other_transport_bytes bigint NOT NULL,
    tx_multicast_packets bigint NOT NULL,
    tx_broadcast_packets bigint NOT NULL,
    tx_tcp_syn_packets bigint NOT NULL,
    tx_tcp_rst_packets bigint NOT NULL,
    tx_size_64_packets bigint NOT NULL,
    tx_size_127_packets bigint NOT NULL,
    tx_size_255_packets bigint NOT NULL,
    tx_size_511_packets bigint NOT NULL,
    tx_size_1023_packets bigint NOT NULL,
    tx_size_1518_packets bigint NOT NULL,
    tx_size_over_1518_packets bigint NOT NULL,
    tx_ipv4_bytes bigint NOT NULL,
    tx_ipv6_bytes bigint NOT NULL,
    tx_arp_bytes bigint NOT NULL,
    tx_other_bytes bigint NOT NULL,
    tx_tcp_packets bigint NOT NULL,
    tx_tcp_bytes bigint NOT NULL,
    tx_udp_packets bigint NOT NULL,
    tx_udp_bytes bigint NOT NULL,
    tx_icmp_packets bigint NOT NULL,
    tx_icmp_bytes bigint NOT NULL,
    tx_other_transport_packets bigint NOT NULL,
    tx_other_transport_bytes bigint NOT NULL,
    kernel_rx_packets bigint NOT NULL,
    kernel_tx_packets bigint NOT NULL,
    kernel_rx_bytes bigint NOT NULL,
    kernel_tx_bytes bigint NOT NULL,
    kernel_dropped bigint NOT NULL,
    kernel_errors bigint NOT NULL
);
CREATE TABLE public.traffic_mix_p20783 (
    "time" timestamp with time zone NOT NULL,
    interval_ns bigint NOT NULL,
    client integer NOT NULL,
    nic integer NOT NULL,
    rx_multicast_packets bigint NOT NULL,
    rx_broadcast_packets bigint NOT NULL,
    rx_tcp_syn_packets bigint NOT NULL,
    rx_tcp_rst_packets bigint NOT NULL,
    rx_size_64_packets bigint NOT NULL,
    rx_size_127_packets bigint NOT NULL,
    rx_size_255_packets bigint NOT NULL,
    rx_size_511_packets bigint NOT NULL,
    rx_size_1023_packets bigint NOT NULL,
    rx_size_1518_packets bigint NOT NULL,
    rx_size_over_1518_packets bigint NOT NULL,
    rx_ipv4_bytes bigint NOT NULL,
    rx_ipv6_bytes bigint NOT NULL,
    rx_arp_bytes bigint NOT NULL,
    rx_other_bytes bigint NOT NULL,
    rx_tcp_packets bigint NOT NULL,
    rx_tcp_bytes bigint NOT NULL,
    rx_udp_packets bigint NOT NULL,
    rx_udp_bytes bigint NOT NULL,
    rx_icmp_packets bigint NOT NULL,
    rx_icmp_bytes bigint NOT NULL,
    rx_other_transport_packets bigint NOT NULL,
    rx_other_transport_bytes bigint NOT NULL,
    tx_multicast_packets bigint NOT NULL,
    tx_broadcast_packets bigint NOT NULL,
    tx_tcp_syn_packets bigint NOT NULL,
    tx_tcp_rst_packets bigint NOT NULL,
    tx_size_64_packets bigint NOT NULL,
    tx_size_127_packets bigint NOT NULL,
    tx_size_255_packets bigint NOT NULL,
    tx_size_511_packets bigint NOT NULL,
    tx_size_1023_packets bigint NOT NULL,
    tx_size_1518_packets bigint NOT NULL,
    tx_size_over_1518_packets bigint NOT NULL,
    tx_ipv4_bytes bigint NOT NULL,
    tx_ipv6_bytes bigint NOT NULL,
    tx_arp_bytes bigint NOT NULL,
    tx_other_bytes bigint NOT NULL,
    tx_tcp_packets bigint NOT NULL,
    tx_tcp_bytes bigint NOT NULL,
    tx_udp_packets bigint NOT NULL,
    tx_udp_bytes bigint NOT NULL,
    tx_icmp_packets bigint NOT NULL,
    tx_icmp_bytes bigint NOT NULL,
    tx_other_transport_packets bigint NOT NULL,
    tx_other_transport_bytes bigint NOT NULL,
    kernel_rx_packets bigint NOT NULL,
    kernel_tx_packets bigint NOT NULL,
    kernel_rx_bytes bigint NOT NULL,
    kernel_tx_bytes bigint NOT NULL,
    kernel_dropped bigint NOT NULL,
    kernel_errors bigint NOT NULL
)
WITH (fillfactor='100');
CREATE TABLE public.traffic_mix_p20784 (
    "time" timestamp with time zone NOT NULL,
    interval_ns bigint NOT NULL,
    client integer NOT NULL,
    nic integer NOT NULL,
    rx_multicast_packets bigint NOT NULL,
    rx_broadcast_packets bigint NOT NULL,
    rx_tcp_syn_packets bigint NOT NULL,
    rx_tcp_rst_packets bigint NOT NULL,
    rx_size_64_packets bigint NOT NULL,
    rx_size_127_packets bigint NOT NULL,
    rx_size_255_packets bigint NOT NULL,
    rx_size_511_packets bigint NOT NULL,
    rx_size_1023_packets bigint NOT NULL,
    rx_size_1518_packets bigint NOT NULL,
    rx_size_over_1518_packets bigint NOT NULL,
    rx_ipv4_bytes bigint NOT NULL,
    rx_ipv6_bytes bigint NOT NULL,
    rx_arp_bytes bigint NOT NULL,
    rx_other_bytes bigint NOT NULL,
    rx_tcp_packets bigint NOT NULL,
    rx_tcp_bytes bigint NOT NULL,
    rx_udp_packets bigint NOT NULL,
    rx_udp_bytes bigint NOT NULL,
    rx_icmp_packets bigint NOT NULL,
    rx_icmp_bytes bigint NOT NULL,
    rx_other_transport_packets bigint NOT NULL,
    rx_other_transport_bytes bigint NOT NULL,
    tx_multicast_packets bigint NOT NULL,
    tx_broadcast_packets bigint NOT NULL,
    tx_tcp_syn_packets bigint NOT NULL,
    tx_tcp_rst_packets bigint NOT NULL,
    tx_size_64_packets bigint NOT NULL,
    tx_size_127_packets bigint NOT NULL,
    tx_size_255_packets bigint NOT NULL,
    tx_size_511_packets bigint NOT NULL,
    tx_size_1023_packets bigint NOT NULL,
    tx_size_1518_packets bigint NOT NULL,
    tx_size_over_1518_packets bigint NOT NULL,
    tx_ipv4_bytes bigint NOT NULL,
    tx_ipv6_bytes bigint NOT NULL,
    tx_arp_bytes bigint NOT NULL,
    tx_other_bytes bigint NOT NULL,
    tx_tcp_packets bigint NOT NULL,
    tx_tcp_bytes bigint NOT NULL,
    tx_udp_packets bigint NOT NULL,
    tx_udp_bytes bigint NOT NULL,
    tx_icmp_packets bigint NOT NULL,
    tx_icmp_bytes bigint NOT NULL,
    tx_other_transport_packets bigint NOT NULL,
    tx_other_transport_bytes bigint NOT NULL,
    kernel_rx_packets bigint NOT NULL,
    kernel_tx_packets bigint NOT NULL,
    kernel_rx_bytes bigint NOT NULL,
    kernel_tx_bytes bigint NOT NULL,
    kernel_dropped bigint NOT NULL,
    kernel_errors bigint NOT NULL
)
WITH (fillfactor='100');
CREATE TABLE public.traffic_mix_p20785 (
    "time" timestamp with time zone NOT NULL,
    interval_ns bigint NOT NULL,
    client integer NOT NULL,
    nic integer NOT NULL,
    rx_multicast_packets bigint NOT NULL,
    rx_broadcast_packets bigint NOT NULL,
    rx_tcp_syn_packets bigint NOT NULL,
    rx_tcp_rst_packets bigint NOT NULL,
    rx_size_64_packets bigint NOT NULL,
    rx_size_127_packets bigint NOT NULL,
    rx_size_255_packets bigint NOT NULL,
    rx_size_511_packets bigint NOT NULL,
    rx_size_1023_packets bigint NOT NULL,
    rx_size_1518_packets bigint NOT NULL,
    rx_size_over_1518_packets bigint NOT NULL,
    rx_ipv4_bytes bigint NOT NULL,
    rx_ipv6_bytes bigint NOT NULL,
    rx_arp_bytes bigint NOT NULL,
    rx_other_bytes bigint NOT NULL,
    rx_tcp_packets bigint NOT NULL,
    rx_tcp_bytes bigint NOT NULL,
    rx_udp_packets bigint NOT NULL,
    rx_udp_bytes bigint NOT NULL,
    rx_icmp_packets bigint NOT NULL,
    rx_icmp_bytes bigint NOT NULL,
    rx_other_transport_packets bigint NOT NULL,
    rx_other_transport_bytes bigint NOT NULL,
    tx_multicast_packets bigint NOT NULL,
    tx_broadcast_packets bigint NOT NULL,
    tx_tcp_syn_packets bigint NOT NULL,
    tx_tcp_rst_packets bigint NOT NULL,
    tx_size_64_packets bigint NOT NULL,
    tx_size_127_packets bigint NOT NULL,
    tx_size_255_packets bigint NOT NULL,
    tx_size_511_packets bigint NOT NULL,
    tx_size_1023_packets bigint NOT NULL,
    tx_size_1518_packets bigint NOT NULL,
    tx_size_over_1518_packets bigint NOT NULL,
    tx_ipv4_bytes bigint NOT NULL,
    tx_ipv6_bytes bigint NOT NULL,
    tx_arp_bytes bigint NOT NULL,
    tx_other_bytes bigint NOT NULL,
    tx_tcp_packets bigint NOT NULL,
    tx_tcp_bytes bigint NOT NULL,
    tx_udp_packets bigint NOT NULL,
    tx_udp_bytes bigint NOT NULL,
    tx_icmp_packets bigint NOT NULL,
    tx_icmp_bytes bigint NOT NULL,
    tx_other_transport_packets bigint NOT NULL,
    tx_other_transport_bytes bigint NOT NULL,
    kernel_rx_packets bigint NOT NULL,
    kernel_tx_packets bigint NOT NULL,
    kernel_rx_bytes bigint NOT NULL,
    kernel_tx_bytes bigint NOT NULL,
    kernel_dropped bigint NOT NULL,
    kernel_errors bigint NOT NULL
)
WITH (fillfactor='100');
ALTER TABLE ONLY public.bandwidth_1m ATTACH PARTITION public.bandwidth_1m_default DEFAULT;
ALTER TABLE ONLY public.bandwidth_1m ATTACH PARTITION public.bandwidth_1m_p20783 FOR VALUES FROM ('2026-11-26 00:00:00+00') TO ('2026-11-27 00:00:00+00');
ALTER TABLE ONLY public.bandwidth_1m ATTACH PARTITION public.bandwidth_1m_p20784 FOR VALUES FROM ('2026-11-27 00:00:00+00') TO ('2026-11-28 00:00:00+00');
ALTER TABLE ONLY public.bandwidth_1m ATTACH PARTITION public.bandwidth_1m_p20785 FOR VALUES FROM ('2026-11-28 00:00:00+00') TO ('2026-11-29 00:00:00+00');
ALTER TABLE ONLY public.bandwidth_5m ATTACH PARTITION public.bandwidth_5m_default DEFAULT;
ALTER TABLE ONLY public.bandwidth_5m ATTACH PARTITION public.bandwidth_5m_p2078 FOR VALUES FROM ('2026-11-23 00:00:00+00') TO ('2026-12-03 00:00:00+00');
ALTER TABLE ONLY public.bandwidth_stats ATTACH PARTITION public.bandwidth_stats_default DEFAULT;
ALTER TABLE ONLY public.bandwidth_stats ATTACH PARTITION public.bandwidth_stats_p20783 FOR VALUES FROM ('2026-11-26 00:00:00+00') TO ('2026-11-27 00:00:00+00');
ALTER TABLE ONLY public.bandwidth_stats ATTACH PARTITION public.bandwidth_stats_p20784 FOR VALUES FROM ('2026-11-27 00:00:00+00') TO ('2026-11-28 00:00:00+00');
ALTER TABLE ONLY public.bandwidth_stats ATTACH PARTITION public.bandwidth_stats_p20785 FOR VALUES FROM ('2026-11-28 00:00:00+00') TO ('2026-11-29 00:00:00+00');
ALTER TABLE ONLY public.traffic_mix ATTACH PARTITION public.traffic_mix_default DEFAULT;
ALTER TABLE ONLY public.traffic_mix ATTACH PARTITION public.traffic_mix_p20783 FOR VALUES FROM ('2026-11-26 00:00:00+00') TO ('2026-11-27 00:00:00+00');
ALTER TABLE ONLY public.traffic_mix ATTACH PARTITION public.traffic_mix_p20784 FOR VALUES FROM ('2026-11-27 00:00:00+00') TO ('2026-11-28 00:00:00+00');
ALTER TABLE ONLY public.traffic_mix ATTACH PARTITION public.traffic_mix_p20785 FOR VALUES FROM ('2026-11-28 00:00:00+00') TO ('2026-11-29 00:00:00+00');
INSERT INTO public.bandwidth_1m_default VALUES (1, 1, '2027-01-15 00:00:00+00', 1, 500000000, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
INSERT INTO public.bandwidth_1m_default VALUES (1, 1, '2027-01-15 00:01:00+00', 1, 500000000, 1001, 2001, 12, 22, 8, 13, 104, 204, 205, 405, 1, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0);
INSERT INTO public.bandwidth_1m_default VALUES (1, 1, '2027-01-15 00:02:00+00', 1, 500000000, 2001, 4001, 22, 42, 13, 23, 204, 404, 405, 805, 2, 0, 0, 0, 0, 0, 14, 0, 0, 0, 0);
INSERT INTO public.bandwidth_1m_default VALUES (1, 1, '2027-01-15 00:03:00+00', 1, 500000000, 3001, 6001, 32, 62, 18, 33, 304, 604, 605, 1205, 0, 0, 0, 0, 0, 0, 21, 0, 0, 0, 0);
INSERT INTO public.bandwidth_1m_default VALUES (1, 2, '2027-01-15 00:00:00+00', 1, 500000000, 1001, 2001, 12, 22, 8, 13, 104, 204, 205, 405, 1, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0);
INSERT INTO public.bandwidth_1m_default VALUES (1, 2, '2027-01-15 00:01:00+00', 1, 500000000, 2001, 4001, 22, 42, 13, 23, 204, 404, 405, 805, 2, 0, 0, 0, 0, 0, 14, 0, 0, 0, 0);
INSERT INTO public.bandwidth_1m_default VALUES (1, 2, '2027-01-15 00:02:00+00', 1, 500000000, 3001, 6001, 32, 62, 18, 33, 304, 604, 605, 1205, 0, 0, 0, 0, 0, 0, 21, 0, 0, 0, 0);
INSERT INTO public.bandwidth_1m_default VALUES (1, 2, '2027-01-15 00:03:00+00', 1, 500000000, 4001, 8001, 42, 82, 23, 43, 404, 804, 805, 1605, 1, 0, 0, 0, 0, 0, 28, 0, 0, 0, 0);
INSERT INTO public.bandwidth_5m_default VALUES (1, 1, '2027-01-15 00:00:00+00', 4, 2000000000, 6004, 12004, 68, 128, 42, 72, 304, 604, 605, 1205, 3, 0, 0, 0, 0, 0, 42, 0, 0, 0, 0);
INSERT INTO public.bandwidth_5m_default VALUES (1, 2, '2027-01-15 00:00:00+00', 4, 2000000000, 10004, 20004, 108, 208, 62, 112, 404, 804, 805, 1605, 4, 0, 0, 0, 0, 0, 70, 0, 0, 0, 0);
INSERT INTO public.bandwidth_stats_default VALUES ('2027-01-15 00:00:00+00', 500000000, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 0, 0);
INSERT INTO public.bandwidth_stats_default VALUES ('2027-01-15 00:01:00+00', 500000000, 1001, 2001, 1, 1, 12, 22, 8, 13, 104, 204, 205, 405, 1, 0);
INSERT INTO public.bandwidth_stats_default VALUES ('2027-01-15 00:02:00+00', 500000000, 2001, 4001, 1, 1, 22, 42, 13, 23, 204, 404, 405, 805, 2, 0);
INSERT INTO public.bandwidth_stats_default VALUES ('2027-01-15 00:03:00+00', 500000000, 3001, 6001, 1, 1, 32, 62, 18, 33, 304, 604, 605, 1205, 0, 0);
INSERT INTO public.bandwidth_stats_default VALUES ('2027-01-15 00:00:00+00', 500000000, 1001, 2001, 1, 2, 12, 22, 8, 13, 104, 204, 205, 405, 1, 0);
INSERT INTO public.bandwidth_stats_default VALUES ('2027-01-15 00:01:00+00', 500000000, 2001, 4001, 1, 2, 22, 42, 13, 23, 204, 404, 405, 805, 2, 0);
INSERT INTO public.bandwidth_stats_default VALUES ('2027-01-15 00:02:00+00', 500000000, 3001, 6001, 1, 2, 32, 62, 18, 33, 304, 604, 605, 1205, 0, 0);
INSERT INTO public.bandwidth_stats_default VALUES ('2027-01-15 00:03:00+00', 500000000, 4001, 8001, 1, 2, 42, 82, 23, 43, 404, 804, 805, 1605, 1, 0);
INSERT INTO public.clients OVERRIDING SYSTEM VALUE VALUES (1, 'web', 'the web server', '2027-01-15 00:00:00+00', '2026-11-26 08:43:56.867125+00', '1.2.3', 'Debian', '6.1', 4, 500000000, NULL);
INSERT INTO public.gaps VALUES (-8, 5, 14, 1, 1, 1, '2027-01-15 00:05:00+00', 500000000, 3001, 6001, 32, 62, 18, 33, 304, 604, 605, 1205, 0, 0, '2026-11-26 08:43:56.867125+00');
INSERT INTO public.gaps VALUES (-8, 15, 17, 3, 1, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '2026-11-26 08:43:56.867125+00');
INSERT INTO public.netmon_schema VALUES (1);
INSERT INTO public.netmon_schema VALUES (2);
INSERT INTO public.netmon_schema VALUES (3);
INSERT INTO public.netmon_schema VALUES (4);
INSERT INTO public.netmon_schema VALUES (5);
INSERT INTO public.netmon_schema VALUES (6);
INSERT INTO public.netmon_schema VALUES (7);
INSERT INTO public.netmon_schema VALUES (8);
INSERT INTO public.netmon_schema VALUES (9);
INSERT INTO public.netmon_schema VALUES (10);
INSERT INTO public.netmon_schema VALUES (11);
INSERT INTO public.netmon_schema VALUES (12);
INSERT INTO public.netmon_schema VALUES (13);
INSERT INTO public.netmon_schema VALUES (14);
INSERT INTO public.netmon_schema VALUES (15);
INSERT INTO public.netmon_schema VALUES (16);
INSERT INTO public.netmon_schema VALUES (17);
INSERT INTO public.nics OVERRIDING SYSTEM VALUE VALUES (1, 1, 'eth0', 0, '\x020000000007', 9000, 0, 'physical', true, false, true, 0, 0, 0, 0);
INSERT INTO public.nics OVERRIDING SYSTEM VALUE VALUES (2, 1, 'eth1', 0, '\x000000000000', 0, 0, '', false, false, false, 0, 0, 0, 0);
INSERT INTO public.retention VALUES (true, '1970-01-01 00:00:00+00', '1970-01-01 00:00:00+00', '1970-01-01 00:00:00+00', NULL);
INSERT INTO public.session_nics VALUES (-8, 1, 0, 0, 0, 0, 9005, 18005, 100, 190, 9005, 18005, 100, 190);
INSERT INTO public.session_nics VALUES (-8, 2, 0, 0, 0, 0, 10004, 20004, 108, 208, 10004, 20004, 108, 208);
INSERT INTO public.sessions VALUES (-8, 1, '2027-01-15 00:00:00+00', 17, 1, '2026-11-26 08:43:56.867125+00', -77, 17, 13, 0, 8974805065073253815, 17, 0);
INSERT INTO public.traffic_mix_default VALUES ('2027-01-15 00:00:00+00', 10000000000, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
INSERT INTO public.traffic_mix_default VALUES ('2027-01-15 00:01:00+00', 10000000000, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
INSERT INTO public.traffic_mix_default VALUES ('2027-01-15 00:02:00+00', 10000000000, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
INSERT INTO public.traffic_mix_default VALUES ('2027-01-15 00:03:00+00', 10000000000, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
SELECT pg_catalog.setval('public.clients_id_seq', 1, true);
SELECT pg_catalog.setval('public.nics_id_seq', 2, true);
ALTER TABLE ONLY public.bandwidth_1m
    ADD CONSTRAINT bandwidth_1m_pkey PRIMARY KEY (client, nic, "time");
ALTER TABLE ONLY public.bandwidth_1m_default
    ADD CONSTRAINT bandwidth_1m_default_pkey PRIMARY KEY (client, nic, "time");
ALTER TABLE ONLY public.bandwidth_1m_p20783
    ADD CONSTRAINT bandwidth_1m_p20783_pkey PRIMARY KEY (client, nic, "time");
ALTER TABLE ONLY public.bandwidth_1m_p20784
    ADD CONSTRAINT bandwidth_1m_p20784_pkey PRIMARY KEY (client, nic, "time");
ALTER TABLE ONLY public.bandwidth_1m_p20785
    ADD CONSTRAINT bandwidth_1m_p20785_pkey PRIMARY KEY (client, nic, "time");
ALTER TABLE ONLY public.bandwidth_5m
    ADD CONSTRAINT bandwidth_5m_pkey PRIMARY KEY (client, nic, "time");
ALTER TABLE ONLY public.bandwidth_5m_default
    ADD CONSTRAINT bandwidth_5m_default_pkey PRIMARY KEY (client, nic, "time");
ALTER TABLE ONLY public.bandwidth_5m_p2078
    ADD CONSTRAINT bandwidth_5m_p2078_pkey PRIMARY KEY (client, nic, "time");
ALTER TABLE ONLY public.claims
    ADD CONSTRAINT claims_pkey PRIMARY KEY (client_id);
ALTER TABLE ONLY public.clients
    ADD CONSTRAINT clients_client_id_key UNIQUE (client_id);
ALTER TABLE ONLY public.clients
    ADD CONSTRAINT clients_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.enrolled
    ADD CONSTRAINT enrolled_pkey PRIMARY KEY (client_id);
ALTER TABLE ONLY public.link_changes
    ADD CONSTRAINT link_changes_pkey PRIMARY KEY (client, nic, "time");
ALTER TABLE ONLY public.nics
    ADD CONSTRAINT nics_client_name_key UNIQUE (client, name);
ALTER TABLE ONLY public.nics
    ADD CONSTRAINT nics_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.quarantine
    ADD CONSTRAINT quarantine_pkey PRIMARY KEY (session, first_seq);
ALTER TABLE ONLY public.retention
    ADD CONSTRAINT retention_pkey PRIMARY KEY (one);
ALTER TABLE ONLY public.revocations
    ADD CONSTRAINT revocations_change_key UNIQUE (change);
ALTER TABLE ONLY public.revocations
    ADD CONSTRAINT revocations_pkey PRIMARY KEY (client_id);
ALTER TABLE ONLY public.second_hosts
    ADD CONSTRAINT second_hosts_pkey PRIMARY KEY (client_id);
ALTER TABLE ONLY public.session_nics
    ADD CONSTRAINT session_nics_pkey PRIMARY KEY (session, nic);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (session);
ALTER TABLE ONLY public.sign_outs
    ADD CONSTRAINT sign_outs_change_key UNIQUE (change);
ALTER TABLE ONLY public.sign_outs
    ADD CONSTRAINT sign_outs_pkey PRIMARY KEY (session);
ALTER TABLE ONLY public.token_uses
    ADD CONSTRAINT token_uses_pkey PRIMARY KEY (token);
CREATE INDEX bandwidth_1m_default_time ON public.bandwidth_1m_default USING btree ("time");
CREATE INDEX bandwidth_5m_default_time ON public.bandwidth_5m_default USING btree ("time");
CREATE INDEX bandwidth_stats_nic ON ONLY public.bandwidth_stats USING btree (client, nic, "time");
CREATE INDEX bandwidth_stats_default_client_nic_time_idx ON public.bandwidth_stats_default USING btree (client, nic, "time");
CREATE INDEX bandwidth_stats_default_time ON public.bandwidth_stats_default USING btree ("time");
CREATE INDEX bandwidth_stats_p20783_client_nic_time_idx ON public.bandwidth_stats_p20783 USING btree (client, nic, "time");
CREATE INDEX bandwidth_stats_p20784_client_nic_time_idx ON public.bandwidth_stats_p20784 USING btree (client, nic, "time");
CREATE INDEX bandwidth_stats_p20785_client_nic_time_idx ON public.bandwidth_stats_p20785 USING btree (client, nic, "time");
CREATE INDEX claims_collector ON public.claims USING btree (collector);
CREATE INDEX gaps_misdated ON public.gaps USING btree (arrived) WHERE (reason = 6);
CREATE INDEX gaps_nic ON public.gaps USING btree (nic) WHERE (nic IS NOT NULL);
CREATE INDEX gaps_session ON public.gaps USING btree (session, first_seq);
CREATE INDEX link_changes_nic ON public.link_changes USING btree (nic);
CREATE INDEX quarantine_received ON public.quarantine USING btree (received_at);
CREATE INDEX session_nics_nic ON public.session_nics USING btree (nic);
CREATE INDEX sessions_client ON public.sessions USING btree (client, started);
CREATE INDEX traffic_mix_nic ON ONLY public.traffic_mix USING btree (client, nic, "time");
CREATE INDEX traffic_mix_default_client_nic_time_idx ON public.traffic_mix_default USING btree (client, nic, "time");
CREATE INDEX traffic_mix_default_time ON public.traffic_mix_default USING btree ("time");
CREATE INDEX traffic_mix_p20783_client_nic_time_idx ON public.traffic_mix_p20783 USING btree (client, nic, "time");
CREATE INDEX traffic_mix_p20784_client_nic_time_idx ON public.traffic_mix_p20784 USING btree (client, nic, "time");
CREATE INDEX traffic_mix_p20785_client_nic_time_idx ON public.traffic_mix_p20785 USING btree (client, nic, "time");
ALTER INDEX public.bandwidth_1m_pkey ATTACH PARTITION public.bandwidth_1m_default_pkey;
ALTER INDEX public.bandwidth_1m_pkey ATTACH PARTITION public.bandwidth_1m_p20783_pkey;
ALTER INDEX public.bandwidth_1m_pkey ATTACH PARTITION public.bandwidth_1m_p20784_pkey;
ALTER INDEX public.bandwidth_1m_pkey ATTACH PARTITION public.bandwidth_1m_p20785_pkey;
ALTER INDEX public.bandwidth_5m_pkey ATTACH PARTITION public.bandwidth_5m_default_pkey;
ALTER INDEX public.bandwidth_5m_pkey ATTACH PARTITION public.bandwidth_5m_p2078_pkey;
ALTER INDEX public.bandwidth_stats_nic ATTACH PARTITION public.bandwidth_stats_default_client_nic_time_idx;
ALTER INDEX public.bandwidth_stats_nic ATTACH PARTITION public.bandwidth_stats_p20783_client_nic_time_idx;
ALTER INDEX public.bandwidth_stats_nic ATTACH PARTITION public.bandwidth_stats_p20784_client_nic_time_idx;
ALTER INDEX public.bandwidth_stats_nic ATTACH PARTITION public.bandwidth_stats_p20785_client_nic_time_idx;
ALTER INDEX public.traffic_mix_nic ATTACH PARTITION public.traffic_mix_default_client_nic_time_idx;
ALTER INDEX public.traffic_mix_nic ATTACH PARTITION public.traffic_mix_p20783_client_nic_time_idx;
ALTER INDEX public.traffic_mix_nic ATTACH PARTITION public.traffic_mix_p20784_client_nic_time_idx;
ALTER INDEX public.traffic_mix_nic ATTACH PARTITION public.traffic_mix_p20785_client_nic_time_idx;
ALTER TABLE ONLY public.gaps
    ADD CONSTRAINT gaps_session_fkey FOREIGN KEY (session) REFERENCES public.sessions(session);
ALTER TABLE ONLY public.link_changes
    ADD CONSTRAINT link_changes_nic_fkey FOREIGN KEY (nic) REFERENCES public.nics(id);
ALTER TABLE ONLY public.nics
    ADD CONSTRAINT nics_client_fkey FOREIGN KEY (client) REFERENCES public.clients(id);
ALTER TABLE ONLY public.quarantine
    ADD CONSTRAINT quarantine_session_fkey FOREIGN KEY (session) REFERENCES public.sessions(session);
ALTER TABLE ONLY public.session_nics
    ADD CONSTRAINT session_nics_nic_fkey FOREIGN KEY (nic) REFERENCES public.nics(id);
ALTER TABLE ONLY public.session_nics
    ADD CONSTRAINT session_nics_session_fkey FOREIGN KEY (session) REFERENCES public.sessions(session);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_client_fkey FOREIGN KEY (client) REFERENCES public.clients(id);
