//! What the log and the collector's own metrics say about the export.

use std::time::Instant;

use metrics::{counter, gauge};
use settings::{Failures, words};

use super::answer::OtlpAnswer;
use super::queue::{LossReason, Settled};

const LOST: &str = "netmon_collector_otlp_lost_points_total";

/// Starts the counters with a label at zero, so that the first loss shows.
pub(super) fn begin() {
    for reason in LossReason::ALL {
        counter!(LOST, "reason" => reason.name()).increment(0);
    }
}

/// Bytes wait for the receiver.
pub(super) fn waiting(bytes: usize) {
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    gauge!("netmon_collector_otlp_queue_bytes").set(bytes as f64);
}

/// Data points are lost.
pub(super) fn lost(reason: LossReason, points: u64) {
    if points == 0 {
        return;
    }
    counter!(LOST, "reason" => reason.name()).increment(points);
    match reason {
        LossReason::Stopped => tracing::warn!(points, "metrics were not exported before the stop"),
        // Each answer is logged, and a queue is full only after many.
        LossReason::QueueFull | LossReason::Refused | LossReason::Rejected => {}
    }
}

/// Logs the answers of a receiver: each kind once, then hourly.
#[derive(Debug)]
pub(super) struct Report {
    url: String,
    failures: Failures<(Kind, String)>,
}

/// What answers have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Failed,
    Partial,
}

impl Report {
    pub(super) const fn new(url: String) -> Self {
        Self { url, failures: Failures::new() }
    }

    /// Counts and logs an answer.
    pub(super) fn on_answer(&mut self, answer: &OtlpAnswer, settled: Settled) {
        counter!("netmon_collector_otlp_points_total").increment(settled.accepted);
        if let Some((reason, points)) = settled.lost {
            lost(reason, points);
        }
        let (url, now) = (self.url.as_str(), Instant::now());
        let mut told = |kind, why: &str| self.failures.failed((kind, words(why)), now);
        match answer {
            OtlpAnswer::Accepted => {}
            OtlpAnswer::Partial { rejected, message } => {
                if let Some(tell) = told(Kind::Partial, message) {
                    tracing::warn!(url, rejected, message, "the receiver rejects metrics{tell}");
                }
            }
            OtlpAnswer::Again { why, .. } => {
                counter!("netmon_collector_otlp_failures_total").increment(1);
                if let Some(tell) = told(Kind::Failed, why) {
                    tracing::warn!(
                        url,
                        why,
                        "can't export metrics; the newest wait in memory{tell}"
                    );
                }
            }
            OtlpAnswer::Refused { why } => {
                counter!("netmon_collector_otlp_failures_total").increment(1);
                if let Some(tell) = told(Kind::Failed, why) {
                    tracing::error!(url, why, "the receiver refuses metrics, which are lost{tell}");
                }
            }
        }
        let taken = matches!(answer, OtlpAnswer::Accepted | OtlpAnswer::Partial { .. });
        if taken && self.failures.succeeded_for(|(kind, _)| *kind == Kind::Failed) {
            tracing::info!(url, "metrics are exported again");
        }
    }
}
