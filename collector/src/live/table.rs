//! The live table: the current state of every client and NIC. Takes events and times.

mod status;
mod tags;

use std::collections::{BTreeMap, HashMap};

use wire::frame::{Frame, Sample, flags};
use wire::id::{ClientId, NicName, SessionId};
use wire::message::{Host, Inventory, Nic, Session};
use wire::{Seq, WallNs};

use super::counter::{Counter, Losses, Totals};
use super::presence::Presence;
use super::saved::{SavedClient, SavedFacts, SavedNic, SavedSample, SavedTags};
use super::seen::Seen;
use super::start::counted_since;
use super::tap::TappedSample;
use super::view::{
    ClientView, NicView, SampleView, SecondHostView, SumView, SummaryView, link_speed,
};
use crate::store::{ClientTags, Registered, SecondHostRecord};
use crate::time::Time;

/// A NIC that is silent or that its client no longer has disappears after this, nanoseconds.
pub const GONE_NS: u64 = 300 * SECOND_NS;

/// How long its counters are kept, to continue if it comes back, nanoseconds.
const FORGOTTEN_NS: u64 = 86_400 * SECOND_NS;

/// A session silent for this long gives way to any other, nanoseconds.
const SILENT_NS: u64 = 5 * SECOND_NS;

/// Most NICs of a client.
const NICS_MAX: usize = wire::message::LIST_MAX;

const SECOND_NS: u64 = 1_000_000_000;

/// All clients or a share of them.
#[derive(Debug, Default)]
pub(super) struct ClientTable {
    clients: HashMap<ClientId, Client>,
}

/// Changes since the last request.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub clients: Vec<SummaryView>,
    pub gone: Vec<String>,
}

#[derive(Debug, Default)]
struct Client {
    alias: String,
    host: Host,
    presence: Presence,
    clock_offset_ns: Option<i64>,
    /// Of its newest connection.
    sessions: Vec<Session>,
    second_host: Option<Box<SecondHostView>>,
    tags: ClientTags,
    /// On the collector's own host, by the address of its newest connection.
    same_host: bool,
    certificate_end_s: Option<u64>,
    nics: BTreeMap<NicName, NicState>,
    seen: Seen,
    /// Not shown: forgotten, or silent since an older collector saved its counters.
    gone: bool,
    /// To be sent to subscribers.
    changed: bool,
}

#[derive(Debug, Default)]
struct NicState {
    /// The newest facts.
    facts: Nic,
    /// Listed in the newest inventory.
    listed: bool,
    counter: Counter,
    losses: Losses,
    newest: Option<Newest>,
    /// When its newest sample arrived.
    heard_ns: WallNs,
    /// Not shown.
    gone: bool,
}

#[derive(Debug)]
struct Newest {
    session: SessionId,
    seq: Seq,
    sample: Sample,
    observed_ns: WallNs,
}

impl ClientTable {
    pub fn on_connected(&mut self, client: &ClientId, alias: &str, host: &Host, now_ns: WallNs) {
        let client = self.touch(client);
        alias.clone_into(&mut client.alias);
        client.host.clone_from(host);
        client.presence.on_connected(now_ns);
    }

    /// A client told its sessions.
    pub fn on_sessions(&mut self, client: &ClientId, sessions: &[Session]) {
        self.touch(client).sessions = sessions.to_vec();
    }

