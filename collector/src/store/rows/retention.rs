//! How long rows are kept.

use std::time::Duration;

use crate::store::rows::rollups::FIVE_MINUTES_NS;

const DAY: Duration = Duration::from_secs(86_400);

/// How long rows are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionLimits {
    /// `bandwidth_stats` and `traffic_mix`.
    pub raw: Duration,
    /// `bandwidth_1m`.
    pub rollup_1m: Duration,
    /// `bandwidth_5m`, and sessions that add nothing any more.
    pub rollup_5m: Duration,
    /// Frames in `quarantine`.
    pub quarantine: Duration,
}

impl Default for RetentionLimits {
    fn default() -> Self {
        Self { raw: 7 * DAY, rollup_1m: 30 * DAY, rollup_5m: 400 * DAY, quarantine: 30 * DAY }
    }
}

/// Rows that start before these are deleted. Whole multiples of five minutes, so that every
/// interval of a rollup is kept or deleted with all of its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutOffs {
    /// `bandwidth_stats` and `traffic_mix`, nanoseconds since 1970 (UTC).
    pub raw_ns: u64,
    /// `bandwidth_1m`, nanoseconds since 1970 (UTC).
    pub rollup_1m_ns: u64,
    /// `bandwidth_5m`, nanoseconds since 1970 (UTC).
    pub rollup_5m_ns: u64,
    /// `quarantine`, by when it got them, nanoseconds since 1970 (UTC).
    pub quarantine_ns: u64,
    /// Now, nanoseconds since 1970 (UTC): sessions that began later count as old.
    pub now_ns: u64,
}

impl RetentionLimits {
    /// How long the table is kept that is kept shortest.
    #[must_use]
    pub fn shortest(&self) -> Duration {
        self.raw.min(self.rollup_1m).min(self.rollup_5m).min(self.quarantine)
    }

    /// How long the table of samples or sums is kept that is kept longest.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.raw.max(self.rollup_1m).max(self.rollup_5m)
    }

    /// What is to be deleted at `now_ns`.
    #[must_use]
    pub fn cut_offs(&self, now_ns: u64) -> CutOffs {
        let before = |kept: Duration| {
            let kept = u64::try_from(kept.as_nanos()).unwrap_or(u64::MAX);
            now_ns.saturating_sub(kept) / FIVE_MINUTES_NS * FIVE_MINUTES_NS
        };
        CutOffs {
            raw_ns: before(self.raw),
            rollup_1m_ns: before(self.rollup_1m),
            rollup_5m_ns: before(self.rollup_5m),
            quarantine_ns: before(self.quarantine),
            now_ns,
        }
    }
}

/// What was deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retained {
    /// Rows deleted one by one.
    pub rows: u64,
    /// Partitions dropped.
    pub partitions: u64,
}

/// What a store knows of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeSeen {
    /// Its clock as it was kept last, or the newest commit of a store that never kept one.
    /// `None` of a new store.
    pub clock_ns: Option<u64>,
    /// The clock of the database's server, where it has one of its own.
    pub server_ns: Option<u64>,
    /// When the first row of all expires; the largest number if there is none. Not later.
    pub first_expiry_ns: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_is_cut_by_its_own_limit_at_five_minutes() {
        let day = 86_400_000_000_000;
        let now = 1000 * day + FIVE_MINUTES_NS + 7;
        let cut = RetentionLimits::default().cut_offs(now);
        let expected = CutOffs {
            raw_ns: 993 * day + FIVE_MINUTES_NS,
            rollup_1m_ns: 970 * day + FIVE_MINUTES_NS,
            rollup_5m_ns: 600 * day + FIVE_MINUTES_NS,
            quarantine_ns: 970 * day + FIVE_MINUTES_NS,
            now_ns: now,
        };
        assert_eq!(cut, expected);
    }

    #[test]
    fn what_reaches_back_before_1970_deletes_nothing() {
        assert_eq!(RetentionLimits::default().cut_offs(5).rollup_5m_ns, 0);
    }
}
