//! One client on the screen, and its NICs if they are shown.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use wire::{Bytes, Packets, WallNs};

use crate::live::{ClientView, HourView, NicPoint, NicView, RateView, SumView, SummaryView};
use crate::time::Time;

/// Rates kept per row, enough for the widest screen.
const HISTORY: usize = 512;

/// A client is stale after at least this much silence.
const SILENT_NS: u64 = 5_000_000_000;

/// Flag of samples with a shortened interval, whose rates mean little.
const PARTIAL: &str = "partial";

/// State of a client or NIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// It sends samples.
    Live,
    /// It is connected, but has sent no sample yet.
    Waiting,
    /// It has sent no sample for this long.
    Stale(Duration),
    /// Not connected for this long.
    Away(Duration),
    /// Connected to another collector of the same store.
    Elsewhere,
    /// The link of a NIC is down.
    Down,
}

/// Traffic of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Flow {
    /// Bytes per second.
    pub(super) bytes: f64,
    /// Packets per second.
    pub(super) packets: f64,
    /// Highest rate of 1 ms, bytes per second.
    pub(super) peak: u64,
}

/// Traffic of both directions.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Traffic {
    /// Received.
    pub(super) rx: Flow,
    /// Transmitted.
    pub(super) tx: Flow,
}

impl From<&SumView> for Flow {
    fn from(sum: &SumView) -> Self {
        let SumView { bytes_per_second, packets_per_second, peak_1ms_bytes_per_second } = *sum;
        Self {
            bytes: bytes_per_second,
            packets: packets_per_second,
            peak: peak_1ms_bytes_per_second,
        }
    }
}

impl From<&RateView> for Flow {
    fn from(rate: &RateView) -> Self {
        let RateView { bytes_per_second, packets_per_second, peak_1ms_bytes_per_second, .. } =
            *rate;
        Self {
            bytes: bytes_per_second,
            packets: packets_per_second,
            peak: peak_1ms_bytes_per_second,
        }
    }
}

impl Flow {
    /// The sum with another; the higher of the peaks.
    pub(super) fn with(self, other: &Self) -> Self {
        Self {
            bytes: self.bytes + other.bytes,
            packets: self.packets + other.packets,
            peak: self.peak.max(other.peak),
        }
    }

    /// Mean packet size, bytes; `None` without packets.
    pub(super) fn mean_size(&self) -> Option<f64> {
        (self.packets > 0.0).then(|| self.bytes / self.packets)
    }
}

impl Traffic {
    /// The sum with another.
    pub(super) fn with(self, other: &Self) -> Self {
        Self { rx: self.rx.with(&other.rx), tx: self.tx.with(&other.tx) }
    }

    /// The sum of both directions.
    pub(super) fn both(&self) -> Flow {
        self.rx.with(&self.tx)
    }
}

/// The last rates, bytes per second, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    rates: VecDeque<[u64; 2]>,
}

impl History {
    fn push(&mut self, rx: f64, tx: f64) {
        if self.rates.len() == HISTORY {
            self.rates.pop_front();
        }
        self.rates.push_back([rx, tx].map(whole));
    }

    /// Received.
    pub(super) fn rx(&self) -> Vec<u64> {
        self.rates.iter().map(|rates| rates[0]).collect()
    }

