//! Fills the live table's last hour with what the store knows of it: after a start of the collector, and
//! of clients that are or were at another one.

use std::sync::Arc;
use std::time::Duration;

use settings::InFull;
use tokio::time::{MissedTickBehavior, interval};

use crate::live::Live;
use crate::store::Database;
use crate::time::now_ns;

/// Interval between looks at which clients lack something: as the register is asked, whose answer shows
/// clients at other collectors.
const LOOK: Duration = Duration::from_secs(10);

/// Clients asked for at once, so that an answer stays small: 6 MB with two NICs each.
const CLIENTS: usize = 256;

/// Keeps the last hour complete, forever. What an outage of the store leaves open is asked for later.
pub async fn follow(store: Arc<dyn Database>, live: Live) {
    let mut due = interval(LOOK);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let wanting = live.wanting_minutes(now_ns());
        for asked in wanting.chunks(CLIENTS) {
            match store.minutes(asked).await {
                Ok(stored) => live.on_minutes(asked, &stored, now_ns()),
                Err(error) => {
                    tracing::debug!(error = %error.in_full(), "can't read the last hour");
                    break;
                }
            }
        }
    }
}
