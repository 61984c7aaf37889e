//! How many NICs a store keeps of one client. What comes of others goes to quarantine, NIC by NIC: the
//! client's other NICs are none the worse.

use std::collections::HashSet;
use std::time::Instant;

use settings::SharedFailures;
use wire::id::{ClientId, NicName};

/// Most NICs that are kept of one client, whatever it sends.
pub const NICS_MAX: i64 = 65_536;

/// Why rows of further ones are in quarantine.
pub const TOO_MANY: &str = "the client has 65,536 NICs in the store, and this is another one";

/// Tables whose rows of a NIC keep it, those that keep theirs longest first. That a session counted
/// on it once does not.
pub const KEEPING: [&str; 6] =
    ["bandwidth_5m", "gaps", "link_changes", "bandwidth_1m", "bandwidth_stats", "traffic_mix"];

/// NICs of clients that have too many of them.
pub type Excess<'a> = HashSet<(&'a ClientId, NicName)>;

/// Whose NICs were too many.
static TOLD: SharedFailures<ClientId> = SharedFailures::new();

/// Tells whose NICs are too many, and the way out.
pub fn tell(excess: &Excess<'_>) {
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
