//! The live table: the current state of every client and NIC. Takes events and times.

mod status;
mod tags;

use std::collections::HashMap;

use wire::WallNs;
use wire::frame::Frame;
use wire::id::{ClientId, NicName};
use wire::message::{Host, Inventory, Session};

use super::client::{ClientState, nic_of};
use super::counter::{Losses, Totals};
use super::hour::hour_until;
use super::nic::{LiveNic, Newest, end_ns};
use super::overview::MinutesView;
use super::presence::Presence;
use super::refill::{MissingMinutes, Refill};
use super::saved::{SavedClient, SavedTags};
use super::seen::Seen;
use super::start::counted_since;
use super::summary::summary;
use super::tap::TappedSample;
use super::view::{ClientView, SummaryView};
use crate::store::{ClientRange, Registered, SecondHostRecord, StoredMinutes};

/// A NIC that is silent or that its client no longer has disappears after this, nanoseconds.
pub const GONE_NS: u64 = 300 * SECOND_NS;

/// How long its counters are kept, to continue if it comes back, nanoseconds.
const FORGOTTEN_NS: u64 = 86_400 * SECOND_NS;

const SECOND_NS: u64 = 1_000_000_000;

/// All clients or a share of them.
#[derive(Debug, Default)]
pub(super) struct ClientTable {
    clients: HashMap<ClientId, ClientState>,
}

/// Changes since the last request.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub clients: Vec<SummaryView>,
    pub gone: Vec<String>,
}

impl ClientTable {
    pub fn on_connected(&mut self, client: &ClientId, alias: &str, host: &Host, now_ns: WallNs) {
        let client = self.touch(client);
        alias.clone_into(&mut client.alias);
        client.host.clone_from(host);
        client.tagged = false;
        client.presence.on_connected(now_ns);
        client.refill.on_connected(now_ns);
        client.hour_changed = true;
    }

    /// A client told its sessions.
    pub fn on_sessions(&mut self, client: &ClientId, sessions: &[Session]) {
        self.touch(client).sessions = sessions.to_vec();
    }

    pub fn on_disconnected(&mut self, client: &ClientId, now_ns: WallNs) {
        let client = self.touch(client);
        client.presence.on_disconnected(now_ns);
        client.hour_changed = true;
    }

    pub fn on_inventory(&mut self, client: &ClientId, inventory: &Inventory) {
        let client = self.touch(client);
        for nic in client.nics.values_mut() {
            nic.listed = false;
            nic.facts.up = false;
        }
        for facts in &inventory.nics {
            if let Some(nic) = nic_of(&mut client.nics, facts.name) {
                nic.facts.clone_from(facts);
                nic.listed = true;
                nic.gone = false;
            }
        }
    }

    /// Takes the current second hosts of all clients.
    pub fn on_second_hosts(&mut self, current: &HashMap<&str, &SecondHostRecord>) {
        for (id, client) in &mut self.clients {
            let second_host = current.get(id.as_str()).map(|record| Box::new((*record).into()));
            if client.second_host != second_host {
                (client.second_host, client.changed) = (second_host, true);
            }
        }
    }

    /// Takes a frame; adds its new samples to `tapped`.
    pub fn observe(
        &mut self,
        client: &ClientId,
        frame: &Frame,
        now_ns: WallNs,
        mut tapped: Option<&mut Vec<TappedSample>>,
    ) {
        let client = self.touch(client);
        client.presence.on_heard(now_ns);
        let fresh = client.seen.insert(frame.session, frame.first_seq, frame.last_seq);
        if fresh {
            client.remember(frame, now_ns);
        }
        for sample in &frame.samples {
            let past = now_ns.saturating_since(end_ns(sample)) > GONE_NS;
            if past && !client.nics.contains_key(&sample.nic) {
                // Backlog of a NIC that no longer exists.
                continue;
            }
            let Some(nic) = nic_of(&mut client.nics, sample.nic) else { continue };
            if nic.counter.is_new() {
                let started = client.sessions.iter().find(|it| it.session == frame.session);
                let offset_ns = client.clock_offset_ns;
                nic.counter.begin(counted_since(sample, started, offset_ns, now_ns));
            }
            let shown = nic.listed || !past;
            nic.counter.observe(frame.session, Totals::of(sample));
            if fresh {
                nic.losses.add(Losses::of(sample));
            }
            let newest = nic.newest.as_ref();
            let newest =
                shown && newest.is_none_or(|newest| newest.gives_way(frame, sample, now_ns));
            if let Some(tapped) = tapped.as_mut().filter(|_| (newest || fresh) && frame.gap == 0) {
                let speed_bits = nic.speed_bits();
                tapped.push(TappedSample { sample: *sample, speed_bits, newest, fresh });
            }
            if newest {
                nic.gone = false;
                nic.heard_ns = now_ns;
                nic.take_load(sample, now_ns);
                nic.newest = Some(Newest {
                    session: frame.session,
                    seq: frame.last_seq,
                    sample: *sample,
                    observed_ns: now_ns,
                });
            }
        }
    }

    /// Clients to ask the store for, and which times.
    pub fn wanting_minutes(&self, now_ns: WallNs) -> impl Iterator<Item = ClientRange> {
        let wanting = self.clients.iter().filter(|(_, client)| !client.gone);
        wanting.filter_map(move |(id, client)| {
            let missing = client.refill.due(client.presence.elsewhere(), now_ns)?;
            let (from_ns, to_ns) = hour_until(client.time(now_ns));
            let from_ns = match missing {
                MissingMinutes::Hour => from_ns,
                MissingMinutes::Newest(length_ns) => to_ns.saturating_sub(length_ns),
            };
            Some(ClientRange { client: id.to_string(), from_ns, to_ns })
        })
    }

