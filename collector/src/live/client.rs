//! The current state of one client. Takes events and times.

use std::collections::BTreeMap;

use wire::WallNs;
use wire::frame::{Frame, flags};
use wire::id::{ClientId, NicName};
use wire::message::{Host, Session};

use super::hour::Hour;
use super::nic::LiveNic;
use super::presence::Presence;
use super::refill::Refill;
use super::seen::Seen;
use super::view::{ClientView, SecondHostView};
use crate::store::{ClientTags, Registered};
use crate::time::Time;

/// Most NICs of a client.
const NICS_MAX: usize = wire::message::LIST_MAX;

/// Everything known of a client this moment.
#[derive(Debug, Default)]
pub(super) struct ClientState {
    pub alias: String,
    pub host: Host,
    pub presence: Presence,
    pub clock_offset_ns: Option<i64>,
    /// Of its newest connection.
    pub sessions: Vec<Session>,
    pub second_host: Option<Box<SecondHostView>>,
    pub tags: ClientTags,
    /// The store has taken the agent's tags in its newest connection.
    pub tagged: bool,
    /// On the collector's own host, by the address of its newest connection.
    pub same_host: bool,
    /// When the certificate expires that it is connected with, seconds since 1970 (UTC).
    pub certificate_end_s: Option<u64>,
    pub nics: BTreeMap<NicName, LiveNic>,
    pub hour: Hour,
    pub refill: Refill,
    pub seen: Seen,
    /// Not shown: forgotten, or silent since an older collector saved its counters.
    pub gone: bool,
    /// To be sent to subscribers.
    pub changed: bool,
    /// To be sent to subscribers: what stands out in the last hour, or since when it is up or down.
    pub hour_changed: bool,
}

impl ClientState {
    pub fn on_registered(&mut self, registered: &Registered, now_ns: WallNs) {
        let state =
            |client: &Self| (client.gone, client.presence.up(), client.presence.elsewhere());
        let before = (state(self), self.alias.clone());
        let first = self.presence.last_seen() == Time(WallNs(0));
        if first {
            self.refill = Refill::wanted(now_ns);
        }
        self.presence.on_registered(registered.last_seen_ns, now_ns);
        self.gone = false;
        if !self.presence.here() {
            self.alias.clone_from(&registered.alias);
        }
        let changed = first || before != (state(self), self.alias.clone());
        self.changed |= changed;
        self.hour_changed |= changed;
    }

    pub fn view(&self, id: &ClientId) -> ClientView {
        let nics = self.shown();
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

    /// NICs that are shown.
    pub fn shown(&self) -> impl Iterator<Item = (&NicName, &LiveNic)> {
        self.nics.iter().filter(|(_, nic)| !nic.gone)
    }

    /// A NIC's newest facts, if there are any.
    pub fn nic_named(&self, name: NicName) -> Option<&LiveNic> {
        self.nics.get(&name)
    }

    /// The time by the client's clock, as far as its offset is known.
    pub const fn time(&self, now_ns: WallNs) -> WallNs {
        match self.clock_offset_ns {
            Some(offset_ns) => now_ns.saturating_add_signed(offset_ns),
            None => now_ns,
        }
    }

    /// Whether the last hour has room for a NIC.
    pub fn has_hour_for(&self, nic: NicName) -> bool {
        self.hour.nics() < NICS_MAX || self.hour.knows(nic)
    }

    /// Takes a new frame into the last hour.
    pub fn remember(&mut self, frame: &Frame, now_ns: WallNs) {
        let client_now_ns = self.time(now_ns);
        for sample in &frame.samples {
            if !self.has_hour_for(sample.nic) {
                continue;
            }
            let known = self.nics.get(&sample.nic);
            let stacked =
                sample.flags & flags::STACKED != 0 || known.is_some_and(|nic| nic.facts.stacked);
            self.hour_changed |= self.hour.add(sample, stacked, frame.gap != 0, client_now_ns);
        }
    }
}

/// The NIC of this name, unless there are too many.
pub(super) fn nic_of(nics: &mut BTreeMap<NicName, LiveNic>, name: NicName) -> Option<&mut LiveNic> {
    if nics.len() >= NICS_MAX && !nics.contains_key(&name) {
        return None;
    }
    Some(nics.entry(name).or_insert_with(LiveNic::unlisted))
}
