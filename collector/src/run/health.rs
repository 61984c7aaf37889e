//! Whether the store works: asked all the time, told to the log, to Prometheus and to `/readyz`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use settings::{Failures, words};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::store::Database;
use crate::writer::{StoreState, WriterHandle};

/// How often a store that works and one that fails is asked.
const ASK_WORKING: Duration = Duration::from_secs(5);
const ASK_FAILING: Duration = Duration::from_secs(1);

/// Longest time that the store gets to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// What is known of the store.
#[derive(Debug, Clone)]
pub struct Health {
    state: watch::Receiver<StoreState>,
}

impl Health {
    /// Asks the store now and then, for ever, and listens to what the writer has to say of it.
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
                        // A store that gives no answer is no reason to hear nothing.
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

    /// Why the store doesn't work, if it doesn't.
    pub fn state(&self) -> StoreState {
        self.state.borrow().clone()
    }
}

/// Why the store doesn't answer, if it doesn't.
async fn failing(store: &dyn Database) -> StoreState {
    match timeout(ANSWER, store.ready()).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
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
