//! The dates that samples may have. Dates come from agents' clocks, and a date far off would make rows
//! that never expire or expire at once.

use std::time::Duration;

use wire::WallNs;

/// Furthest that samples may be dated ahead of the collector's time to be stored normally. Samples
/// within it are kept at most this much too long.
pub const AHEAD: Duration = Duration::from_secs(32 * 86_400);

/// Dates near enough for samples to be stored normally. Other samples become gaps with exact counts
/// ([`wire::frame::Gap::Misdated`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Near {
    from_ns: WallNs,
    to_ns: WallNs,
}

impl Default for Near {
    fn default() -> Self {
        Self { from_ns: WallNs(0), to_ns: WallNs::MAX }
    }
}

impl Near {
    /// Dates near one of these clocks, nanoseconds since 1970 (UTC), or between them: not older than
    /// the longest retention `kept`, because such rows would be deleted at once, and at most [`AHEAD`]
    /// in the future. Without a clock every date is near.
    #[must_use]
    pub fn of(clocks_ns: impl IntoIterator<Item = WallNs>, kept: Duration) -> Self {
        let ns = |length: Duration| u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        let near = |near: Option<Self>, clock_ns: WallNs| {
            let (from_ns, to_ns) =
                (clock_ns.saturating_sub(ns(kept)), clock_ns.saturating_add(ns(AHEAD)));
            let near = near.unwrap_or(Self { from_ns, to_ns });
            Some(Self { from_ns: near.from_ns.min(from_ns), to_ns: near.to_ns.max(to_ns) })
        };
        clocks_ns.into_iter().fold(None, near).unwrap_or_default()
    }

    /// True if a date is near, nanoseconds since 1970 (UTC).
    #[must_use]
    pub fn contains(&self, time_ns: WallNs) -> bool {
        self.from_ns <= time_ns && time_ns <= self.to_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const DAY_NS: u64 = 86_400_000_000_000;

    #[test]
    fn what_would_be_deleted_at_once_or_never_is_not_near() {
        let near = Near::of([WallNs(1000 * DAY_NS)], 400 * DAY);
        assert!(near.contains(WallNs(600 * DAY_NS)) && !near.contains(WallNs(600 * DAY_NS - 1)));
        assert!(near.contains(WallNs(1032 * DAY_NS)) && !near.contains(WallNs(1032 * DAY_NS + 1)));
        assert!(Near::default().contains(WallNs(0)) && Near::default().contains(WallNs::MAX));
    }
}
