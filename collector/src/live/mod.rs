//! The live view: what every client and NIC does this moment, for pages and Prometheus.

mod counter;
mod saved;
mod seen;
mod table;
mod view;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::broadcast;
use wire::frame::Frame;
use wire::id::ClientId;
use wire::message::{Host, Inventory};

pub use self::counter::{Total, Totals};
use self::saved::Saved;
pub use self::table::GONE_NS;
use self::table::{Changes, Table};
pub use self::view::{ClientView, HostView, NicView, RateView, SampleView};
use crate::time::Time;

/// Shares of the table, each behind its own lock.
const SHARDS: usize = 16;

/// Updates that a slow reader may fall behind before it loses some.
const UPDATES_MAX: usize = 16;

/// A handle on the live table. Times are nanoseconds since 1970 (UTC) by the collector's clock.
#[derive(Debug, Clone)]
pub struct Live {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    shards: [Mutex<Table>; SHARDS],
    updates: broadcast::Sender<Bytes>,
}

/// What a page is told: everything at first, then what changed.
#[derive(Debug, Serialize)]
struct Update<'a> {
    now: Time,
    clients: &'a [ClientView],
    gone: &'a [String],
}

impl Default for Live {
    fn default() -> Self {
        Self::new()
    }
}

impl Live {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { shared: Arc::new(Shared { shards, updates: broadcast::Sender::new(UPDATES_MAX) }) }
    }

    /// A connection of a client was accepted.
    pub fn on_connected(&self, client: &ClientId, alias: &str, host: &Host, now_ns: u64) {
        self.shard(client).on_connected(client, alias, host, now_ns);
    }

    /// A connection of a client is gone. Call it once for each [`Live::on_connected`].
    pub fn on_disconnected(&self, client: &ClientId, now_ns: u64) {
        self.shard(client).on_disconnected(client, now_ns);
    }

    /// A client told its NICs.
    pub fn on_inventory(&self, client: &ClientId, inventory: &Inventory) {
        self.shard(client).on_inventory(client, inventory);
    }

    /// A client's clock was found to be ahead of the collector's by so many nanoseconds.
    pub fn on_clock_offset(&self, client: &ClientId, offset_ns: i64) {
        self.shard(client).on_clock_offset(client, offset_ns);
    }

    /// A frame has arrived: for the first time or again, in order or not, fresh or old backlog.
    pub fn observe(&self, client: &ClientId, frame: &Frame, now_ns: u64) {
        self.shard(client).observe(client, frame, now_ns);
    }

    /// Lets disappear what has been gone for [`GONE_NS`]. Call it every few seconds.
    pub fn expire(&self, now_ns: u64) {
        for mut shard in self.shards() {
            shard.expire(now_ns);
        }
    }

    /// Where the counters are, to be given to [`Live::restore`] after a restart. What running
    /// sessions carried meanwhile is not lost: their next frames tell.
    ///
    /// # Errors
    /// None in practice: plain data becomes JSON.
    pub fn save(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut saved = Saved::default();
        for shard in self.shards() {
            saved.clients.extend(shard.saved());
        }
        serde_json::to_vec(&saved)
    }

    /// Lets the counters go on from where they were when `saved` was made. Call it at the start.
    ///
    /// # Errors
    /// If it is not what [`Live::save`] gives.
    pub fn restore(&self, saved: &[u8], now_ns: u64) -> Result<(), serde_json::Error> {
        let saved: Saved = serde_json::from_slice(saved)?;
        for client in saved.clients {
            if let Ok(id) = ClientId::new(&client.client) {
                self.shard(&id).restore(id.clone(), client, now_ns);
            }
        }
        Ok(())
    }

    /// Every client, by id.
    #[must_use]
    pub fn snapshot(&self) -> Vec<ClientView> {
        let mut clients: Vec<ClientView> = Vec::new();
        for shard in self.shards() {
            clients.extend(shard.snapshot());
        }
        clients.sort_unstable_by(|a, b| a.client.cmp(&b.client));
        clients
    }

    /// One client.
    #[must_use]
    pub fn client(&self, client: &ClientId) -> Option<ClientView> {
        self.shard(client).client(client)
    }

    /// Every client as an update for a page, JSON.
    #[must_use]
    pub fn snapshot_json(&self, now_ns: u64) -> Bytes {
        encode(&Update { now: Time(now_ns), clients: &self.snapshot(), gone: &[] })
    }

    /// Updates from now on, JSON. A reader that falls behind loses the oldest and is told so.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Bytes> {
        self.shared.updates.subscribe()
    }

    /// Tells the subscribers what changed since the last time. Call it a few times a second: an
    /// update is made once for all of them, and none is made if nobody listens.
    pub fn publish(&self, now_ns: u64) {
        if self.shared.updates.receiver_count() == 0 {
            return;
        }
        let mut changes = Changes::default();
        for mut shard in self.shards() {
            shard.take_changes(&mut changes);
        }
        let Changes { clients, gone } = changes;
        if !(clients.is_empty() && gone.is_empty()) {
            let update = Update { now: Time(now_ns), clients: &clients, gone: &gone };
            // The last reader may have left meanwhile.
            let _nobody = self.shared.updates.send(encode(&update));
        }
    }

    fn shards(&self) -> impl Iterator<Item = MutexGuard<'_, Table>> {
        self.shared.shards.iter().map(lock)
    }

    fn shard(&self, client: &ClientId) -> MutexGuard<'_, Table> {
        let mut hasher = DefaultHasher::new();
        client.hash(&mut hasher);
        let index = hasher.finish() % SHARDS as u64;
        #[allow(clippy::cast_possible_truncation, reason = "below SHARDS")]
        lock(&self.shared.shards[index as usize])
    }
}

/// The table holds whatever happened to the thread that changed it last.
fn lock(shard: &Mutex<Table>) -> MutexGuard<'_, Table> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn encode(update: &Update<'_>) -> Bytes {
    match serde_json::to_vec(update) {
        Ok(json) => json.into(),
        Err(error) => {
            tracing::error!(%error, "an update could not be written as JSON");
            Bytes::from_static(b"{}")
        }
    }
}
