//! What each table and column means.

/// The tables and views, in the order of the page.
pub const TABLES: [(&str, &str); 23] = [
    ("clients", "Enrolled agents that have connected."),
    ("nics", "The NICs of each client, as its agent described them last."),
    (
        "bandwidth_stats",
        "One row per client, NIC and sample: the raw data. In PostgreSQL partitioned by day. Kept for `retention.raw`.",
    ),
    (
        "traffic_mix",
        "Sizes and protocols, one row per client, NIC and mix interval. Kept as long as samples. A size class is named by its largest packet, with FCS (RFC 2819).",
    ),
    ("bandwidth_1m", "Samples summed by minute. Kept for `retention.rollup_1m`."),
    ("bandwidth_5m", "Samples summed by 5 minutes. Kept for `retention.rollup_5m`."),
    (
        "gaps",
        "[Gaps](figures.md#gaps-what-is-missing-and-why): ranges of sequence numbers without samples, one row per NIC with its exact counts.",
    ),
    ("link_changes", "When links went up or down."),
    ("sessions", "Runs of agents, and how far each is committed."),
    (
        "session_nics",
        "The ledger: what a session counted on a NIC, beside the totals that the agent kept itself. `collector fsck` compares both.",
    ),
    ("quarantine", "Frames that the database refused, as they came."),
    ("retention", "One row: from when on rows are complete, and the store's clock."),
    ("revocations", "Revoked clients, for all collectors of the database."),
    (
        "token_uses",
        "How often enrolment tokens were used, at all collectors of the database together.",
    ),
    (
        "enrolled",
        "Client ids that are taken, at all collectors of the database together, until they are \
         forgotten.",
    ),
    ("sign_outs", "Browser sessions that were signed out, for all collectors of the database."),
    (
        "second_hosts",
        "Second hosts that were refused under a client's certificate: the last one of each client.",
    ),
    (
        "claims",
        "PostgreSQL only: which host has a client's place, for all collectors of the database.",
    ),
    ("bandwidth_samples", "View: samples with the names of client and NIC."),
    (
        "bandwidth_report",
        "View: speeds as the older Go tool reported them, over the samples of the last 2 s, without the highest and lowest tenth where there are 10 or more. Stacked NICs are left out. Restrict `client_id`, `nic` and in SQLite `time`, which have an index.",
    ),
    (
        "bandwidth_rates_5m",
        "View: mean rates of 5-minute intervals, over the time that was measured.",
    ),
    (
        "bandwidth_p95_monthly",
        "View: 95th percentile of each month, client and NIC. In PostgreSQL the function `bandwidth_p95(client, nic, from, to)` gives it for any range.",
    ),
    (
        "netmon_schema",
        "PostgreSQL only, one row: version of the schema. SQLite keeps it in `PRAGMA user_version`.",
    ),
];

/// Columns that mean something else, or more, in one table.
const IN_TABLE: [(&str, &str, &str); 22] = [
    ("clients", "client_id", "Id, as in the certificate"),
    ("bandwidth_1m", "time", "Start of the minute"),
    ("bandwidth_5m", "time", "Start of the 5 minutes"),
    ("bandwidth_rates_5m", "timestamp", "Start of the 5 minutes"),
    ("link_changes", "time", "When it was found so, by the collector's clock"),
    ("link_changes", "up", "Up, or down"),
    ("gaps", "time", "Start of the gap, by the agent's clock. NULL if unknown"),
    ("gaps", "interval_ns", "Length of the gap, ns. NULL if unknown"),
    ("gaps", "nic", "The NIC. NULL if nothing is known of any"),
    ("gaps", "reason", "Number of the reason"),
    ("quarantine", "reason", "Why, in words"),
    ("sessions", "session", "64 random bits, as a signed number"),
    ("traffic_mix", "interval_ns", "Length of the mix interval, ns"),
    ("traffic_mix", "time", "Start of the mix interval, by the agent's clock"),
    ("revocations", "replaced", "Another host took the client's place"),
    ("revocations", "forgotten", "The client was forgotten, too"),
    ("token_uses", "expires_at", "When the token expires"),
    ("retention", "one", "Always 1"),
    ("second_hosts", "refused", "Address of the host that was refused"),
    ("claims", "session", "The session that runs on the host"),
    ("sign_outs", "session", "Digest that stands for the session"),
    ("sign_outs", "ends_at", "When the session would have ended by itself, seconds since 1970"),
];

