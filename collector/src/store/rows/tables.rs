//! The tables whose rows have one NIC and one time, with their retention. Reading, writing, deletion by
//! age and purging use these lists.

use std::time::Duration;

use wire::WallNs;

use crate::store::rows::retention::{CutOffs, RetentionLimits};

/// A table whose rows have client, NIC and time.
#[derive(Debug, Clone, Copy)]
pub struct Timed {
    /// Its name.
    pub name: &'static str,
    kept: Kept,
}

/// The limit that applies.
#[derive(Debug, Clone, Copy)]
enum Kept {
    Raw,
    Rollup1m,
    Rollup5m,
    Talkers,
}

/// The table of samples.
pub const SAMPLES: &str = "bandwidth_stats";

/// The table of mixes.
pub const MIXES: &str = "traffic_mix";

/// Traffic of NICs.
pub const FIGURES: [Timed; 5] = [
    Timed { name: SAMPLES, kept: Kept::Raw },
    Timed { name: MIXES, kept: Kept::Raw },
    Timed { name: "talkers", kept: Kept::Talkers },
    Timed { name: "bandwidth_1m", kept: Kept::Rollup1m },
    Timed { name: "bandwidth_5m", kept: Kept::Rollup5m },
];

/// Events of NICs.
pub const EVENTS: [Timed; 1] = [Timed { name: "link_changes", kept: Kept::Rollup5m }];

/// Tables whose rows keep a NIC listed, those with the longest retention first. A ledger alone doesn't
/// keep it.
pub const KEEPING: [&str; 7] =
    ["bandwidth_5m", "gaps", "link_changes", "bandwidth_1m", SAMPLES, MIXES, "talkers"];

/// All tables whose rows have client, NIC and time.
pub fn timed() -> impl Iterator<Item = Timed> {
    FIGURES.into_iter().chain(EVENTS)
}

impl Timed {
    /// Its retention.
    #[must_use]
    pub const fn kept(&self, limits: &RetentionLimits) -> Duration {
        match self.kept {
            Kept::Raw => limits.raw,
            Kept::Rollup1m => limits.rollup_1m,
            Kept::Rollup5m => limits.rollup_5m,
            Kept::Talkers => limits.talkers,
        }
    }

    /// Rows that start before this are deleted, nanoseconds since 1970 (UTC).
    #[must_use]
    pub const fn cut_ns(&self, cut: &CutOffs) -> WallNs {
        match self.kept {
            Kept::Raw => cut.raw_ns,
            Kept::Rollup1m => cut.rollup_1m_ns,
            Kept::Rollup5m => cut.rollup_5m_ns,
            Kept::Talkers => cut.talkers_ns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_with_rows_of_a_nic_keeps_it() {
        assert!(timed().all(|table| KEEPING.contains(&table.name)));
    }
}
