//! Prometheus: the collector's own metrics from the registry, and the series of every client and
//! NIC straight from the live table.

use std::fmt::{self, Display, Write};
use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use crate::audit::{self, AuditEvent};
use crate::live::{ClientView, Live, NicView, SampleView};

/// The media type of the text that [`Metrics::render`] gives.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Interval between compactions of histograms, so that they stay small even if nobody reads them.
const UPKEEP: Duration = Duration::from_secs(5);

/// Upper bounds of `netmon_collector_commit_seconds`.
const COMMIT_SECONDS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Upper bounds of `netmon_collector_batch_rows`.
const BATCH_ROWS: [f64; 10] =
    [1.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 5_000.0, 10_000.0, 50_000.0, 100_000.0];

const COUNTERS: [(&str, &str); 13] = [
    ("netmon_collector_frames_total", "Frames received."),
    ("netmon_collector_bytes_total", "Bytes of frames received, unpacked."),
    ("netmon_collector_duplicates_total", "Frames received again."),
    (
        "netmon_collector_gaps_total",
        "Gap records: they stand for samples that an agent lost or \
                                     gave up.",
    ),
    (REJECTS, "Frames, messages and connections refused, by reason."),
    (HTTP_REFUSED, "Requests and connections over HTTP refused or ended, by reason."),
    (LIMITED, "How often somebody exceeded a limit, by limit."),
    ("netmon_collector_commit_errors_total", "Commits that failed."),
    (
        "netmon_collector_slow_commits_total",
        "Commits that took longer than ten times writer.max_delay, including those still running.",
    ),
    (
        "netmon_collector_quarantined_frames_total",
        "Frames put into the table quarantine: the store refuses them, or no link can carry them.",
    ),
    (
        "netmon_collector_misdated_total",
        "Samples whose date is too far from the collector's time: they are in the table gaps.",
    ),
    (
        "netmon_collector_misdated_mixes_total",
        "Mixes whose date is too far from the collector's time: they are not kept.",
    ),
    ("netmon_collector_enrolments_total", "Certificates issued to clients with a token."),
];

/// The audit log's events, which start at zero each by its name.
const AUDIT: (&str, &str) = (
    audit::METRIC,
    "Events of the audit log, by kind: enrolments, revocations, refusals, changes.",
);

/// Refused or ended HTTP requests and connections, by `reason`, mostly the limit's name.
pub const HTTP_REFUSED: &str = "netmon_collector_http_refused_total";

/// Open HTTP connections.
pub const HTTP_CONNECTIONS: &str = "netmon_collector_http_connections";

const REJECTS: &str = "netmon_collector_rejects_total";
const LIMITED: &str = "netmon_collector_limited_total";

/// Counters with a label, and its name. They appear with the first label value.
const LABELLED: [(&str, &str); 4] =
    [(REJECTS, "reason"), (LIMITED, "limit"), (HTTP_REFUSED, "reason"), (AUDIT.0, "event")];

const GAUGES: [(&str, &str); 8] = [
    (
        "netmon_collector_certificate_expiry_timestamp_seconds",
        "When the collector's own certificate expires.",
    ),
    ("netmon_collector_ca_expiry_timestamp_seconds", "When the collector's own CA expires."),
    ("netmon_collector_store_up", "1 if the store commits what agents deliver, else 0."),
    (
        "netmon_collector_clock_jump_seconds",
        "How far the wall clock is ahead of the store's clock; 0 while the store's clock follows \
         it.",
    ),
    (HTTP_CONNECTIONS, "Open HTTP connections."),
    (
        "netmon_collector_disk_free_bytes",
        "Free space for the embedded store, on its disk and within its file; 0 with PostgreSQL.",
    ),
    ("netmon_collector_queue_rows", "Rows waiting to be committed."),
    ("netmon_collector_sessions", "Open sessions of agents."),
];

const HISTOGRAMS: [(&str, &str, &[f64]); 2] = [
    ("netmon_collector_batch_rows", "Rows per committed batch.", &BATCH_ROWS),
    ("netmon_collector_commit_seconds", "Duration of a commit.", &COMMIT_SECONDS),
];

/// Everything shown by `/metrics`.
#[derive(Debug, Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