const COLUMNS: &[(&str, &str)] = &[
    ("id", "Number by which other tables refer to it"),
    ("client", "Whose: `clients.id`"),
    ("nic", "Which NIC: `nics.id`; in views its name"),
    ("client_id", "Id of the client"),
    ("alias", "What people call the client"),
    ("created_at", "When it connected first"),
    ("last_seen_at", "When it was last heard of, to within a minute or so"),
    ("agent_version", "Version of the agent"),
    ("os", "Operating system"),
    ("kernel", "Release of the kernel"),
    ("cpus", "CPUs online"),
    ("sample_interval_ns", "Length of its samples, ns"),
    ("forgotten_at", "When an operator forgot it. NULL: it is listed"),
    ("name", "Name of the NIC"),
    ("if_index", "The kernel's index"),
    ("mac", "Hardware address"),
    ("mtu", "Largest packet without the MAC header, bytes"),
    ("speed_bits", "Link speed, bit/s. 0: unknown"),
    ("kind", "What it is: `physical`, `bond`, `vlan`, `bridge`, `veth`, `tunnel`, ..."),
    ("up", "Operationally up"),
    ("stacked", "Another captured NIC carries the same bytes: leave it out of sums"),
    ("present", "In the agent's latest inventory"),
    ("time", "Start of the interval, by the agent's clock"),
    ("timestamp", "Start of the interval, to be read by people"),
    (
        "nth",
        "Counts up where several rows of a NIC start at the same time, as after a step of the clock",
    ),
    ("interval_ns", "Length of the interval, ns"),
    ("drops", "Packets that the ring had no room for"),
    ("freezes", "How often the ring ran full"),
    ("late", "Packets counted in a later interval than their own"),
    ("inexact", "Packets whose headers could not all be read"),
    ("flags", "[Flags](figures.md#what-a-sample-says-about-itself) of the samples, combined"),
    ("samples", "Number of samples"),
    ("covered_ns", "Time that the samples cover, ns"),
    ("kernel_rx_packets", "The kernel's own `rx_packets`"),
    ("kernel_tx_packets", "The kernel's own `tx_packets`"),
    ("kernel_rx_bytes", "The kernel's own `rx_bytes`"),
    ("kernel_tx_bytes", "The kernel's own `tx_bytes`"),
    ("kernel_dropped", "The kernel's `rx_dropped` + `rx_missed_errors` + `tx_dropped`"),
    ("kernel_errors", "The kernel's `rx_errors` + `tx_errors`"),
    ("session", "Which session: `sessions.session`"),
    ("first_seq", "First sequence number"),
    ("last_seq", "Last sequence number"),
    ("arrived", "When it arrived, for reason 6 (misdated)"),
    ("started", "When the run began, by the agent's clock"),
    ("committed_seq", "Every sequence number up to this one is committed"),
    (
        "expired_quarantine_seqs",
        "Sequence numbers of frames in quarantine that were deleted by age",
    ),
    ("enrolled_at", "When a host enrolled under it"),
    ("since", "Since when there is one"),
    ("told_at", "When it was refused last, to within 10 minutes"),
    ("kept", "Address of the host that keeps its place"),
    ("what", "What the second host is to the first"),
    ("collector", "The run of a collector that the host is connected to"),
    ("place", "Number of the host's place at that collector"),
    ("machine", "Digest of its machine-id"),
    ("boot", "Digest of its boot id"),
    ("address", "Its address"),
    ("question", "Number of the last question whether the host still answers"),
    ("answered", "Number of the last question that it answered"),
    ("asked_since", "Since when questions are not answered, if the last one isn't"),
    ("epoch", "How often the session was opened"),
    ("committed_at", "When it was committed to last"),
    ("clock_offset_ns", "By how much the agent's clock is ahead of the collector's, ns"),
    ("covered_seqs", "Sequence numbers covered by records; equals `committed_seq`"),
    ("gap_seqs", "Of these, covered by gaps"),
    ("quarantine_seqs", "Of these, covered by frames in quarantine"),
    (
        "committed_digest",
        "Digest of the newest committed record. NULL in sessions of older collectors",
    ),
    ("digest_seq", "Sequence number that the digest belongs to"),
    ("received_at", "When it arrived"),
    ("frame", "The frame in wire format"),
    ("raw_from", "Samples that start before it have been deleted"),
    ("rollup_1m_from", "Rows of `bandwidth_1m` that start before it have been deleted"),
    ("rollup_5m_from", "Rows of `bandwidth_5m` that start before it have been deleted"),
    ("clock", "The store's clock"),
    ("generation", "Certificates of earlier generations are refused"),
    ("revoked_at", "When, seconds since 1970"),
    ("change", "Number of the change, in the order of commits"),
    ("token", "SHA-256 of the token's secret, hexadecimal"),
    ("used", "For how many hosts it was used"),
    ("upload_speed", "Bytes sent per second"),
    ("download_speed", "Bytes received per second"),
    ("avg_upload_packet_size", "Mean size of packets sent, bytes. NULL without packets"),
    ("avg_download_packet_size", "Mean size of packets received, bytes. NULL without packets"),
    ("month", "The month (UTC)"),
    ("measured_intervals", "5-minute intervals of which something was measured"),
    ("rx_bits_per_second", "Received, bit/s"),
    ("tx_bits_per_second", "Sent, bit/s"),
    ("max_bits_per_second", "The larger of both directions, bit/s"),
    ("version", "Version"),
];

