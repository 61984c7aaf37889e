//! Shares sign-outs among all collectors of one store: writes this one's to the store, and reads the
//! others'.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use settings::InFull;
use tokio::time::{MissedTickBehavior, interval};

use crate::store::{Database, SignOut, StoreError};
use crate::time::now_ns;
use crate::web::{Access, SignedOut};

/// Interval between queries: one indexed statement that usually returns no row.
const ASK: Duration = Duration::from_secs(1);

/// What the store is known to have.
#[derive(Debug, Default)]
struct Stored {
    /// Number of the last change seen.
    change: u64,
    sessions: HashSet<String>,
}

/// Keeps the sign-outs of this collector and the store the same, forever. During an outage of the store
/// each collector uses its own file; `/readyz` and the log give the reason.
pub async fn follow(store: Arc<dyn Database>, signed_out: SignedOut, access: Access) {
    let mut due = interval(ASK);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stored = Stored::default();
    loop {
        due.tick().await;
        let lasts = access.session_time();
        if let Err(error) = exchange(&*store, &signed_out, lasts, &mut stored).await {
            tracing::debug!(error = %error.in_full(), "can't exchange sign-outs with the store");
        }
    }
}

async fn exchange(
    store: &dyn Database,
    signed_out: &SignedOut,
    lasts: Duration,
    stored: &mut Stored,
) -> Result<(), StoreError> {
    let now_s = now_ns() / 1_000_000_000;
    let (news, change) = store.sign_outs(stored.change).await?;
    if change < stored.change {
        // The store was set back and may lack sign-outs, from here and elsewhere.
        *stored = Stored::default();
    }
    if !news.is_empty() {
        let names: Vec<String> = news.into_iter().map(|it| it.session).collect();
        stored.sessions.extend(names.iter().cloned());
        // It writes a file.
        let signed_out = signed_out.clone();
        let learn = move || signed_out.learn(&names, now_s, lasts);
        if let Err(error) = tokio::task::spawn_blocking(learn).await {
            tracing::error!(error = %error.in_full(), "can't read sign-outs of other collectors");
            return Ok(());
        }
    }
    stored.change = change;
    let here = signed_out.list(lasts);
    stored.sessions.retain(|session| here.iter().any(|(other, _)| other == session));
    for (session, ends_at) in here {
        if !stored.sessions.contains(&session) {
            store.keep_sign_out(&SignOut { session: session.clone(), ends_at }, now_s).await?;
            stored.sessions.insert(session);
        }
    }
    Ok(())
}
