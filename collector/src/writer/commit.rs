//! Commits one batch, retrying as often as needed.

use std::sync::Arc;
use std::time::Duration;

use settings::InFull;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use wire::id::SessionId;

use super::state::{StoreState, as_f64, set_state};
use super::told;
use crate::store::commit::{Plan, Strikes, Taken, TakenSession};
use crate::store::{Batch, Epoch, SessionBatch, Store, StoreError, TransactionEnd};

/// First and longest wait before a failed commit is retried.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Outcome of some sessions of a batch.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// What is committed.
    pub committed: Vec<TakenSession>,
    /// Session and epoch that the store refused, because another connection has opened or advanced the
    /// session.
    pub refused: Vec<(SessionId, Epoch)>,
    /// Sessions with frames in quarantine, and the text for their agents.
    pub told: Vec<(SessionId, Arc<str>)>,
}

/// Commits a batch by its plan and reports the outcome, part by part. Returns the clients' strikes.
pub(super) async fn commit(
    store: &dyn Store,
    mut plan: Plan,
    started: Instant,
    state: &watch::Sender<StoreState>,
    news: &mpsc::UnboundedSender<Outcome>,
) -> Strikes {
    let tell = |outcome: Outcome| {
        // If the writer is gone, nobody needs the outcome.
        let _gone = news.send(outcome);
    };
    let mut wait = RETRY.0;
    while let Some((part, end)) = plan.next_step() {
        let begun = Instant::now();
        match store.add(&part, end).await {
            Ok(()) => {
                if end == TransactionEnd::Commit {
                    note_commit(&part, begun, state);
                }
                tell(taken(plan.on_taken(started.elapsed())));
            }
            Err(StoreError::Conflict { sessions }) => {
                let refused = |it: &&Arc<SessionBatch>| sessions.contains(&it.session);
                let refused = part.sessions.iter().filter(refused);
                let refused = refused.map(|it| (it.session, it.epoch)).collect();
                plan.leave_out(|it| sessions.contains(&it.session));
                tell(Outcome { refused, ..Outcome::default() });
            }
            Err(StoreError::Refused { error, .. })
                if plan.on_refused(&error.in_full().to_string(), started.elapsed()) => {}
            Err(error) => {
                metrics::counter!("netmon_collector_commit_errors_total").increment(1);
                set_state(state, Some(error.in_full().to_string()));
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY.1);
                tell(settle(store, &mut plan).await);
            }
        }
    }
    plan.into_strikes()
}

fn note_commit(part: &Batch, begun: Instant, state: &watch::Sender<StoreState>) {
    metrics::histogram!("netmon_collector_commit_seconds").record(begun.elapsed());
    metrics::histogram!("netmon_collector_batch_rows").record(as_f64(part.rows()));
    set_state(state, None);
}

fn taken(taken: Taken) -> Outcome {
    told::quarantined(&taken.quarantined);
    told::misdated(&taken.misdated);
    let whole = taken.quarantined.iter().filter(|it| it.whole);
    let told = whole.map(|it| (it.session, told::text(it))).collect();
    Outcome { committed: taken.sessions, told, ..Outcome::default() }
}

/// Finds out which sessions of a failed commit were committed after all; the error may have come after
/// the commit.
async fn settle(store: &dyn Store, plan: &mut Plan) -> Outcome {
    let sessions = plan.sessions();
    // If it still fails, the next attempt decides.
    let Ok(found) = store.committed(&sessions).await else { return Outcome::default() };
    let done = |it: &SessionBatch| {
        let found = found.iter().find(|found| found.session == it.session);
        found.is_some_and(|found| found.seq == it.last_seq() && found.epoch == it.epoch)
    };
    let outcome = taken(plan.on_found(done));
    match outcome.committed.len() {
        0 => tracing::debug!("the failed commit had not happened"),
        sessions => tracing::info!(sessions, "the failed commit had happened after all"),
    }
    outcome
}
