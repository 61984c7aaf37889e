//! Telling of clients that have more NICs than a store keeps.

use std::collections::HashSet;
use std::time::Instant;

use settings::SharedFailures;
use wire::id::ClientId;

use crate::store::rows::nics::{Excess, NICS_MAX};

/// Whose NICs were too many.
static TOLD: SharedFailures<ClientId> = SharedFailures::new();

/// Warns of clients whose NICs are too many, and says the way out.
pub(in crate::store) fn warn(excess: &Excess<'_>) {
    let clients: HashSet<_> = excess.iter().map(|(client, _)| *client).collect();
    for client in clients {
        if let Some(tell) = TOLD.failed(client.clone(), Instant::now()) {
            tracing::warn!(
                %client,
                "this client has {NICS_MAX} NICs in the store: what it measures of others goes to the \
                 table quarantine; shorten retention, or let its agent leave out short-lived \
                 NICs{tell}"
            );
        }
    }
}