    pub fn on_disconnected(&mut self, client: &ClientId, now_ns: WallNs) {
        self.touch(client).presence.on_disconnected(now_ns);
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
                let speed_bits = link_speed(&nic.facts.kind, nic.facts.speed_bits);
                tapped.push(TappedSample { sample: *sample, speed_bits, newest, fresh });
            }
            if newest {
                nic.gone = false;
                nic.heard_ns = now_ns;
                nic.newest = Some(Newest {
                    session: frame.session,
                    seq: frame.last_seq,
                    sample: *sample,
                    observed_ns: now_ns,
                });
            }
        }
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
        shown.map(|(id, client)| client.summary(id))
    }

    /// Adds the changes since the last call, and passes each changed client to `each`.
    pub fn take_changes(
        &mut self,
        changes: &mut Changes,
        mut each: impl FnMut(&ClientId, &dyn Fn() -> Option<ClientView>),
    ) {
        for (id, client) in &mut self.clients {
            if std::mem::take(&mut client.changed) {
                each(id, &|| (!client.gone).then(|| client.view(id)));
                if client.gone {
                    changes.gone.push(id.to_string());
                } else {
                    changes.clients.push(client.summary(id));
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
            clock_offset_ns: client.clock_offset_ns,
            tags: SavedTags::new(&client.tags),
            seen: client.seen.clone(),
            nics: client.nics.iter().map(|(name, nic)| nic.saved(*name)).collect(),
        })
    }

    /// Restores a client, which is down until it connects.
    pub fn restore(&mut self, id: ClientId, saved: SavedClient, now_ns: WallNs) {
        let SavedClient { alias, last_seen_ns, clock_offset_ns, tags, seen, nics, .. } = saved;
        let nics = nics.into_iter().filter_map(|saved| {
            Some((NicName::new(&saved.nic)?, NicState::restored(saved, now_ns)?))
        });
        let client = Client {
            alias,
            presence: Presence::restored(last_seen_ns),
            clock_offset_ns,
            tags: tags.restored(),
            seen,
            nics: nics.collect(),
            gone: last_seen_ns == WallNs(0),
            changed: true,
            ..Client::default()
        };
        self.clients.entry(id).or_insert(client);
    }

    /// Returns the client and marks it as changed.
    fn touch(&mut self, client: &ClientId) -> &mut Client {
        let client = self.clients.entry(client.clone()).or_default();
        client.gone = false;
        client.changed = true;
        client
    }
}

impl Client {
    fn on_registered(&mut self, registered: &Registered, now_ns: WallNs) {
        let state =
            |client: &Self| (client.gone, client.presence.up(), client.presence.elsewhere());
        let before = (state(self), self.alias.clone());
        let first = self.presence.last_seen() == Time(WallNs(0));
        self.presence.on_registered(registered.last_seen_ns, now_ns);
        self.gone = false;
        if !self.presence.here() {
            self.alias.clone_from(&registered.alias);
        }
        self.changed |= first || before != (state(self), self.alias.clone());
    }

    fn view(&self, id: &ClientId) -> ClientView {
        let nics = self.nics.iter().filter(|(_, nic)| !nic.gone);
        ClientView {
            client: id.to_string(),
            alias: self.alias.clone(),
            up: self.presence.up(),
            elsewhere: self.presence.elsewhere(),
            last_seen: self.presence.last_seen(),
            clock_offset_ns: self.clock_offset_ns,
            second_host: self.second_host.clone(),
            tags: self.tags.counting(),
            host: (&self.host).into(),
            nics: nics.map(|(name, nic)| nic.view(*name)).collect(),
        }
    }

    fn summary(&self, id: &ClientId) -> SummaryView {
        let nics = || self.nics.iter().filter(|(_, nic)| !nic.gone);
        let newest_ns = nics().filter_map(|(_, nic)| nic.newest.as_ref()).map(|it| it.observed_ns);
        let newest_ns = newest_ns.max();
        let [mut rx, mut tx] = [SumView::default(); 2];
        let mut losses = Losses::default();
        for (_, nic) in nics() {
            losses.add(nic.losses);
            // A NIC that is silent while others send carries nothing now.
            let current = nic.newest.as_ref().filter(|newest| {
                let patience = SILENT_NS.max(newest.sample.interval_ns.saturating_mul(3));
                newest.observed_ns.saturating_add(patience) >= newest_ns.unwrap_or(WallNs(0))
            });
            if let Some(newest) = current.filter(|_| !nic.stacked()) {
                let view = SampleView::new(&newest.sample, newest.observed_ns);
                rx.add(&view.rx);
                tx.add(&view.tx);
            }
        }
        let down = nics().filter(|(_, nic)| nic.listed && !nic.facts.up);
        SummaryView {
            client: id.to_string(),
            alias: self.alias.clone(),
            up: self.presence.up(),
            elsewhere: self.presence.elsewhere(),
            last_seen: self.presence.last_seen(),
            observed: newest_ns.map(Time),
            clock_offset_ns: self.clock_offset_ns,
            second_host: self.second_host.clone(),
            tags: self.tags.counting(),
            sample_interval_ns: self.host.sample_interval_ns,
            links_down: down.map(|(name, _)| name.to_string()).collect(),
            rx,
            tx,
            drops_total: losses.drops,
            late_total: losses.late,
            inexact_total: losses.inexact,
        }
    }
}

