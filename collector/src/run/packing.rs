//! Packs old samples and mixes, in the background.

use std::sync::Arc;
use std::time::Duration;

use settings::InFull;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::store::{Database, RetentionLimits};
use crate::time::now_ns;

/// Interval between looks for old rows: they are packed by whole hours, and those that come late within
/// this time.
const LOOK: Duration = Duration::from_secs(60);

/// Packs samples and mixes that are older than `hot` of the limits, which may change, forever. A wrong clock does no
/// harm: packed rows read as others. What fails is tried again later.
pub async fn follow(store: Arc<dyn Database>, mut limits: watch::Receiver<RetentionLimits>) {
    loop {
        tokio::select! {
            () = sleep(LOOK) => {}
            Ok(()) = limits.changed() => {}
        }
        let hot = limits.borrow_and_update().hot;
        let hot_ns = u64::try_from(hot.as_nanos()).unwrap_or(u64::MAX);
        match store.pack(now_ns().saturating_sub(hot_ns)).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "packed old samples and mixes"),
            Err(error) => {
                tracing::warn!(error = %error.in_full(), "can't pack old samples and mixes yet");
            }
        }
    }
}
