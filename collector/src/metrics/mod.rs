//! Prometheus: the collector's own metrics from the registry, and the series of every client and
//! NIC straight from the live table.

mod clients;
mod tags;
mod text;

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use wire::WallNs;

pub use self::clients::{
    CLIENT_METRICS, ClientMetric, MetricKind, MetricPoint, MetricValue, NIC_BYTES, NIC_PACKETS,
    TrafficDirection,
};
pub use self::tags::{TagLabels, TagLabelsError};
use self::text::render_clients;
use crate::alerts;
use crate::audit::{self, AuditEvent};
use crate::live::Live;

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

const COUNTERS: [(&str, &str); 18] = [
    ("netmon_collector_frames_total", "Frames received."),
    ("netmon_collector_bytes_total", "Bytes of frames received, unpacked."),
    ("netmon_collector_duplicates_total", "Frames received again."),
    (
        "netmon_collector_gaps_total",
        "Gap records: they stand for samples that an agent lost or \
                                     gave up.",
    ),
    (alerts::DELIVERIES, "Deliveries of alerts: sent, retried or failed."),
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
    (
        "netmon_collector_misdated_talkers_total",
        "Records of talkers whose date is too far from the collector's time: they are not kept.",
    ),
    ("netmon_collector_otlp_points_total", "Data points that the OTLP receiver has taken."),
    (
        "netmon_collector_otlp_failures_total",
        "Requests that the OTLP receiver refused, or that did not reach it.",
    ),
    (OTLP_LOST, "Data points that the OTLP receiver will not get, by reason."),
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
const OTLP_LOST: &str = "netmon_collector_otlp_lost_points_total";
const LIMITED: &str = "netmon_collector_limited_total";

/// Metrics with a label, and its name. They appear with the first label value.
const LABELLED: [(&str, &str); 7] = [
    (REJECTS, "reason"),
    (LIMITED, "limit"),
    (HTTP_REFUSED, "reason"),
    (OTLP_LOST, "reason"),
    (AUDIT.0, "event"),
    (alerts::DELIVERIES, "target`, `outcome"),
    (alerts::FIRING, "rule"),
];

const GAUGES: [(&str, &str); 10] = [
    (alerts::FIRING, "Alerts that fire, of all collectors of the database."),
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
    (
        "netmon_collector_otlp_queue_bytes",
        "Memory of requests that wait for the OTLP receiver; at most export.otlp.max_memory.",
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
    tags: TagLabels,
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
        Ok((recorder, Self { handle, tags: TagLabels::default() }))
    }

    /// Labels the series of clients and NICs by these tags.
    #[must_use]
    pub fn with_tags(self, tags: TagLabels) -> Self {
        Self { tags, ..self }
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
    pub fn render(&self, live: &Live, now_ns: WallNs) -> String {
        live.expire(now_ns);
        let mut text = self.handle.render();
        render_clients(&mut text, &live.snapshot(), &self.tags);
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

/// The label of a metric, if it has one.
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
        if label(name).is_none() {
            gauge!(name).set(0.0);
        }
    }
    for (name, help, _) in HISTOGRAMS {
        describe_histogram!(name, help);
        // Creating it is enough to show it.
        let _empty = histogram!(name);
    }
}
