//! Warns of clients with more NICs than a store keeps.

use std::collections::HashSet;
use std::time::Instant;

use settings::SharedFailures;
use wire::id::ClientId;

use crate::store::rows::nics::{Excess, NICS_MAX};

/// Warnings already logged.
static TOLD: SharedFailures<ClientId> = SharedFailures::new();

/// Warns of clients with too many NICs and names the remedy.
pub(in crate::store) fn warn(excess: &Excess<'_>) {
    let clients: HashSet<_> = excess.iter().map(|(client, _)| *client).collect();
    for client in clients {
        if let Some(tell) = TOLD.failed(client.clone(), Instant::now()) {
            tracing::warn!(
                %client,
                "this client has {NICS_MAX} NICs in the store: samples of further NICs go to the \
                 table quarantine; shorten retention, or let its agent leave out short-lived \
                 NICs{tell}"
            );
        }
    }
}
