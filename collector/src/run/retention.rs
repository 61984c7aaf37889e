//! Deletes old rows by the store's clock.

use std::sync::Arc;
use std::time::Duration;

use settings::InFull;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::live::Live;
use crate::store::clock::{Followed, Reading, StoreClock, Witnesses};
use crate::store::dates::Dates;
use crate::store::{Database, RetentionLimits, StoreError};
use crate::time::{boot, now_ns};

/// Interval between deletions.
const EVERY: Duration = Duration::from_secs(600);

/// Interval between clock checks while the wall clock isn't followed.
const IN_DOUBT: Duration = Duration::from_secs(30);

/// Interval between clock checks while nothing is committed, because the clock isn't known.
const FIRST: Duration = Duration::from_secs(1);

/// Notice about the clock while it isn't followed.
pub type ClockNotice = watch::Receiver<Option<String>>;

/// Deletes old rows, forever. Reports to the log, Prometheus and `/readyz` while the wall clock isn't
/// followed.
#[derive(Debug)]
pub struct Retention {
    store: Arc<dyn Database>,
    limits: watch::Receiver<RetentionLimits>,
    live: Live,
    dates: Dates,
    clock: StoreClock,
    notice: watch::Sender<Option<String>>,
    last: Followed,
}

impl Retention {
    /// Deletes from `store` by `limits`, which may change. Reads the agents' clocks from `live`, and
    /// reports the store's clock to `dates`.
    pub fn new(
        store: Arc<dyn Database>,
        limits: watch::Receiver<RetentionLimits>,
        live: Live,
        dates: Dates,
    ) -> (Self, ClockNotice) {
        let (notice, noticed) = watch::channel(None);
        let (clock, last) = (StoreClock::default(), Followed::Yes);
        (Self { store, limits, live, dates, clock, notice, last }, noticed)
    }

    /// Runs forever.
    pub async fn run(mut self) {
        loop {
            if let Err(error) = self.delete_old().await {
                tracing::warn!(error = %error.in_full(), "can't delete old rows yet");
            }
            let wait = match self.last {
                _ if self.dates.are_awaited() => FIRST,
                Followed::Yes => EVERY,
                _ => IN_DOUBT,
            };
            tokio::select! {
                () = sleep(wait) => {}
                Ok(()) = self.limits.changed() => {}
            }
        }
    }

    async fn delete_old(&mut self) -> Result<(), StoreError> {
        let limits = *self.limits.borrow_and_update();
        let seen = self.store.time_seen(&limits).await?;
        let wall_ns = now_ns();
        let (now_ns, followed) = self.clock.read(&Reading {
            // The earlier of two clocks deletes less.
            wall_ns: seen.server_ns.map_or(wall_ns, |server_ns| server_ns.min(wall_ns)),
            boot: boot(),
            kept_ns: seen.clock_ns,
            witnesses: Witnesses::of(&self.live.clock_offsets()),
            first_expiry_ns: seen.first_expiry_ns,
            shortest: limits.shortest(),
        });
        self.tell(followed);
        if let Some(clock_ns) = self.clock.now_ns() {
            self.dates.set(clock_ns, boot(), limits.longest());
            self.store.keep_clock(clock_ns).await?;
        }
        if matches!(followed, Followed::Behind(_)) {
            return Ok(());
        }
        let done = self.store.retain(&limits, now_ns).await?;
        if done.rows > 0 || done.partitions > 0 {
            tracing::info!(rows = done.rows, partitions = done.partitions, "deleted by age");
        }
        Ok(())
    }

    fn tell(&mut self, followed: Followed) {
        metrics::gauge!("netmon_collector_clock_jump_seconds").set(followed.jump_seconds());
        let told = followed.told();
        let kind = std::mem::discriminant(&followed);
        if kind != std::mem::discriminant(&self.last) {
            match &told {
                Some(told) => tracing::warn!("{told}"),
                None => tracing::info!("the store's clock follows the wall clock again"),
            }
        }
        self.last = followed;
        self.notice.send_replace(told);
    }
}