    /// Transmitted.
    pub(super) fn tx(&self) -> Vec<u64> {
        self.rates.iter().map(|rates| rates[1]).collect()
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate, saturating")]
const fn whole(rate: f64) -> u64 {
    rate as u64
}

/// A client.
#[derive(Debug)]
pub(super) struct TopClient {
    summary: SummaryView,
    history: History,
    /// Packets lost before the view was opened.
    drops_before: Packets,
}

impl TopClient {
    /// A client not known before.
    pub(super) fn new(summary: SummaryView) -> Self {
        let drops_before = summary.drops_total;
        let mut client = Self { summary, history: History::default(), drops_before };
        client.remember();
        client
    }

    /// Updates it from the collector's summary, which leaves out what hasn't changed.
    pub(super) fn update(&mut self, summary: SummaryView) {
        let fresh = summary.observed != self.summary.observed;
        let hour = summary.hour.clone().or_else(|| self.summary.hour.take());
        self.summary = SummaryView { hour, ..summary };
        if fresh {
            self.remember();
        }
    }

    /// Updates it as the sum of several clients, which come and go, with what these have lost since the view
    /// was opened.
    pub(super) fn update_sum(&mut self, summary: SummaryView, lost: Packets) {
        self.drops_before = summary.drops_total.saturating_sub(lost);
        self.update(summary);
    }

    fn remember(&mut self) {
        if self.summary.observed.is_some() {
            let Traffic { rx, tx } = self.traffic();
            self.history.push(rx.bytes, tx.bytes);
        }
    }

    /// The collector's newest summary of it.
    pub(super) const fn summary(&self) -> &SummaryView {
        &self.summary
    }

    pub(super) const fn history(&self) -> &History {
        &self.history
    }

    /// Its newest traffic.
    pub(super) fn traffic(&self) -> Traffic {
        Traffic { rx: (&self.summary.rx).into(), tx: (&self.summary.tx).into() }
    }

    /// Packets lost since the view was opened.
    pub(super) const fn lost(&self) -> Packets {
        self.summary.drops_total.saturating_sub(self.drops_before)
    }

    /// What stands out in its last hour.
    pub(super) fn hour(&self) -> HourView {
        self.summary.hour.as_deref().cloned().unwrap_or_default()
    }

    /// How long ago a moment of the client's clock was.
    pub(super) fn ago(&self, moment: Time, now_ns: WallNs) -> Duration {
        let offset_ns = self.summary.clock_offset_ns.unwrap_or(0);
        Duration::from_nanos(now_ns.saturating_add_signed(offset_ns).saturating_since(moment.0))
    }

    /// How long a link of it has been full, if one is.
    pub(super) fn full(&self, now_ns: WallNs) -> Option<Duration> {
        let since = self.summary.utilisation.as_ref()?.full_since?;
        Some(Duration::from_nanos(now_ns.saturating_since(since.0)))
    }

    /// Its state.
    pub(super) fn condition(&self, now_ns: WallNs) -> Condition {
        let SummaryView { up, elsewhere, last_seen, observed, sample_interval_ns, .. } =
            self.summary;
        presence(up, elsewhere, last_seen, now_ns)
            .unwrap_or_else(|| condition(observed, sample_interval_ns, now_ns))
    }

    /// True if its newest traffic is current.
    pub(super) fn is_live(&self, now_ns: WallNs) -> bool {
        self.condition(now_ns) == Condition::Live
    }
}

/// State of a client that isn't connected to this collector.
fn presence(up: bool, elsewhere: bool, last_seen: Time, now_ns: WallNs) -> Option<Condition> {
    match (up, elsewhere) {
        (false, _) => {
            let silent_ns = now_ns.saturating_since(last_seen.0);
            Some(Condition::Away(Duration::from_secs(silent_ns / 1_000_000_000)))
        }
        (true, true) => Some(Condition::Elsewhere),
        (true, false) => None,
    }
}

/// Stale after three intervals without a sample, but not before 5 s.
fn condition(observed: Option<Time>, interval_ns: u64, now_ns: WallNs) -> Condition {
    let Some(Time(observed_ns)) = observed else { return Condition::Waiting };
    let silent_ns = now_ns.saturating_since(observed_ns);
    if silent_ns > SILENT_NS.max(interval_ns.saturating_mul(3)) {
        Condition::Stale(Duration::from_secs(silent_ns / 1_000_000_000))
    } else {
        Condition::Live
    }
}

/// A client whose NICs are shown.
#[derive(Debug, Default)]
pub(super) struct Opened {
    view: Option<ClientView>,
    nics: BTreeMap<String, Nic>,
    /// Why the collector sends no data about them, if so.
    refused: Option<String>,
}

/// Data kept of a NIC.
#[derive(Debug, Default)]
struct Nic {
    history: History,
    newest: Time,
    drops_before: Packets,
}

/// A NIC for display.
#[derive(Debug)]
pub(super) struct NicRow<'a> {
    /// The collector's newest data of it.
    pub(super) view: &'a NicView,
    /// Its last rates.
    pub(super) history: &'a History,
    /// Packets lost since it is shown.
    pub(super) lost: Packets,
    /// Its state.
    pub(super) condition: Condition,
}

impl Opened {
    /// Updates it from the collector; `None`: the client is gone.
    pub(super) fn set(&mut self, view: Option<ClientView>) {
        for nic in view.iter().flat_map(|view| &view.nics) {
            let first = || Nic { drops_before: nic.drops_total, ..Nic::default() };
            self.nics.entry(nic.nic.clone()).or_insert_with(first);
        }
        self.view = view;
        self.refused = None;
    }

    /// The collector refuses data about them for this reason.
    pub(super) fn refuse(&mut self, why: String) {
        self.refused = Some(why);
    }

    /// Why there is nothing to show, if so.
    pub(super) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// Adds samples. Late ones after an outage only extend the history.
    pub(super) fn add(&mut self, samples: &[NicPoint]) {
        for NicPoint { nic, point } in samples {
            let Some(nic) = self.nics.get_mut(nic) else { continue };
            if point.time > nic.newest && !point.flags.iter().any(|flag| flag == PARTIAL) {
                nic.newest = point.time;
                let [rx, tx] = [point.rx.bytes, point.tx.bytes];
                nic.history
                    .push(per_second(rx, point.interval_ns), per_second(tx, point.interval_ns));
            }
        }
    }

    /// The client in full, once it is known.
    pub(super) const fn view(&self) -> Option<&ClientView> {
        self.view.as_ref()
    }

    /// Names of its NICs.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.view.iter().flat_map(|view| &view.nics).map(|nic| nic.nic.as_str())
    }

    /// One of its NICs.
    pub(super) fn nic(&self, name: &str, now_ns: WallNs) -> Option<NicRow<'_>> {
        let client = self.view.as_ref()?;
        let view = client.nics.iter().find(|nic| nic.nic == name)?;
        let Nic { history, drops_before, .. } = self.nics.get(name)?;
        let observed = view.sample.as_ref().map(|sample| sample.observed);
        let interval_ns = view.sample.as_ref().map_or(0, |sample| sample.interval_ns);
        let away = presence(client.up, client.elsewhere, client.last_seen, now_ns);
        let condition = match away.unwrap_or_else(|| condition(observed, interval_ns, now_ns)) {
            Condition::Live | Condition::Waiting if !view.up => Condition::Down,
            other => other,
        };
        let lost = view.drops_total.saturating_sub(*drops_before);
        Some(NicRow { view, history, lost, condition })
    }
}

impl NicRow<'_> {
    /// Its newest traffic.
    pub(super) fn traffic(&self) -> Traffic {
        let sample = self.view.sample.as_ref();
        sample.map_or_else(Traffic::default, |it| Traffic {
            rx: (&it.rx).into(),
            tx: (&it.tx).into(),
        })
    }
}

#[allow(clippy::cast_precision_loss, reason = "shown with three digits")]
fn per_second(bytes: Bytes, interval_ns: u64) -> f64 {
    bytes.as_f64() * 1e9 / interval_ns.max(1) as f64
}
