//! The dates that samples may have now. Retention sets them; the writer waits for them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use wire::WallNs;

use crate::store::rows::near::Near;

/// The store's clock and the longest retention, as set by retention. By default every date is near.
#[derive(Debug, Clone, Default)]
pub struct Dates(Arc<watch::Sender<Clock>>);

#[derive(Debug, Clone, Copy, Default)]
enum Clock {
    #[default]
    Any,
    /// Not known yet.
    Awaited,
    Known(Known),
}

#[derive(Debug, Clone, Copy)]
struct Known {
    /// The store's clock.
    store_ns: WallNs,
    /// The boot clock at that time.
    boot: Duration,
    kept: Duration,
}

impl Known {
    /// The store's clock at a time of the boot clock.
    fn at(&self, boot: Duration) -> WallNs {
        let elapsed = boot.saturating_sub(self.boot).as_nanos();
        self.store_ns.saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }
}

impl Dates {
    /// No date is near before the store's clock is known.
    #[must_use]
    pub fn awaited() -> Self {
        Self(Arc::new(watch::Sender::new(Clock::Awaited)))
    }

    /// True while the clock is unknown.
    #[must_use]
    pub fn are_awaited(&self) -> bool {
        matches!(*self.0.borrow(), Clock::Awaited)
    }

    /// Waits until the clock is known.
    pub async fn known(&self) {
        let mut clock = self.0.subscribe();
        // The sender is owned here, so waiting can't fail.
        let _known = clock.wait_for(|it| !matches!(it, Clock::Awaited)).await.is_ok();
    }

    /// Sets the store's clock at a time of the boot clock, and the longest retention.
    pub fn set(&self, store_ns: WallNs, boot: Duration, kept: Duration) {
        self.0.send_replace(Clock::Known(Known { store_ns, boot, kept }));
    }

    /// The store's clock at a time of the boot clock, nanoseconds since 1970 (UTC). `None` while it is
    /// unknown.
    #[must_use]
    pub fn store_ns(&self, boot: Duration) -> Option<WallNs> {
        match *self.0.borrow() {
            Clock::Known(known) => Some(known.at(boot)),
            Clock::Any | Clock::Awaited => None,
        }
    }

    /// The dates near the wall clock or the store's clock; one of them may be wrong.
    #[must_use]
    pub fn near(&self, wall_ns: WallNs, boot: Duration) -> Near {
        let Clock::Known(known) = *self.0.borrow() else { return Near::default() };
        Near::of([wall_ns, known.at(boot)], known.kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const DAY_NS: u64 = 86_400_000_000_000;

    #[test]
    fn a_date_near_either_clock_is_near_for_one_may_be_wrong() {
        let dates = Dates::awaited();
        assert!(dates.are_awaited() && !Dates::default().are_awaited());
        dates.set(WallNs(20_000 * DAY_NS), DAY, 400 * DAY);
        // An hour later, the wall clock is in 1970.
        assert!(!dates.are_awaited());
        let hour = Duration::from_secs(3600);
        let near = dates.near(WallNs(0), DAY + hour);
        assert!(near.contains(WallNs(0)) && near.contains(WallNs(20_000 * DAY_NS)));
        assert_eq!(dates.store_ns(DAY + hour), Some(WallNs(20_000 * DAY_NS + 3_600_000_000_000)));
        assert!(near.contains(WallNs(20_032 * DAY_NS + 3_600_000_000_000)));
        assert!(!near.contains(WallNs(20_033 * DAY_NS)));
    }
}
