//! Checks whether the OTLP receiver takes metrics, if there is one.

use settings::Finding;

use crate::otlp::{OtlpAnswer, OtlpSection, probe};

const SUBJECT: &str = "OTLP";

/// Without the receiver the collector still stores and serves, so no finding is a failure.
pub(super) async fn examine(section: &OtlpSection) -> Vec<Finding> {
    let target = match section.target() {
        Ok(None) => return Vec::new(),
        Ok(Some(target)) => target,
        Err(problem) => return vec![Finding::warn(SUBJECT, problem.to_string())],
    };
    let url = target.url();
    let found = match probe(target).await {
        OtlpAnswer::Accepted => Finding::ok(SUBJECT, format!("{url} takes metrics")),
        OtlpAnswer::Partial { message, .. } => {
            Finding::warn(SUBJECT, format!("{url} takes metrics and says: {message}"))
        }
        OtlpAnswer::Again { why, .. } | OtlpAnswer::Refused { why } => {
            Finding::warn(SUBJECT, format!("{url} takes no metrics: {why}"))
        }
    };
    let exposed = section.exposed().map(|text| Finding::warn(SUBJECT, text));
    std::iter::once(found).chain(exposed).collect()
}
