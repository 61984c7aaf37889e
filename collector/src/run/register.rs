//! Follows the register of clients: known clients not connected here, clients forgotten by a command or
//! at another collector, and refused second hosts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use settings::InFull;
use tokio::time::{MissedTickBehavior, interval};
use wire::WallNs;
use wire::id::ClientId;

use crate::identity::Identity;
use crate::live::Live;
use crate::store::{Database, Registered, StoreError};
use crate::time::now_ns;

/// Interval between queries.
const ASK: Duration = Duration::from_secs(10);

/// Keeps the live table and the identity up to date with the register, forever. During an outage of the
/// store they stay as they are; `/readyz` and the log give the reason.
pub async fn follow(store: Arc<dyn Database>, live: Live, identity: Arc<Identity>) {
    let mut due = interval(ASK);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Forgotten clients already handled, because each takes file accesses.
    let mut forgotten = HashMap::new();
    loop {
        due.tick().await;
        let asked = async {
            let (clients, second_hosts) = (store.registered().await?, store.second_hosts().await?);
            Ok::<_, StoreError>((clients, second_hosts, store.tagged().await?))
        };
        match asked.await {
            Ok((clients, second_hosts, tagged)) => {
                refuse(&identity, &clients, &mut forgotten);
                live.on_registered(&clients, now_ns());
                live.on_second_hosts(&second_hosts, now_ns());
                live.on_tagged(&tagged);
            }
            Err(error) => {
                tracing::debug!(error = %error.in_full(), "can't read the register of clients")
            }
        }
    }
}

/// Refuses certificates of clients forgotten here or at another collector of the store.
fn refuse(identity: &Identity, clients: &[Registered], done: &mut HashMap<String, WallNs>) {
    for Registered { client, forgotten_ns, .. } in clients {
        let Some(at_ns) = *forgotten_ns else {
            done.remove(client);
            continue;
        };
        let Ok(id) = ClientId::new(client) else { continue };
        if done.get(client) == Some(&at_ns) {
            continue;
        }
        let at = UnixTime::since_unix_epoch(Duration::from_nanos(at_ns.get()));
        match identity.records().on_forgotten(&id, at) {
            Ok(()) => drop(done.insert(client.clone(), at_ns)),
            Err(error) => {
                tracing::error!(%client, error = %error.in_full(), "a forgotten client may still connect")
            }
        }
    }
}
