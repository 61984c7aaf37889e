//! The meaning of each table and column.

/// The tables and views, in the order of the page.
pub const TABLES: [(&str, &str); 32] = [
    ("clients", "Enrolled agents that have connected."),
    ("nics", "The NICs of each client, as its agent last described them."),
    (
        "bandwidth_stats",
        "One row per client, NIC and sample: the raw data. In PostgreSQL partitioned by day. Kept for `retention.raw`.",
    ),
    (
        "traffic_mix",
        "Sizes and protocols, one row per client, NIC and mix interval. Kept as long as samples. The name of a size class is its largest packet, including FCS (RFC 2819).",
    ),
    ("bandwidth_1m", "Samples summed by minute. Kept for `retention.rollup_1m`."),
    ("bandwidth_5m", "Samples summed by 5 minutes. Kept for `retention.rollup_5m`."),
    (
        "gaps",
        "[Gaps](figures.md#gaps-what-is-missing-and-why): ranges of sequence numbers without samples, one row per NIC with its exact counts.",
    ),
    ("link_changes", "When links went up or down."),
    ("client_tags", "What agents and operators say of clients now."),
    ("tag_intervals", "Which tag of a client counts when. Intervals of one key don't overlap."),
    ("sessions", "Runs of agents, and how far each is committed."),
    (
        "session_nics",
        "The ledger: the sums of a session's samples per NIC, and the totals that the agent kept itself. `netmon-collector fsck` compares both.",
    ),
    ("quarantine", "Frames that the database refused, as received."),
    ("retention", "One row: the times from which rows are complete, and the store's clock."),
    ("revocations", "Revoked clients, for all collectors of the database."),
    ("token_uses", "Uses of enrolment tokens, counted over all collectors of the database."),
    ("enrolled", "Client ids in use at any collector of the database, until they are forgotten."),
    ("sign_outs", "Signed-out browser sessions, for all collectors of the database."),
    (
        "account_statements",
        "[Accounts](billing.md): the statement of each account and cycle, renewed every 5 minutes while the cycle runs, never changed once it is frozen. Kept for good.",
    ),
    (
        "account_entries",
        "[Accounts](billing.md): what operators typed in. Rows are only added. Kept for good.",
    ),
    (
        "account_warnings",
        "[Accounts](billing.md): the warnings that were given, each once per cycle. Kept for good.",
    ),
    (
        "account_cycles",
        "View: `account_statements` with the provider's figures, without statement and evidence.",
    ),
    (
        "second_hosts",
        "Second hosts that were refused with a client's certificate: the last one per client.",
    ),
    (
        "claims",
        "PostgreSQL only: the host that holds each client's place, for all collectors of the database.",
    ),
    (
        "alerts",
        "Incidents: times during which a rule's condition held. Parts of the subject that don't apply are empty. Kept for `retention.alerts` after their end.",
    ),
    ("alert_messages", "The outbox: messages about incidents, one per target and event."),
    ("alert_silences", "Times without messages."),
    ("bandwidth_samples", "View: samples with the names of client and NIC."),
    (
        "bandwidth_report",
        "View: speeds as the older Go tool reported them, over the samples of the last 2 s, without the highest and lowest tenth if there are 10 or more. Stacked NICs are left out. Restrict `client_id`, `nic` and in SQLite `time`, which have an index.",
    ),
    ("bandwidth_rates_5m", "View: mean rates of 5-minute intervals, over the measured time."),
    (
        "bandwidth_p95_monthly",
        "View: 95th percentile of each month, client and NIC. In PostgreSQL the function `bandwidth_p95(client, nic, from, to)` gives it for any range.",
    ),
    (
        "netmon_schema",
        "PostgreSQL only, one row: version of the schema. SQLite keeps it in `PRAGMA user_version`.",
    ),
];

