//! The live view: the current state of every client and NIC, for pages and Prometheus.

mod client;
mod counter;
mod hour;
mod load;
mod nic;
mod overview;
mod presence;
mod refill;
mod saved;
mod seen;
mod start;
mod status;
mod summary;
mod table;
mod tap;
mod view;
mod watch;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use utoipa::ToSchema;
use wire::WallNs;
use wire::frame::Frame;
use wire::id::ClientId;
use wire::message::{Host, Inventory, Session};
use wire::tag::TagSet;

pub use self::counter::{Total, Totals};
pub use self::hour::FlowDirection;
use self::hour::HOUR_NS;
pub use self::overview::{MinutesView, OverviewView};
use self::saved::Saved;
pub use self::status::ClientStatus;
pub use self::table::GONE_NS;
use self::table::{Changes, ClientTable};
pub use self::tap::{SampleTap, TappedSample};
pub(crate) use self::view::names;
pub use self::view::{
    ClientView, CountsView, HostView, HourView, LostView, NicView, PeakView, PointView, RateView,
    SampleView, SecondHostView, SumView, SummaryView, UtilisationView,
};
use self::watch::Watchers;
pub use self::watch::{ClientUpdate, NicPoint, PageEvent, SamplesUpdate};
use crate::store::{ClientRange, Registered, SecondHostRecord, StoredMinutes, TaggedClient};
use crate::time::Time;

/// Shards of the table, each with its own lock. With 10,000 clients, copying one delays a frame by at
/// most about 40 us.
const SHARDS: usize = 256;

/// Updates that a slow reader may fall behind before it loses some.
const UPDATES_MAX: usize = 16;

/// A handle on the live table. Times are nanoseconds since 1970 (UTC) by the collector's clock.
#[derive(Debug, Clone)]
pub struct Live {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    shards: [Mutex<Shard>; SHARDS],
    updates: broadcast::Sender<PageEvent>,
    tap: OnceLock<Arc<dyn SampleTap>>,
    /// The store's tags were read.
    tagged: AtomicBool,
}

/// A share of the clients, and the subscribers to single ones.
#[derive(Debug, Default)]
struct Shard {
    table: ClientTable,
    watchers: Watchers,
}

