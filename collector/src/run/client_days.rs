//! Packs what clients carried on days that have ended, in the background.

use std::sync::Arc;
use std::time::Duration;

use settings::InFull;
use tokio::time::sleep;

use crate::store::{ClientDay, Database, StoreError};
use crate::time::boot;

/// Interval between looks at which days are to be packed. Those that change all the time, because a backlog
/// arrives, are packed once in each.
const LOOK: Duration = Duration::from_secs(600);

/// Until the first look, while agents reconnect and the store's clock becomes known.
const FIRST: Duration = Duration::from_secs(20);

/// Packs days, forever. What fails is tried again later; until then, the rows are read.
pub async fn follow(store: Arc<dyn Database>) {
    sleep(FIRST).await;
    loop {
        if let Err(error) = pack(&*store).await {
            tracing::warn!(error = %error.in_full(), "can't pack the days of clients yet");
        }
        sleep(LOOK).await;
    }
}

async fn pack(store: &dyn Database) -> Result<(), StoreError> {
    while store.end_days().await? {}
    let mut before: Option<ClientDay> = None;
    loop {
        let begun = boot();
        before = store.pack_days(before).await?;
        if before.is_none() {
            return Ok(());
        }
        // At most half of the time.
        sleep(boot().saturating_sub(begun)).await;
    }
}