/// Columns whose meaning differs in one table.
const IN_TABLE: [(&str, &str, &str); 81] = [
    ("account_entries", "nth", "Counts all entries of all accounts"),
    ("account_entries", "kind", "`opening`: opening balance, `provider`: the provider's figure"),
    ("account_entries", "bytes", "The figure, bytes"),
    ("account_entries", "reason", "Why it was typed in"),
    ("account_entries", "at", "When it was typed in"),
    ("account_entries", "digest", "SHA-256 over the row and the digest of the row before"),
    ("account_warnings", "at", "When it was given"),
    ("clients", "client_id", "Id, as in the certificate"),
    ("bandwidth_1m", "time", "Start of the minute"),
    ("bandwidth_5m", "time", "Start of the 5 minutes"),
    ("bandwidth_rates_5m", "timestamp", "Start of the 5 minutes"),
    ("link_changes", "time", "When the change was seen, by the collector's clock"),
    ("link_changes", "up", "Up, or down"),
    (
        "client_tags",
        "source",
        "`agent` (`client.tags`) or `collector` (`collector tag`), which goes before it",
    ),
    ("client_tags", "key", "The key"),
    ("client_tags", "value", "The value"),
    ("tag_intervals", "key", "The key"),
    (
        "tag_intervals",
        "valid_from",
        "Samples that start from this 5-minute mark on count to the tag",
    ),
    ("tag_intervals", "valid_to", "Until this mark, not included; empty: still"),
    ("tag_intervals", "value", "The value"),
    ("tag_intervals", "source", "`agent` or `collector`: who said it"),
    ("clients", "tags_heard_at", "When the agent last said its tags"),
    ("gaps", "time", "Start of the gap, by the agent's clock. NULL if unknown"),
    ("gaps", "interval_ns", "Length of the gap, ns. NULL if unknown"),
    ("gaps", "nic", "The NIC. NULL if unknown"),
    ("gaps", "reason", "Number of the reason"),
    ("quarantine", "reason", "The reason as text"),
    ("sessions", "session", "64 random bits, as a signed number"),
    ("traffic_mix", "interval_ns", "Length of the mix interval, ns"),
    ("traffic_mix", "time", "Start of the mix interval, by the agent's clock"),
    ("revocations", "replaced", "Another host took the client's place"),
    ("revocations", "forgotten", "The client was also forgotten"),
    ("token_uses", "expires_at", "When the token expires"),
    ("retention", "one", "Always 1"),
    ("second_hosts", "refused", "Address of the host that was refused"),
    ("claims", "session", "The session that runs on the host"),
    ("sign_outs", "session", "Digest of the session"),
    ("sign_outs", "ends_at", "When the session would have ended by itself, seconds since 1970"),
    ("alerts", "id", "Id, 16 hexadecimal digits"),
    ("alerts", "client", "Id of the client"),
    ("alerts", "nic", "Name of the NIC"),
    ("alerts", "name", "The collector, or the account and its warning"),
    ("alerts", "since", "When the condition began"),
    ("alerts", "rule", "Name of the rule"),
    ("alerts", "measure", "What the rule measures"),
    ("alerts", "severity", "`warning` or `critical`"),
    ("alerts", "direction", "`rx` or `tx`"),
    ("alerts", "fired_at", "When the rule fired"),
    ("alerts", "resolved_at", "When it was over; empty while it fires"),
    ("alerts", "value", "The value when it fired, in the measure's unit"),
    ("alerts", "bound", "The rule's bound"),
    ("alerts", "worst", "The worst value"),
    ("alerts", "worst_at", "When that was"),
    ("alerts", "detail", "More, for people"),
    ("alerts", "muted", "Why no message was sent when it fired"),
    ("alerts", "announced", "1 once a message was queued that it fires"),
    (
        "alerts",
        "ended",
        "How it ended: `calm`, `no_data`, `rule_removed`, `rule_changed` or `collector_gone`",
    ),
    ("alerts", "confirmed_at", "When a collector last said that a rule of it is about it"),
    ("alerts", "confirmed_by", "That collector; empty: the one that opened it"),
    ("alert_messages", "incident", "`alerts.id`"),
    ("alert_messages", "event", "`firing` or `resolved`"),
    ("alert_messages", "target", "Name of the target"),
    ("alert_messages", "body", "Facts of the message, JSON"),
    ("alert_messages", "created_at", "When it was queued"),
    ("alert_messages", "held_until", "Not sent before, because of quiet hours"),
    ("alert_messages", "retry_at", "Not tried again before"),
    ("alert_messages", "attempts", "How often it was claimed"),
    ("alert_messages", "claimed_by", "Run of the collector that sends it"),
    ("alert_messages", "claimed_until", "Until then it is that collector's turn"),
    ("alert_messages", "state", "`waiting`, `sent` or `failed`"),
    ("alert_messages", "ended_at", "When it was sent or given up"),
    ("alert_messages", "error", "Why it was not sent yet, or at all"),
    ("alert_silences", "id", "Id, 12 hexadecimal digits"),
    ("alert_silences", "rule", "Only of this rule"),
    ("alert_silences", "client", "Only of clients whose id matches this glob"),
    ("alert_silences", "nic", "Only of NICs whose name matches this glob"),
    ("alert_silences", "tag", "Only of clients with this tag"),
    ("alert_silences", "from_at", "When it began"),
    ("alert_silences", "until_at", "When it ends"),
    ("alert_silences", "set_by", "Who set it"),
    ("alert_silences", "reason", "Why"),
];

