//! What outlives a restart of the collector: where the counters were, so that they go on from
//! there. It is kept apart from the database, which may be down or another one.

use serde::{Deserialize, Serialize};

use super::counter::{Counter, Losses};
use super::seen::Seen;

/// Every client's counters.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Saved {
    pub clients: Vec<SavedClient>,
}

/// The counters of one client.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedClient {
    pub client: String,
    pub seen: Seen,
    pub nics: Vec<SavedNic>,
}

/// The counters of one NIC.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedNic {
    pub nic: String,
    pub counter: Counter,
    #[serde(flatten)]
    pub losses: Losses,
}
