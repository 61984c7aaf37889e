//! Revocations over all collectors of one store: what this one knows is told to the store, and what
//! others have told it is kept here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use settings::{Failures, words};
use tokio::time::sleep;
use wire::id::ClientId;

use crate::identity::Identity;
use crate::store::{Database, StoreError};

/// How often the store is asked: a revocation is in force everywhere within a second. It is one
/// statement by an index, of which most often no row comes.
const ASK: Duration = Duration::from_millis(250);

/// The same while that fails.
const ASK_FAILING: Duration = Duration::from_secs(1);

/// What is known to be in the store.
#[derive(Debug, Default)]
struct Stored {
    /// Number of the last change that was seen.
    change: u64,
    generations: HashMap<ClientId, u64>,
}

/// Keeps the identity and the store at one about who is revoked, for ever. While the store is away
/// each collector goes by its own files; `/readyz` and the log tell why.
pub async fn follow(store: Arc<dyn Database>, identity: Arc<Identity>) {
    let mut news = identity.revocation_news();
    let (mut stored, mut untold, mut failures) = (Stored::default(), true, Failures::new());
    loop {
        let exchanged = async {
            untold |= take(&*store, &identity, &mut stored, &mut failures).await?;
            untold |= news.has_changed().unwrap_or(false);
            if untold {
                news.mark_unchanged();
                tell(&*store, &identity, &mut stored).await?;
                untold = false;
            }
            Ok::<_, StoreError>(())
        };
        let wait = match exchanged.await {
            Ok(()) => ASK,
            Err(error) => {
                untold = true;
                tracing::debug!(%error, "can't exchange revocations with the store");
                ASK_FAILING
            }
        };
        sleep(wait).await;
    }
}

/// Takes over what other collectors have told the store. True if the store was set back to an earlier
/// state: then it may lack what it was told.
async fn take(
    store: &dyn Database,
    identity: &Identity,
    stored: &mut Stored,
    failures: &mut Failures<String>,
) -> Result<bool, StoreError> {
    let news = store.revocations(stored.change).await?;
    let set_back = news.first().is_some_and(|it| it.change <= stored.change);
    if set_back {
        *stored = Stored::default();
    }
    for told in news {
        if let Ok(client) = ClientId::new(&told.client) {
            // It waits for others who have locked the directory.
            let (records, of, revocation) =
                (identity.records().clone(), client.clone(), told.revocation.clone());
            let merge = move || records.merge(&of, &revocation).map_err(|it| it.to_string());
            let merged = tokio::task::spawn_blocking(merge).await;
            match merged.map_err(|error| error.to_string()).flatten() {
                Ok(true) => tracing::info!(%client, "revoked at another collector of this store"),
                Ok(false) => {}
                Err(error) => {
                    let kind = words(&error);
                    if let Some(tell) = failures.failed(kind, Instant::now()) {
                        tracing::error!(%client, %error, "can't store who is revoked{tell}");
                    }
                    // Asked for again.
                    return Ok(set_back);
                }
            }
            stored.generations.insert(client, told.revocation.generation);
        }
        stored.change = stored.change.max(told.change);
    }
    failures.succeeded();
    Ok(set_back)
}

/// Tells the store what it doesn't know.
async fn tell(
    store: &dyn Database,
    identity: &Identity,
    stored: &mut Stored,
) -> Result<(), StoreError> {
    for (client, revocation) in identity.revocations() {
        // Those of older releases, of generation 0, can't be told to others.
        if revocation.generation > stored.generations.get(&client).copied().unwrap_or(0) {
            store.keep_revocation(&client, &revocation).await?;
            // It was under a certificate that is good no more.
            store.forget_second_host(&client).await?;
            stored.generations.insert(client, revocation.generation);
        }
    }
    Ok(())
}