/// Why metrics can't be set up.
#[derive(Debug, thiserror::Error)]
#[error("can't set up metrics")]
pub struct MetricsError(#[from] BuildError);

impl Metrics {
    /// Installs the recorder of the process.
    ///
    /// # Errors
    /// [`MetricsError`] if the process has one already.
    pub fn install() -> Result<Self, MetricsError> {
        let (recorder, metrics) = Self::with_recorder()?;
        metrics::set_global_recorder(recorder).map_err(BuildError::from)?;
        Ok(metrics)
    }

    /// Creates a recorder for [`metrics::with_local_recorder`].
    ///
    /// # Errors
    /// None in practice: the buckets are constants.
    pub fn with_recorder() -> Result<(PrometheusRecorder, Self), MetricsError> {
        let mut builder = PrometheusBuilder::new();
        for (name, _, buckets) in HISTOGRAMS {
            builder = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), buckets)?;
        }
        let recorder = builder.build_recorder();
        metrics::with_local_recorder(&recorder, describe);
        let handle = recorder.handle();
        Ok((recorder, Self { handle }))
    }

    /// Compacts the histograms, forever.
    pub async fn run_upkeep(self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            self.handle.run_upkeep();
        }
    }

    /// Every series at `now_ns`, in the text format of Prometheus.
    #[must_use]
    pub fn render(&self, live: &Live, now_ns: u64) -> String {
        live.expire(now_ns);
        let mut text = self.handle.render();
        render_clients(&mut text, &live.snapshot());
        text
    }
}

/// One of the collector's own metrics.
#[derive(Debug, Clone, Copy)]
pub struct OwnMetric {
    /// Its name.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// The name of its label, if it has one.
    pub label: Option<&'static str>,
    /// Its help text.
    pub help: &'static str,
}

/// Every metric of the collector itself, for the reference.
#[must_use]
pub fn own() -> Vec<OwnMetric> {
    let metric = |kind, name, help| OwnMetric { name, kind, label: label(name), help };
    let counters = COUNTERS.into_iter().chain([AUDIT]);
    let counters = counters.map(|(name, help)| metric("counter", name, help));
    let gauges = GAUGES.into_iter().map(|(name, help)| metric("gauge", name, help));
    let histograms = HISTOGRAMS.into_iter().map(|(name, help, _)| metric("histogram", name, help));
    counters.chain(gauges).chain(histograms).collect()
}

/// The label of a counter, if it has one.
fn label(name: &str) -> Option<&'static str> {
    LABELLED.iter().find(|(labelled, _)| *labelled == name).map(|(_, label)| *label)
}

/// Describes the collector's own metrics and starts them at zero, so that the first change shows.
fn describe() {
    for (name, help) in COUNTERS {
        describe_counter!(name, help);
        if label(name).is_none() {
            counter!(name).increment(0);
        }
    }
    describe_counter!(AUDIT.0, AUDIT.1);
    AuditEvent::ALL.into_iter().for_each(|event| audit::count(event, 0));
    for (name, help) in GAUGES {
        describe_gauge!(name, help);
        gauge!(name).set(0.0);
    }
    for (name, help, _) in HISTOGRAMS {
        describe_histogram!(name, help);
        // Creating it is enough to show it.
        let _empty = histogram!(name);
    }
}

fn render_clients(text: &mut String, clients: &[ClientView]) {
    render_presence(text, clients);
    render_links(text, clients);
    render_traffic(text, clients);
    render_losses(text, clients);
}

/// Presence of clients.
fn render_presence(text: &mut String, clients: &[ClientView]) {
    per_client(
        text,
        "up",
        "gauge",
        "1 if the client is connected, here or to another collector of the database.",
        clients,
        |client| Some(u8::from(client.up)),
    );
    per_client(
        text,
        "last_seen_timestamp_seconds",
        "gauge",
        "When the client was last heard of, by the collector's clock.",
        clients,
        |client| Some(seconds(client.last_seen.0.into())),
    );
    per_client(
        text,
        "clock_offset_seconds",
        "gauge",
        "How far the client's clock is ahead of the collector's.",
        clients,
        |client| {
            let offset = client.clock_offset_ns.filter(|_| !client.elsewhere);
            offset.map(|offset| seconds(offset.into()))
        },
    );
}