/// The NIC of this name, unless there are too many.
fn nic_of(nics: &mut BTreeMap<NicName, NicState>, name: NicName) -> Option<&mut NicState> {
    if nics.len() >= NICS_MAX && !nics.contains_key(&name) {
        return None;
    }
    Some(nics.entry(name).or_insert_with(NicState::unlisted))
}

impl NicState {
    /// A NIC that no inventory has listed yet. It carries traffic, so it is up.
    fn unlisted() -> Self {
        Self { facts: Nic { up: true, ..Nic::default() }, ..Self::default() }
    }

    fn saved(&self, name: NicName) -> SavedNic {
        let shown = !self.gone;
        let newest = self.newest.as_ref().filter(|_| shown);
        SavedNic {
            nic: name.to_string(),
            counter: self.counter.clone(),
            losses: self.losses,
            facts: shown.then(|| SavedFacts::new(&self.facts, self.listed)),
            newest: newest
                .map(|it| SavedSample::new(it.session, it.seq, it.observed_ns, &it.sample)),
        }
    }

    fn restored(saved: SavedNic, now_ns: WallNs) -> Option<Self> {
        let SavedNic { nic, counter, losses, facts, newest } = saved;
        let name = NicName::new(&nic)?;
        let gone = facts.is_none();
        let unlisted = || (Self::unlisted().facts, false);
        let (facts, listed) = facts.map_or_else(unlisted, |facts| facts.restored(name));
        let newest = newest.map(|it| Newest {
            session: it.session,
            seq: it.seq,
            sample: it.restored(name),
            observed_ns: it.observed_ns,
        });
        Some(Self { facts, listed, counter, losses, newest, heard_ns: now_ns, gone })
    }

    fn stacked(&self) -> bool {
        let newest = self.newest.as_ref();
        self.facts.stacked || newest.is_some_and(|it| it.sample.flags & flags::STACKED != 0)
    }

    fn view(&self, name: NicName) -> NicView {
        let newest = self.newest.as_ref();
        NicView {
            nic: name.to_string(),
            kind: self.facts.kind.clone(),
            speed_bits_per_second: link_speed(&self.facts.kind, self.facts.speed_bits),
            stacked: self.stacked(),
            up: self.facts.up,
            total: self.counter.totals(),
            counted_since: self.counter.since(),
            drops_total: self.losses.drops,
            late_total: self.losses.late,
            inexact_total: self.losses.inexact,
            sample: newest.map(|newest| SampleView::new(&newest.sample, newest.observed_ns)),
        }
    }
}

impl Newest {
    /// True if a sample is newer. Between sessions time decides, unless this one's session is silent,
    /// because the clock may have been set back.
    fn gives_way(&self, frame: &Frame, sample: &Sample, now_ns: WallNs) -> bool {
        if frame.session == self.session {
            frame.last_seq > self.seq
                || frame.last_seq == self.seq && sample.start_ns > self.sample.start_ns
        } else {
            end_ns(sample) > end_ns(&self.sample)
                || now_ns.saturating_since(self.observed_ns) > SILENT_NS
        }
    }
}

/// End of a sample's interval, nanoseconds since 1970 (UTC), by the client's clock.
const fn end_ns(sample: &Sample) -> WallNs {
    sample.start_ns.saturating_add(sample.interval_ns)
}