/// An update of all clients for a page: first everything, then the changes.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Update {
    /// The collector's clock.
    pub now: Time,
    /// Clients that are new or have changed.
    pub clients: Vec<SummaryView>,
    /// Ids of clients that are gone.
    pub gone: Vec<String>,
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
        let (updates, tap) = (broadcast::Sender::new(UPDATES_MAX), OnceLock::new());
        Self { shared: Arc::new(Shared { shards, updates, tap, tagged: AtomicBool::new(false) }) }
    }

    /// A connection of a client was accepted.
    pub fn on_connected(&self, client: &ClientId, alias: &str, host: &Host, now_ns: WallNs) {
        self.shard(client).table.on_connected(client, alias, host, now_ns);
    }

    /// A client told its sessions and when they started, by its clock. Call it before their frames.
    pub fn on_sessions(&self, client: &ClientId, sessions: &[Session]) {
        self.shard(client).table.on_sessions(client, sessions);
    }

    /// A connection of a client has ended. Call it once for each [`Live::on_connected`].
    pub fn on_disconnected(&self, client: &ClientId, now_ns: WallNs) {
        self.shard(client).table.on_disconnected(client, now_ns);
    }

    /// A client sent its NICs.
    pub fn on_inventory(&self, client: &ClientId, inventory: &Inventory) {
        self.shard(client).table.on_inventory(client, inventory);
    }

    /// A client's clock is ahead of the collector's by this many nanoseconds.
    pub fn on_clock_offset(&self, client: &ClientId, offset_ns: i64) {
        self.shard(client).table.on_clock_offset(client, offset_ns);
    }

    /// Sets whether a connected client runs on the collector's own host and shares its clock.
    pub fn on_located(&self, client: &ClientId, same_host: bool) {
        self.shard(client).table.on_located(client, same_host);
    }

    /// How far the clocks of connected clients are ahead of the collector's, nanoseconds, where known.
    /// Clients that share its clock are left out.
    #[must_use]
    pub fn clock_offsets(&self) -> Vec<i64> {
        let mut offsets = Vec::new();
        for shard in self.shards() {
            offsets.extend(shard.table.clock_offsets());
        }
        offsets
    }

    /// The store has taken the tags of a connected client. Returns those that count.
    pub fn on_agent_tags(&self, client: &ClientId, tags: &TagSet) -> TagSet {
        self.shard(client).table.on_agent_tags(client, tags)
    }

    /// What a client's agent said last, as far as known, and the tags that count.
    #[must_use]
    pub fn tags_of(&self, client: &ClientId) -> (TagSet, TagSet) {
        self.shard(client).table.tags_of(client)
    }

    /// Takes the store's tags of all clients. Call it every 10 s.
    pub fn on_tagged(&self, tagged: &[TaggedClient]) {
        let tagged = tagged.iter().map(|it| (it.client.as_str(), &it.tags)).collect();
        for mut shard in self.shards() {
            shard.table.on_tagged(&tagged);
        }
        self.shared.tagged.store(true, Ordering::Relaxed);
    }

    /// False until the store's tags were read for the first time.
    #[must_use]
    pub fn are_tags_known(&self) -> bool {
        self.shared.tagged.load(Ordering::Relaxed)
    }

    /// The tags that count, of each client that has any.
    #[must_use]
    pub fn tags(&self) -> HashMap<String, TagSet> {
        let mut tags = HashMap::new();
        for shard in self.shards() {
            tags.extend(shard.table.tags());
        }
        tags
    }

    /// Takes a frame: new or repeated, in order or not, live or backlog.
    pub fn observe(&self, client: &ClientId, frame: &Frame, now_ns: WallNs) {
        let (tap, mut tapped) = (self.shared.tap.get(), Vec::new());
        let tap = tap.filter(|tap| tap.wants_samples());
        let mut shard = self.shard(client);
        shard.table.observe(client, frame, now_ns, tap.map(|_| &mut tapped));
        shard.watchers.on_frame(client, frame, now_ns);
        drop(shard);
        let Some(tap) = tap else { return };
        if !frame.talkers.is_empty() {
            tap.on_talkers(client, frame);
        }
        if !tapped.is_empty() {
            tap.on_samples(client, &tapped);
        }
    }

    /// Passes all new samples to `tap` from now on. Only the first call counts.
    pub fn set_tap(&self, tap: Arc<dyn SampleTap>) {
        let _first = self.shared.tap.set(tap);
    }

    /// The state of every client, in any order; rates only if asked for.
    #[must_use]
    pub fn statuses(&self, with_rates: bool) -> Vec<ClientStatus> {
        let mut statuses = Vec::new();
        for shard in self.shards() {
            statuses.extend(shard.table.statuses(with_rates));
        }
        statuses
    }

    /// The certificate that a client is connected with expires then, seconds since 1970 (UTC).
    pub fn on_certificate(&self, client: &ClientId, end_s: u64) {
        self.shard(client).table.on_certificate(client, end_s);
    }

    /// Takes the register of clients. Clients not connected here are down or at another collector of
    /// the same store; forgotten ones disappear. Call it every 10 s.
    pub fn on_registered(&self, clients: &[Registered], now_ns: WallNs) {
        for registered in clients {
            // No collector writes an invalid id.
            let Ok(id) = ClientId::new(&registered.client) else { continue };
            self.shard(&id).table.on_registered(id.clone(), registered, now_ns);
        }
    }

    /// Takes the second hosts in the store, and shows those that still try. Call it every 10 s.
    pub fn on_second_hosts(&self, known: &[SecondHostRecord], now_ns: WallNs) {
        let current = known.iter().filter(|record| record.is_current(now_ns));
        let current = current.map(|record| (record.client.as_str(), record)).collect();
        for mut shard in self.shards() {
            shard.table.on_second_hosts(&current);
        }
    }

    /// Clients of whose last hour the store may know more than this collector, and the time of each that
    /// is missing.
    #[must_use]
    pub fn wanting_minutes(&self, now_ns: WallNs) -> Vec<ClientRange> {
        let mut wanting = Vec::new();
        for shard in self.shards() {
            wanting.extend(shard.table.wanting_minutes(now_ns));
        }
        wanting
    }

    /// Takes the store's answer about clients.
    pub fn on_minutes(&self, asked: &[ClientRange], stored: &[StoredMinutes], now_ns: WallNs) {
        let mut of_clients: HashMap<&str, Vec<&StoredMinutes>> = HashMap::new();
        for minutes in stored {
            of_clients.entry(&minutes.client).or_default().push(minutes);
        }
        for range in asked {
            let Ok(id) = ClientId::new(&range.client) else { continue };
            let of_client = of_clients.remove(range.client.as_str()).unwrap_or_default();
            let whole = range.to_ns.saturating_since(range.from_ns) >= HOUR_NS;
            self.shard(&id).table.on_minutes(&id, whole, of_client, now_ns);
        }
    }

    /// What every client carried in each minute of the last hour.
    #[must_use]
    pub fn overview(&self, now_ns: WallNs) -> OverviewView {
        let mut clients = Vec::new();
        for shard in self.shards() {
            clients.extend(shard.table.minutes(now_ns));
        }
        clients.sort_unstable_by(|a: &MinutesView, b| a.client.cmp(&b.client));
        OverviewView::new(clients, now_ns)
    }

    /// Removes NICs that their clients have not had for [`GONE_NS`]. Clients stay. Call it every few
    /// seconds.
    pub fn expire(&self, now_ns: WallNs) {
        for mut shard in self.shards() {
            shard.table.expire(now_ns);
        }
    }

    /// The counters and the clients' last samples, for [`Live::restore`] after a restart. Traffic of
    /// running sessions in the meantime is not lost, because their next frames carry totals.
    ///
    /// # Errors
    /// None in practice: plain data always becomes JSON.
    pub fn save(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut saved = Saved::default();
        for shard in self.shards() {
            saved.clients.extend(shard.table.saved());
        }
        serde_json::to_vec(&saved)
    }

    /// Continues the counters of `saved`. The clients are down until they connect. Call it at the
    /// start.
    ///
    /// # Errors
    /// `saved` was not made by [`Live::save`].
    pub fn restore(&self, saved: &[u8], now_ns: WallNs) -> Result<(), serde_json::Error> {
        let saved: Saved = serde_json::from_slice(saved)?;
        for client in saved.clients {
            if let Ok(id) = ClientId::new(&client.client) {
                self.shard(&id).table.restore(id.clone(), client, now_ns);
            }
        }
        Ok(())
    }

    /// Every client, by id.
    #[must_use]
    pub fn snapshot(&self) -> Vec<ClientView> {
        let mut clients: Vec<ClientView> = Vec::new();
        for shard in self.shards() {
            clients.extend(shard.table.snapshot());
        }
        clients.sort_unstable_by(|a, b| a.client.cmp(&b.client));
        clients
    }

    /// One client.
    #[must_use]
    pub fn client(&self, client: &ClientId) -> Option<ClientView> {
        self.shard(client).table.client(client)
    }

    /// A summary of every client, as the first event for a page.
    #[must_use]
    pub fn snapshot_event(&self, now_ns: WallNs) -> PageEvent {
        let mut clients: Vec<SummaryView> = Vec::new();
        for shard in self.shards() {
            clients.extend(shard.table.summaries());
        }
        clients.sort_unstable_by(|a, b| a.client.cmp(&b.client));
        PageEvent::new("snapshot", &Update { now: Time(now_ns), clients, gone: vec![] })
    }

    /// One client, as the first event for a page that follows it.
    #[must_use]
    pub fn client_event(&self, client: &ClientId, now_ns: WallNs) -> PageEvent {
        let client = self.client(client);
        PageEvent::new("snapshot", &ClientUpdate { now: Time(now_ns), client })
    }

    /// Updates of all clients from now on. A reader that falls behind loses the oldest and gets an
    /// error.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<PageEvent> {
        self.shared.updates.subscribe()
    }

    /// Events of one client from now on, each sample as soon as it arrives. A reader that falls behind
    /// loses the oldest and gets an error.
    #[must_use]
    pub fn watch(&self, client: &ClientId) -> broadcast::Receiver<PageEvent> {
        self.shard(client).watchers.watch(client)
    }

    /// Sends subscribers the changes since the last call. Call it a few times a second: it makes one
    /// update for all of them, and none if nobody listens.
    pub fn publish(&self, now_ns: WallNs) {
        let mut changes = Changes::default();
        let listened = self.shared.updates.receiver_count() > 0;
        for mut shard in self.shards() {
            let Shard { table, watchers } = &mut *shard;
            watchers.tidy();
            if listened || !watchers.is_empty() {
                table.take_changes(&mut changes, |client, view| {
                    if watchers.watched(client) {
                        watchers.on_change(client, view(), now_ns);
                    }
                });
            }
        }
        let Changes { clients, gone } = changes;
        if listened && !(clients.is_empty() && gone.is_empty()) {
            let update = Update { now: Time(now_ns), clients, gone };
            // The last reader may have left in the meantime.
            let _nobody = self.shared.updates.send(PageEvent::new("update", &update));
        }
    }

    fn shards(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        self.shared.shards.iter().map(lock)
    }

    fn shard(&self, client: &ClientId) -> MutexGuard<'_, Shard> {
        let mut hasher = DefaultHasher::new();
        client.hash(&mut hasher);
        let index = hasher.finish() % SHARDS as u64;
        #[allow(clippy::cast_possible_truncation, reason = "below SHARDS")]
        lock(&self.shared.shards[index as usize])
    }
}

/// The table stays consistent even if a thread panicked while holding the lock.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