/// Figures that exist per direction, without its prefix.
const FIGURES: &[(&str, &str)] = &[
    ("bytes", "Bytes {}, on the wire"),
    ("packets", "Packets {}, on the wire"),
    ("captured", "Packets {}, as the tap saw them"),
    ("peak_1ms_bytes", "Most bytes {} within any 1 ms"),
    ("peak_10ms_bytes", "Most bytes {} within any 10 ms"),
    ("tcp_syn_packets", "TCP packets {} with SYN"),
    ("tcp_rst_packets", "TCP packets {} with RST"),
    ("arp_bytes", "Bytes {}: ARP"),
    ("ipv4_bytes", "Bytes {}: IPv4"),
    ("ipv6_bytes", "Bytes {}: IPv6"),
    ("other_bytes", "Bytes {}: other network protocols"),
    (
        "other_transport_packets",
        "IP packets {} of other transport protocols, later fragments included",
    ),
    ("other_transport_bytes", "Bytes {} in IP packets of other transport protocols"),
];

/// What a column means.
pub fn of(table: &str, column: &str) -> Option<String> {
    let special = IN_TABLE.iter().find(|(at, name, _)| *at == table && *name == column);
    if let Some((_, _, meaning)) = special {
        return Some((*meaning).to_owned());
    }
    if let Some((_, meaning)) = COLUMNS.iter().find(|(name, _)| *name == column) {
        return Some((*meaning).to_owned());
    }
    for (prefix, before) in [
        ("first_", "The agent's total before the session's first sample: "),
        ("last_", "The agent's total after the session's last committed sample: "),
        ("counted_", "Sum of samples and gaps: "),
        ("expired_", "Deleted from `bandwidth_5m` by age: "),
    ] {
        if let Some(rest) = column.strip_prefix(prefix) {
            return figure(rest).map(|meaning| {
                format!("{before}{}{}", meaning[..1].to_lowercase(), &meaning[1..])
            });
        }
    }
    figure(column)
}

/// What a figure of one direction means.
fn figure(column: &str) -> Option<String> {
    let (direction, name) = column.split_once('_')?;
    let way = match direction {
        "rx" => "received",
        "tx" => "sent",
        _ => return None,
    };
    if let Some((_, meaning)) = FIGURES.iter().find(|(figure, _)| *figure == name) {
        return Some(meaning.replace("{}", way));
    }
    if let Some(size) = name.strip_prefix("size_") {
        let size = size.strip_suffix("_packets")?;
        return Some(match size.strip_prefix("over_") {
            Some(size) => format!("Packets {way} of more than {size} bytes"),
            None => format!("Packets {way} of at most {size} bytes, above the class before"),
        });
    }
    let (protocol, what) = name.rsplit_once('_')?;
    let protocol = match protocol {
        "tcp" | "udp" | "icmp" => protocol.to_uppercase(),
        "multicast" | "broadcast" => protocol.to_owned(),
        _ => return None,
    };
    match what {
        "packets" => Some(format!("Packets {way}: {protocol}")),
        "bytes" => Some(format!("Bytes {way}: {protocol}")),
        _ => None,
    }
}
