//! Which dates samples may have. Dates come from agents' clocks, and one that is far off would leave
//! rows that never expire, or that expire at once. Pure, but for who waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// Samples dated further ahead of the collector's time are kept apart. Those within are kept so much
/// longer than they should be, and no more.
pub const AHEAD: Duration = Duration::from_secs(32 * 86_400);

/// Dates that are near enough for samples to be kept among the others; the rest become gaps with
/// exact counts ([`wire::frame::Gap::Misdated`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Near {
    from_ns: u64,
    to_ns: u64,
}

impl Default for Near {
    fn default() -> Self {
        Self { from_ns: 0, to_ns: u64::MAX }
    }
}

impl Near {
    /// Near one of these clocks, nanoseconds since 1970 (UTC), or between them: not older than what is
    /// `kept` longest, for that would be deleted at once, and not further ahead than [`AHEAD`].
    /// Without a clock every date is.
    #[must_use]
    pub fn of(clocks_ns: impl IntoIterator<Item = u64>, kept: Duration) -> Self {
        let ns = |length: Duration| u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        let near = |near: Option<Self>, clock_ns: u64| {
            let (from_ns, to_ns) =
                (clock_ns.saturating_sub(ns(kept)), clock_ns.saturating_add(ns(AHEAD)));
            let near = near.unwrap_or(Self { from_ns, to_ns });
            Some(Self { from_ns: near.from_ns.min(from_ns), to_ns: near.to_ns.max(to_ns) })
        };
        clocks_ns.into_iter().fold(None, near).unwrap_or_default()
    }

    /// Whether a date is near, nanoseconds since 1970 (UTC).
    #[must_use]
    pub const fn contains(&self, time_ns: u64) -> bool {
        self.from_ns <= time_ns && time_ns <= self.to_ns
    }
}

/// The store's clock and how long what is kept longest is, as whoever deletes by age knows them.
/// By default it doesn't matter, and every date is near.
#[derive(Debug, Clone, Default)]
pub struct Dates(Arc<watch::Sender<Clock>>);

#[derive(Debug, Clone, Copy, Default)]
enum Clock {
    #[default]
    Any,
    /// It is being read.
    Awaited,
    Known(Known),
}

#[derive(Debug, Clone, Copy)]
struct Known {
    /// Where the store's clock was.
    store_ns: u64,
    /// When that was, by the boot clock.
    boot: Duration,
    kept: Duration,
}

impl Dates {
    /// Nothing is near before the store's clock is known.
    #[must_use]
    pub fn awaited() -> Self {
        Self(Arc::new(watch::Sender::new(Clock::Awaited)))
    }

    /// Whether nothing can be said yet.
    #[must_use]
    pub fn are_awaited(&self) -> bool {
        matches!(*self.0.borrow(), Clock::Awaited)
    }

    /// Waits until something can be said.
    pub async fn known(&self) {
        let mut clock = self.0.subscribe();
        // The sender is here.
        let _known = clock.wait_for(|it| !matches!(it, Clock::Awaited)).await.is_ok();
    }

    /// The store's clock is at `store_ns` at `boot` by the boot clock; rows are `kept` so long at most.
    pub fn set(&self, store_ns: u64, boot: Duration, kept: Duration) {
        self.0.send_replace(Clock::Known(Known { store_ns, boot, kept }));
    }

    /// What is near at this moment by the wall clock or the store's, of which one may be wrong.
    #[must_use]
    pub fn near(&self, wall_ns: u64, boot: Duration) -> Near {
        let Clock::Known(Known { store_ns, boot: then, kept }) = *self.0.borrow() else {
            return Near::default();
        };
        let elapsed = u64::try_from(boot.saturating_sub(then).as_nanos()).unwrap_or(u64::MAX);
        Near::of([wall_ns, store_ns.saturating_add(elapsed)], kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const DAY_NS: u64 = 86_400_000_000_000;

    #[test]
    fn what_would_be_deleted_at_once_or_never_is_not_near() {
        let near = Near::of([1000 * DAY_NS], 400 * DAY);
        assert!(near.contains(600 * DAY_NS) && !near.contains(600 * DAY_NS - 1));
        assert!(near.contains(1032 * DAY_NS) && !near.contains(1032 * DAY_NS + 1));
        assert!(Near::default().contains(0) && Near::default().contains(u64::MAX));
    }

    #[test]
    fn a_date_near_either_clock_is_near_for_one_may_be_wrong() {
        let dates = Dates::awaited();
        assert!(dates.are_awaited() && !Dates::default().are_awaited());
        dates.set(20_000 * DAY_NS, DAY, 400 * DAY);
        // The wall clock is in 1970, an hour later.
        assert!(!dates.are_awaited());
        let hour = Duration::from_secs(3600);
        let near = dates.near(0, DAY + hour);
        assert!(near.contains(0) && near.contains(20_000 * DAY_NS));
        assert!(near.contains(20_032 * DAY_NS + 3_600_000_000_000));
        assert!(!near.contains(20_033 * DAY_NS));
    }
}
