//! Signing out, over all collectors of one store: what was signed out here is told to the store, and
//! what was at others is learnt here.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::store::{Database, SignOut, StoreError};
use crate::time::now_ns;
use crate::web::{Access, SignedOut};

/// How often the store is asked. It is one statement by an index, of which most often no row comes.
const ASK: Duration = Duration::from_secs(1);

/// What the store knows.
#[derive(Debug, Default)]
struct Stored {
    /// Number of the last change that was seen.
    change: u64,
    sessions: HashSet<String>,
}

/// Keeps this collector and the store at one about who is signed out, for ever. While the store is away
/// each collector goes by its own file; `/readyz` and the log tell why.
pub async fn follow(store: Arc<dyn Database>, signed_out: SignedOut, access: Access) {
    let mut due = interval(ASK);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stored = Stored::default();
    loop {
        due.tick().await;
        let lasts = access.session_time();
        if let Err(error) = exchange(&*store, &signed_out, lasts, &mut stored).await {
            tracing::debug!(%error, "can't exchange sign-outs with the store");
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
        // The store was set back: it may lack what it was told, here and elsewhere.
        *stored = Stored::default();
    }
    if !news.is_empty() {
        let names: Vec<String> = news.into_iter().map(|it| it.session).collect();
        stored.sessions.extend(names.iter().cloned());
        // It writes a file.
        let signed_out = signed_out.clone();
        let learn = move || signed_out.learn(&names, now_s, lasts);
        if let Err(error) = tokio::task::spawn_blocking(learn).await {
            tracing::error!(%error, "can't read sign-outs of other collectors");
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