    /// The store has answered about a client: its whole hour, or its newest minutes.
    pub fn on_minutes<'a>(
        &mut self,
        client: &ClientId,
        whole: bool,
        stored: impl IntoIterator<Item = &'a StoredMinutes>,
        now_ns: WallNs,
    ) {
        let Some(client) = self.clients.get_mut(client) else { return };
        client.refill.on_answer(whole, now_ns);
        let client_now_ns = client.time(now_ns);
        for StoredMinutes { nic, minutes, .. } in stored {
            if let Some(nic) = NicName::new(nic).filter(|nic| client.has_hour_for(*nic)) {
                client.hour.fill(nic, minutes, client_now_ns);
            }
        }
        client.hour_changed |= client.hour.tick(client_now_ns);
    }

    /// What every client that is not gone carried in each minute of the last hour, in any order.
    pub fn minutes(&self, now_ns: WallNs) -> impl Iterator<Item = MinutesView> {
        let shown = self.clients.iter().filter(|(_, client)| !client.gone);
        shown.filter_map(move |(id, client)| {
            MinutesView::new(id.to_string(), &client.hour.rates(client.time(now_ns)))
        })
    }

    /// The register has a client, or an operator has forgotten it.
    pub fn on_registered(&mut self, id: ClientId, registered: &Registered, now_ns: WallNs) {
        if registered.forgotten_ns.is_some() {
            if let Some(client) = self.clients.get_mut(&id).filter(|it| !it.presence.here()) {
                client.changed |= !client.gone;
                client.gone = true;
                client.nics.clear();
                client.seen = Seen::default();
            }
            return;
        }
        self.clients.entry(id).or_default().on_registered(registered, now_ns);
    }

    /// Removes NICs that their connected clients no longer have.
    pub fn expire(&mut self, now_ns: WallNs) {
        self.clients.retain(|_, client| {
            let there = client.presence.here();
            let mut changed = false;
            client.nics.retain(|_, nic| {
                let age = now_ns.saturating_since(nic.heard_ns);
                if there && !nic.listed && age > GONE_NS && !nic.gone {
                    nic.gone = true;
                    changed = true;
                }
                !nic.gone || age <= FORGOTTEN_NS
            });
            client.changed |= changed;
            let client_now_ns = client.time(now_ns);
            client.hour_changed |= client.hour.tick(client_now_ns);
            !client.gone || client.changed || !client.nics.is_empty()
        });
    }

    /// Every client that is not gone, in any order.
    pub fn snapshot(&self) -> impl Iterator<Item = ClientView> {
        self.clients.iter().filter(|(_, client)| !client.gone).map(|(id, client)| client.view(id))
    }

    /// One client that is not gone.
    pub fn client(&self, client: &ClientId) -> Option<ClientView> {
        let found = self.clients.get(client).filter(|found| !found.gone)?;
        Some(found.view(client))
    }

    /// A summary of every client that is not gone, in any order.
    pub fn summaries(&self) -> impl Iterator<Item = SummaryView> {
        let shown = self.clients.iter().filter(|(_, client)| !client.gone);
        shown.map(|(id, client)| summary(id, client, true))
    }

    /// Adds the changes since the last call, and passes each changed client to `each`.
    pub fn take_changes(
        &mut self,
        changes: &mut Changes,
        mut each: impl FnMut(&ClientId, &dyn Fn() -> Option<ClientView>),
    ) {
        for (id, client) in &mut self.clients {
            let hour = std::mem::take(&mut client.hour_changed);
            if std::mem::take(&mut client.changed) || hour {
                each(id, &|| (!client.gone).then(|| client.view(id)));
                if client.gone {
                    changes.gone.push(id.to_string());
                } else {
                    changes.clients.push(summary(id, client, hour));
                }
            }
        }
    }

    /// The state of every client to save across a restart.
    pub fn saved(&self) -> impl Iterator<Item = SavedClient> {
        self.clients.iter().map(|(id, client)| SavedClient {
            client: id.to_string(),
            alias: client.alias.clone(),
            last_seen_ns: if client.gone { WallNs(0) } else { client.presence.heard_ns() },
            up_since_ns: client.presence.up_since_ns(),
            clock_offset_ns: client.clock_offset_ns,
            tags: SavedTags::new(&client.tags),
            seen: client.seen.clone(),
            nics: client.nics.iter().map(|(name, nic)| nic.saved(*name)).collect(),
        })
    }

    /// Restores a client, which is down until it connects.
    pub fn restore(&mut self, id: ClientId, saved: SavedClient, now_ns: WallNs) {
        let SavedClient {
            alias, last_seen_ns, up_since_ns, clock_offset_ns, tags, seen, nics, ..
        } = saved;
        let nics = nics.into_iter().filter_map(|saved| {
            Some((NicName::new(&saved.nic)?, LiveNic::restored(saved, now_ns)?))
        });
        let client = ClientState {
            alias,
            presence: Presence::restored(last_seen_ns, up_since_ns, now_ns),
            refill: Refill::wanted(now_ns),
            clock_offset_ns,
            tags: tags.restored(),
            seen,
            nics: nics.collect(),
            gone: last_seen_ns == WallNs(0),
            changed: true,
            ..ClientState::default()
        };
        self.clients.entry(id).or_insert(client);
    }

    /// Returns the client and marks it as changed.
    fn touch(&mut self, client: &ClientId) -> &mut ClientState {
        let client = self.clients.entry(client.clone()).or_default();
        client.gone = false;
        client.changed = true;
        client
    }
}
