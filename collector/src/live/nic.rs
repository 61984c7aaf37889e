//! The current state of one NIC.

use wire::frame::{Frame, Sample, flags};
use wire::id::{NicName, SessionId};
use wire::message::{Nic, link_speed};
use wire::{Seq, WallNs};

use super::counter::{Counter, Losses};
use super::load::{Load, share};
use super::saved::{SavedFacts, SavedNic, SavedSample};
use super::view::{NicView, SampleView};

/// A session silent for this long gives way to any other, nanoseconds.
const SILENT_NS: u64 = 5 * SECOND_NS;

const SECOND_NS: u64 = 1_000_000_000;

#[derive(Debug, Default)]
pub(super) struct LiveNic {
    /// The newest facts.
    pub facts: Nic,
    /// Listed in the newest inventory.
    pub listed: bool,
    pub counter: Counter,
    pub losses: Losses,
    pub newest: Option<Newest>,
    pub load: Load,
    /// When its newest sample arrived.
    pub heard_ns: WallNs,
    /// Not shown.
    pub gone: bool,
}

#[derive(Debug)]
pub(super) struct Newest {
    pub session: SessionId,
    pub seq: Seq,
    pub sample: Sample,
    pub observed_ns: WallNs,
}

impl LiveNic {
    /// A NIC that no inventory has listed yet. It carries traffic, so it is up.
    pub fn unlisted() -> Self {
        Self { facts: Nic { up: true, ..Nic::default() }, ..Self::default() }
    }

    pub fn saved(&self, name: NicName) -> SavedNic {
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

    pub fn restored(saved: SavedNic, now_ns: WallNs) -> Option<Self> {
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
        let load = Load::default();
        Some(Self { facts, listed, counter, losses, newest, load, heard_ns: now_ns, gone })
    }

    /// Takes a sample that is newer than all others.
    pub fn take_load(&mut self, sample: &Sample, now_ns: WallNs) {
        let speed_bits = self.speed_bits();
        if speed_bits > 0 {
            let of = |counts| share(counts, sample.interval_ns, speed_bits);
            let span = (sample.start_ns, sample.interval_ns);
            self.load.add([of(&sample.rx), of(&sample.tx)], span, now_ns);
        }
    }

    /// The speed of its link, bit/s; 0 where there is none to speak of.
    pub fn speed_bits(&self) -> u64 {
        link_speed(&self.facts.kind, self.facts.speed_bits)
    }

    /// Its newest sample, unless it is silent while others of its client send: then it carries nothing
    /// now. `newest_ns`: when the client's newest sample arrived.
    pub fn current(&self, newest_ns: Option<WallNs>) -> Option<&Newest> {
        self.newest.as_ref().filter(|newest| {
            let patience = SILENT_NS.max(newest.sample.interval_ns.saturating_mul(3));
            newest.observed_ns.saturating_add(patience) >= newest_ns.unwrap_or(WallNs(0))
        })
    }

    pub fn stacked(&self) -> bool {
        let newest = self.newest.as_ref();
        self.facts.stacked || newest.is_some_and(|it| it.sample.flags & flags::STACKED != 0)
    }

    pub fn view(&self, name: NicName) -> NicView {
        let newest = self.newest.as_ref();
        NicView {
            nic: name.to_string(),
            kind: self.facts.kind.clone(),
            speed_bits_per_second: self.speed_bits(),
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
    pub fn gives_way(&self, frame: &Frame, sample: &Sample, now_ns: WallNs) -> bool {
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
pub(super) const fn end_ns(sample: &Sample) -> WallNs {
    sample.start_ns.saturating_add(sample.interval_ns)
}