const COLUMNS: &[(&str, &str)] = &[
    ("account", "Name of the account"),
    ("cycle", "The cycle, by the month in which it begins: `2026-11`"),
    ("starts_at", "Start of the cycle"),
    ("ends_at", "End of the cycle, not included"),
    ("as_of", "As of when the figures are"),
    ("frozen_at", "When it was frozen. NULL: it isn't yet"),
    ("rule", "Billed direction: `rx`, `tx`, `sum`, `max`"),
    ("basis", "Billed bytes: `L2`, `L2+FCS`, `L3`"),
    ("opening_bytes", "Opening balance, bytes"),
    ("used_bytes", "Billed bytes with the opening balance, as far as measured"),
    ("used_max_bytes", "The most that they may be. NULL: no bound is known"),
    ("quota_bytes", "Volume of the cycle, bytes"),
    ("used_percent", "Used part of the quota, percent"),
    ("missing_ns", "Time that was not measured, of all NICs together, ns"),
    ("p95_bits_per_second", "95th percentile of the pooled NICs, bit/s"),
    ("commit_bits_per_second", "Committed 95th percentile, bit/s"),
    ("statement", "Everything that the API answers, as JSON"),
    ("evidence", "Of a frozen cycle: its intervals and gaps, as CSV"),
    ("digest", "Of a frozen cycle: SHA-256 over the row"),
    ("provider_bytes", "What the provider says was used, bytes"),
    ("operator", "Who typed it in, as far as the system knows"),
    ("warning", "`80%`, `projected` or `commit`"),
    ("message", "What it said"),
    ("id", "Number that other tables refer to"),
    ("client", "The client: `clients.id`"),
    ("nic", "The NIC: `nics.id`; in views its name"),
    ("client_id", "Id of the client"),
    ("alias", "Display name of the client"),
    ("created_at", "When it first connected"),
    ("last_seen_at", "When it last reported, to about a minute"),
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
    ("kind", "Kind: `physical`, `bond`, `vlan`, `bridge`, `veth`, `tunnel`, ..."),
    ("up", "Operationally up"),
    ("stacked", "Another captured NIC carries the same bytes: leave it out of sums"),
    ("present", "In the agent's latest inventory"),
    ("time", "Start of the interval, by the agent's clock"),
    ("timestamp", "Start of the interval, readable"),
    (
        "nth",
        "Counts up where several rows of a NIC start at the same time, as after a step of the clock",
    ),
    ("interval_ns", "Length of the interval, ns"),
    ("drops", "Packets dropped because the ring was full"),
    ("freezes", "Times that the ring ran full"),
    ("late", "Packets counted in a later interval than their own"),
    ("inexact", "Packets with headers that could not all be read"),
    ("flags", "[Flags](figures.md#what-a-sample-says-about-itself) of the samples, combined"),
    ("samples", "Number of samples"),
    ("covered_ns", "Time that the samples cover, ns"),
    ("kernel_rx_packets", "The kernel's own `rx_packets`"),
    ("kernel_tx_packets", "The kernel's own `tx_packets`"),
    ("kernel_rx_bytes", "The kernel's own `rx_bytes`"),
    ("kernel_tx_bytes", "The kernel's own `tx_bytes`"),
    ("kernel_dropped", "The kernel's `rx_dropped` + `rx_missed_errors` + `tx_dropped`"),
    ("kernel_errors", "The kernel's `rx_errors` + `tx_errors`"),
    ("session", "The session: `sessions.session`"),
    ("first_seq", "First sequence number"),
    ("last_seq", "Last sequence number"),
    ("arrived", "When it arrived, for reason 6 (misdated)"),
    ("started", "Start of the run, by the agent's clock"),
    ("committed_seq", "Every sequence number up to this one is committed"),
    (
        "expired_quarantine_seqs",
        "Sequence numbers of frames in quarantine that were deleted by age",
    ),
    ("enrolled_at", "When a host enrolled with it"),
    ("since", "When it was first refused"),
    ("told_at", "When it was last refused, to 10 minutes"),
    ("kept", "Address of the host that keeps its place"),
    ("what", "How the second host relates to the first"),
    ("collector", "The run of a collector that the host is connected to"),
    ("place", "Number of the host's place at that collector"),
    ("machine", "Digest of its machine-id"),
    ("boot", "Digest of its boot id"),
    ("address", "Its address"),
    ("question", "Number of the last question whether the host still answers"),
    ("answered", "Number of the last question that it answered"),
    ("asked_since", "Since when questions are unanswered, if the last one is"),
    ("epoch", "Number of times that the session was opened"),
    ("committed_at", "Time of the last commit"),
    ("clock_offset_ns", "How far the agent's clock is ahead of the collector's, ns"),
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
    ("revoked_at", "Time of the revocation, seconds since 1970"),
    ("change", "Number of the change, in the order of commits"),
    ("token", "SHA-256 of the token's secret, hexadecimal"),
    ("used", "Number of hosts that used it"),
    ("upload_speed", "Bytes sent per second"),
    ("download_speed", "Bytes received per second"),
    ("avg_upload_packet_size", "Mean size of packets sent, bytes. NULL without packets"),
    ("avg_download_packet_size", "Mean size of packets received, bytes. NULL without packets"),
    ("month", "The month (UTC)"),
    ("measured_intervals", "5-minute intervals with measurements"),
    ("rx_bits_per_second", "Received, bit/s"),
    ("tx_bits_per_second", "Sent, bit/s"),
    ("max_bits_per_second", "The larger of both directions, bit/s"),
    ("version", "Version"),
];

/// Figures per direction, without the direction's prefix.
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

/// The meaning of a column.
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

/// The meaning of a figure of one direction.
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