/// Facts about NICs.
fn render_links(text: &mut String, clients: &[ClientView]) {
    per_nic(text, "up", "gauge", "1 if the NIC is operationally up.", clients, |_, nic| {
        vec![("", u8::from(nic.up))]
    });
    per_nic(
        text,
        "stacked",
        "gauge",
        "1 if another captured NIC of the client carries the same bytes: leave it out of sums.",
        clients,
        |_, nic| vec![("", u8::from(nic.stacked))],
    );
    per_nic(
        text,
        "speed_bytes_per_second",
        "gauge",
        "Link speed per direction; missing if it is unknown or only nominal.",
        clients,
        |_, nic| {
            let known = Some(nic.speed_bits_per_second / 8).filter(|&speed| speed > 0);
            known.map(|speed| ("", speed)).into_iter().collect()
        },
    );
}

/// Traffic of NICs.
fn render_traffic(text: &mut String, clients: &[ClientView]) {
    per_nic(
        text,
        "bytes_total",
        "counter",
        "Bytes on the wire, without FCS, preamble and inter-packet gap.",
        clients,
        |_, nic| vec![(RX, nic.total.rx.bytes), (TX, nic.total.tx.bytes)],
    );
    per_nic(text, "packets_total", "counter", "Packets on the wire.", clients, |_, nic| {
        vec![(RX, nic.total.rx.packets), (TX, nic.total.tx.packets)]
    });
    per_nic(
        text,
        "peak_bytes_per_second",
        "gauge",
        "Most bytes within any 1 ms of the newest sample, as a rate.",
        clients,
        // The last peak of a client that is down is not current.
        |client, nic| nic.sample.iter().filter(|_| client.up).flat_map(peaks).collect(),
    );
}

/// Lost, late and inexact packets of NICs.
fn render_losses(text: &mut String, clients: &[ClientView]) {
    per_nic(
        text,
        "ring_drops_total",
        "counter",
        "Packets dropped because the ring was full, both directions; in no other figure.",
        clients,
        |_, nic| vec![("", nic.drops_total)],
    );
    per_nic(
        text,
        "late_packets_total",
        "counter",
        "Packets counted in a later interval than their own, both directions.",
        clients,
        |_, nic| vec![("", nic.late_total)],
    );
    per_nic(
        text,
        "inexact_packets_total",
        "counter",
        "Packets counted as captured though they may be several on the wire, both directions.",
        clients,
        |_, nic| vec![("", nic.inexact_total)],
    );
}

const RX: &str = "rx";
const TX: &str = "tx";

const fn peaks(sample: &SampleView) -> [(&'static str, u64); 2] {
    [(RX, sample.rx.peak_1ms_bytes_per_second), (TX, sample.tx.peak_1ms_bytes_per_second)]
}

/// Writes one metric with a series for each client that has a value.
fn per_client<V: Display>(
    text: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    clients: &[ClientView],
    value: impl Fn(&ClientView) -> Option<V>,
) {
    let name = format_args!("netmon_client_{name}").to_string();
    head(text, &name, kind, help);
    for client in clients {
        if let Some(value) = value(client) {
            put(text, format_args!("{name}{{client=\"{}\"}} {value}\n", Label(&client.client)));
        }
    }
}

/// Writes one metric with a series for each NIC and direction that has a value. An empty direction is
/// left out.
fn per_nic<V: Display>(
    text: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    clients: &[ClientView],
    values: impl Fn(&ClientView, &NicView) -> Vec<(&'static str, V)>,
) {
    let name = format_args!("netmon_nic_{name}").to_string();
    head(text, &name, kind, help);
    // Each NIC has its series at one collector only: the last that heard from its client.
    for client in clients.iter().filter(|client| !client.elsewhere) {
        for nic in &client.nics {
            for (direction, value) in values(client, nic) {
                let (id, nic) = (Label(&client.client), Label(&nic.nic));
                put(text, format_args!("{name}{{client=\"{id}\",nic=\"{nic}\""));
                if !direction.is_empty() {
                    put(text, format_args!(",direction=\"{direction}\""));
                }
                put(text, format_args!("}} {value}\n"));
            }
        }
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    put(text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
}

fn put(text: &mut String, what: fmt::Arguments<'_>) {
    // Writing to a string can't fail.
    let _always = text.write_fmt(what);
}

/// The value of a label, escaped.
struct Label<'a>(&'a str);

impl Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            other => f.write_char(other),
        })
    }
}

/// Nanoseconds as seconds, exactly.
fn seconds(ns: i128) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let ns = ns.unsigned_abs();
    format!("{sign}{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}
