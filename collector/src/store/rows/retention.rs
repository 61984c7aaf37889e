//! Retention: how long rows are kept.

use std::time::Duration;

use wire::WallNs;

use crate::store::rows::rollups::FIVE_MINUTES_NS;

const DAY: Duration = Duration::from_secs(86_400);

/// How long rows are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionLimits {
    /// `bandwidth_stats` and `traffic_mix`.
    pub raw: Duration,
    /// Samples older than this are packed, where the store packs.
    pub hot: Duration,
    /// `bandwidth_1m`.
    pub rollup_1m: Duration,
    /// `bandwidth_5m`, and finished sessions.
    pub rollup_5m: Duration,
    /// Frames in `quarantine`.
    pub quarantine: Duration,
    /// Incidents of alerts that are over.
    pub alerts: Duration,
    /// `talkers`.
    pub talkers: Duration,
}

impl Default for RetentionLimits {
    fn default() -> Self {
        Self {
            raw: 7 * DAY,
            hot: Duration::from_secs(2 * 3600),
            rollup_1m: 30 * DAY,
            rollup_5m: 400 * DAY,
            quarantine: 30 * DAY,
            alerts: 90 * DAY,
            talkers: 7 * DAY,
        }
    }
}

/// Rows that start before these times are deleted. The times are multiples of five minutes, so that a
/// rollup's interval is kept or deleted together with its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutOffs {
    /// `bandwidth_stats` and `traffic_mix`, nanoseconds since 1970 (UTC).
    pub raw_ns: WallNs,
    /// `bandwidth_1m`, nanoseconds since 1970 (UTC).
    pub rollup_1m_ns: WallNs,
    /// `bandwidth_5m`, nanoseconds since 1970 (UTC).
    pub rollup_5m_ns: WallNs,
    /// `quarantine`, by time of arrival, nanoseconds since 1970 (UTC).
    pub quarantine_ns: WallNs,
    /// `alerts`, by the time when they ended, nanoseconds since 1970 (UTC).
    pub alerts_ns: WallNs,
    /// `talkers`, nanoseconds since 1970 (UTC).
    pub talkers_ns: WallNs,
    /// Now, nanoseconds since 1970 (UTC): sessions with a later start count as old.
    pub now_ns: WallNs,
}

impl RetentionLimits {
    /// The shortest retention of all tables.
    #[must_use]
    pub fn shortest(&self) -> Duration {
        let Self { raw, rollup_1m, rollup_5m, quarantine, alerts, talkers, .. } = *self;
        raw.min(rollup_1m).min(rollup_5m).min(quarantine).min(alerts).min(talkers)
    }

    /// The longest retention of samples or sums.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.raw.max(self.rollup_1m).max(self.rollup_5m)
    }

    /// The times before which rows are deleted at `now_ns`.
    #[must_use]
    pub fn cut_offs(&self, now_ns: WallNs) -> CutOffs {
        let before = |kept: Duration| {
            let kept = u64::try_from(kept.as_nanos()).unwrap_or(u64::MAX);
            now_ns.saturating_sub(kept).floor(FIVE_MINUTES_NS)
        };
        CutOffs {
            raw_ns: before(self.raw),
            rollup_1m_ns: before(self.rollup_1m),
            rollup_5m_ns: before(self.rollup_5m),
            quarantine_ns: before(self.quarantine),
            alerts_ns: before(self.alerts),
            talkers_ns: before(self.talkers),
            now_ns,
        }
    }
}

/// The result of a retention.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retained {
    /// Rows deleted one by one.
    pub rows: u64,
    /// Partitions dropped.
    pub partitions: u64,
}

/// A store's known times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeSeen {
    /// Its clock as it was kept last, or the newest commit of a store that never kept one.
    /// `None` of a new store.
    pub clock_ns: Option<WallNs>,
    /// The database server's clock, if it has its own.
    pub server_ns: Option<WallNs>,
    /// When the oldest row expires, or an earlier time; the largest number without rows.
    pub first_expiry_ns: WallNs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_is_cut_by_its_own_limit_at_five_minutes() {
        let day = 86_400_000_000_000;
        let now = 1000 * day + FIVE_MINUTES_NS + 7;
        let cut = RetentionLimits::default().cut_offs(WallNs(now));
        let expected = CutOffs {
            raw_ns: WallNs(993 * day + FIVE_MINUTES_NS),
            rollup_1m_ns: WallNs(970 * day + FIVE_MINUTES_NS),
            rollup_5m_ns: WallNs(600 * day + FIVE_MINUTES_NS),
            quarantine_ns: WallNs(970 * day + FIVE_MINUTES_NS),
            alerts_ns: WallNs(910 * day + FIVE_MINUTES_NS),
            talkers_ns: WallNs(993 * day + FIVE_MINUTES_NS),
            now_ns: WallNs(now),
        };
        assert_eq!(cut, expected);
    }

    #[test]
    fn what_reaches_back_before_1970_deletes_nothing() {
        assert_eq!(RetentionLimits::default().cut_offs(WallNs(5)).rollup_5m_ns, WallNs(0));
    }
}
