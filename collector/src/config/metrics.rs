//! Section `metrics`: the series of clients and NICs.

use serde::{Deserialize, Serialize};
use settings::{InFull, Problem};
use wire::tag::TagKey;

use crate::metrics::TagLabels;

/// Section `metrics`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsSection {
    /// Keys of tags that become labels of the series of clients and NICs; at most 8.
    #[serde(deserialize_with = "settings::list")]
    pub tags: Vec<TagKey>,
}

impl MetricsSection {
    /// The labels.
    ///
    /// # Errors
    /// Too many keys, or two that make the same label.
    pub fn labels(&self) -> Result<TagLabels, Problem> {
        let labels = TagLabels::new(&self.tags);
        labels.map_err(|error| Problem::new("metrics.tags", error.in_full().to_string()))
    }
}
