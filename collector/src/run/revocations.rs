//! Shares revocations among all collectors of one store: writes this one's to the store, and keeps the
//! others' here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use settings::{Failures, InFull, words};
use tokio::time::sleep;
use wire::id::ClientId;

use crate::identity::Identity;
use crate::store::{Database, StoreError};

/// Interval between queries; a revocation applies everywhere within a second. It is one indexed
/// statement that usually returns no row.
const ASK: Duration = Duration::from_millis(250);

/// Interval after a failure.
const ASK_FAILING: Duration = Duration::from_secs(1);

/// What the store is known to have.
#[derive(Debug, Default)]
struct Stored {
    /// Number of the last change seen.
    change: u64,
    generations: HashMap<ClientId, u64>,
}

/// Keeps the revocations of identity and store the same, forever. During an outage of the store each
/// collector uses its own files; `/readyz` and the log give the reason.
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
                tracing::debug!(error = %error.in_full(), "can't exchange revocations with the store");
                ASK_FAILING
            }
        };
        sleep(wait).await;
    }
}

/// Takes over the revocations of other collectors. True if the store was set back to an earlier state;
/// then it may lack revocations written before.
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
            // Others may hold the directory's lock.
            let (records, of, revocation) =
                (identity.records().clone(), client.clone(), told.revocation.clone());
            let merge =
                move || records.merge(&of, &revocation).map_err(|it| it.in_full().to_string());
            let merged = tokio::task::spawn_blocking(merge).await;
            match merged.map_err(|error| error.in_full().to_string()).flatten() {
                Ok(true) => tracing::info!(%client, "revoked at another collector of this store"),
                Ok(false) => {}
                Err(error) => {
                    let kind = words(&error);
                    if let Some(tell) = failures.failed(kind, Instant::now()) {
                        tracing::error!(%client, error, "can't store who is revoked{tell}");
                    }
                    // It is read again.
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

/// Writes to the store what it lacks.
async fn tell(
    store: &dyn Database,
    identity: &Identity,
    stored: &mut Stored,
) -> Result<(), StoreError> {
    for (client, revocation) in identity.revocations() {
        // Revocations of older releases have generation 0 and can't be shared.
        if revocation.generation > stored.generations.get(&client).copied().unwrap_or(0) {
            store.keep_revocation(&client, &revocation).await?;
            // The second host used a certificate that is now revoked.
            store.forget_second_host(&client).await?;
            stored.generations.insert(client, revocation.generation);
        }
    }
    Ok(())
}
