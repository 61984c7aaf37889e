//! Checks continually whether the store works, and reports it to the log, Prometheus and `/readyz`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use settings::{Failures, InFull, words};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::store::Database;
use crate::writer::{StoreState, WriterHandle};

/// Interval between checks of a store that works, and of one that fails.
const ASK_WORKING: Duration = Duration::from_secs(5);
const ASK_FAILING: Duration = Duration::from_secs(1);

/// Time limit for the store's answer.
const ANSWER: Duration = Duration::from_secs(10);

/// The known state of the store.
#[derive(Debug, Clone)]
pub struct Health {
    state: watch::Receiver<StoreState>,
}

impl Health {
    /// Checks the store regularly, forever, and follows the writer's reports about it.
    pub fn watch(store: Arc<dyn Database>, writer: WriterHandle) -> Self {
        let (sender, state) = watch::channel(None);
        tokio::spawn(async move {
            let (mut news, mut failures) = (writer.changes(), Failures::new());
            loop {
                let writing = news.borrow_and_update().clone();
                let reason = match writing {
                    Some(reason) => Some(reason),
                    None => tokio::select! {
                        reason = failing(store.as_ref()) => reason,
                        // Keep listening while the store gives no answer.
                        Ok(()) = news.changed() => continue,
                    },
                };
                let next = if reason.is_none() { ASK_WORKING } else { ASK_FAILING };
                say(reason.as_deref(), &mut failures);
                tell(&sender, reason);
                tokio::select! {
                    () = sleep(next) => {}
                    Ok(()) = news.changed() => {}
                }
            }
        });
        Self { state }
    }

    /// Why the store doesn't work; `None` if it does.
    pub fn state(&self) -> StoreState {
        self.state.borrow().clone()
    }
}

/// Why the store doesn't answer; `None` if it does.
async fn failing(store: &dyn Database) -> StoreState {
    match timeout(ANSWER, store.ready()).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.in_full().to_string()),
        Err(_) => Some(format!("the store gave no answer within {ANSWER:?}")),
    }
}

fn say(reason: Option<&str>, failures: &mut Failures<String>) {
    match reason {
        Some(reason) => {
            if let Some(tell) = failures.failed(words(reason), Instant::now()) {
                tracing::error!(
                    reason,
                    "the store can't commit; nothing is acknowledged, and agents keep \
                     everything{tell}"
                );
            }
        }
        None if failures.succeeded() => tracing::info!("the store works again"),
        None => {}
    }
}

fn tell(state: &watch::Sender<StoreState>, new: StoreState) {
    metrics::gauge!("netmon_collector_store_up").set(if new.is_none() { 1.0 } else { 0.0 });
    state.send_if_modified(|old| {
        let changed = *old != new;
        *old = new;
        changed
    });
}
