//! Section `export`: where metrics go beside Prometheus.

use serde::{Deserialize, Serialize};

use crate::otlp::OtlpSection;

/// Section `export`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExportSection {
    /// To an OpenTelemetry receiver.
    pub otlp: OtlpSection,
}
