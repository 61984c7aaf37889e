//! What the live table shows: plain values, as pages and Prometheus get them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::frame::{Counts, Sample, flags};
use wire::message::Host;
use wire::tag::TagSet;
use wire::{Bytes, Packets, WallNs};

use super::counter::Totals;
use super::hour::FlowDirection;
use crate::store::SecondHostRecord;
use crate::time::Time;

/// A client as it is this moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClientView {
    /// Its id.
    pub client: String,
    /// What its operator calls it.
    pub alias: String,
    /// True while it is connected, to this collector or another of the same store.
    pub up: bool,
    /// Another collector of the same store heard from it last, so figures here are older.
    pub elsewhere: bool,
    /// When it was last heard from.
    pub last_seen: Time,
    /// By how much its clock is ahead of the collector's, nanoseconds.
    pub clock_offset_ns: Option<i64>,
    /// The second host under its certificate, if there was one within half an hour.
    pub second_host: Option<Box<SecondHostView>>,
    /// Its tags by key, those of the collector before the agent's.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, String>)]
    pub tags: TagSet,
    /// Facts about its host.
    pub host: HostView,
    /// Its NICs, by name.
    pub nics: Vec<NicView>,
}

impl ClientView {
    /// The NICs whose series are shown here. Each has them at one collector only: the last that heard from
    /// its client.
    #[must_use]
    pub fn shown_nics(&self) -> &[NicView] {
        if self.elsewhere { &[] } else { &self.nics }
    }
}

/// Another host that came with a client's certificate, and was refused because the first answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecondHostView {
    /// Since when there is one.
    pub since: Time,
    /// When it was last recorded: every 10 minutes while it tries.
    pub last_told: Time,
    /// Address of the host that stays connected.
    pub kept: String,
    /// Address of the refused host.
    pub refused: String,
    /// What it is to the first.
    pub what: String,
}

impl From<&SecondHostRecord> for SecondHostView {
    fn from(record: &SecondHostRecord) -> Self {
        let SecondHostRecord { since_ns, told_ns, kept, refused, what, .. } = record;
        Self {
            since: Time(*since_ns),
            last_told: Time(*told_ns),
            kept: kept.to_string(),
            refused: refused.to_string(),
            what: what.clone(),
        }
    }
}

/// What a client does this moment, in short. Rates are sums over its NICs without the stacked ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SummaryView {
    /// Its id.
    pub client: String,
    /// What its operator calls it.
    pub alias: String,
    /// True while it is connected, to this collector or another of the same store.
    pub up: bool,
    /// Another collector of the same store heard from it last, so figures here are older.
    pub elsewhere: bool,
    /// When it was last heard from.
    pub last_seen: Time,
    /// When its newest sample arrived, by the collector's clock; `None`: none yet.
    pub observed: Option<Time>,
    /// By how much its clock is ahead of the collector's, nanoseconds.
    pub clock_offset_ns: Option<i64>,
    /// The second host under its certificate, if there was one within half an hour.
    pub second_host: Option<Box<SecondHostView>>,
    /// Its tags by key, those of the collector before the agent's.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, String>)]
    pub tags: TagSet,
    /// Length of a sample interval, nanoseconds.
    pub sample_interval_ns: u64,
    /// Names of NICs whose link is down.
    pub links_down: Vec<String>,
    /// Since when it is up, or down. In an `update` it is left out unless it or `hour` has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// The fullest link; `None` where no link has a speed.
    pub utilisation: Option<UtilisationView>,
    /// What stands out in the last hour. In an `update` it is left out unless it or `since` has
    /// changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hour: Option<Box<HourView>>,
    /// Received.
    pub rx: SumView,
    /// Transmitted.
    pub tx: SumView,
    /// Packets dropped because a ring was full, a total that only grows.
    #[schema(value_type = u64)]
    pub drops_total: Packets,
    /// Packets counted in a later interval than their own, a total that only grows.
    #[schema(value_type = u64)]
    pub late_total: Packets,
    /// Packets counted as captured though they are or may be super-packets, a total that only
    /// grows.
    #[schema(value_type = u64)]
    pub inexact_total: Packets,
}

/// How full the fullest link of a client is, of those that are not stacked: a full one, if there is any.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UtilisationView {
    /// The NIC.
    pub nic: String,
    /// The fuller direction.
    pub direction: FlowDirection,
    /// Share of the link's speed in the newest interval; 1 is full. FCS, preamble and inter-packet gap
    /// are counted in.
    pub share: f64,
    /// The link's speed.
    pub speed_bits_per_second: u64,
    /// Since when the link is full, if it is: at 90 % for 5 s, and not below 80 % since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_since: Option<Time>,
}

/// What stands out in the last hour of a client. Moments are of its clock, as in its series.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HourView {
    /// The most that a NIC carried within 1 ms; of NICs that are not stacked.
    pub peak_1ms: Option<PeakView>,
    /// The most that a NIC carried within 10 ms; of NICs that are not stacked.
    pub peak_10ms: Option<PeakView>,
    /// Packets dropped because a ring was full; `None`: there were none.
    pub lost: Option<LostView>,
}

/// The highest peak of an hour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PeakView {
    /// The NIC.
    pub nic: String,
    /// Received or transmitted.
    pub direction: FlowDirection,
    /// As a rate.
    pub bytes_per_second: u64,
    /// Share of the link's speed, where it has one; 1 is full.
    pub share: Option<f64>,
    /// Start of the interval in which it was.
    pub time: Time,
    /// Length of that interval, nanoseconds: a sample, or a minute.
    pub interval_ns: u64,
}

/// Losses of an hour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LostView {
    /// Packets, of all NICs.
    #[schema(value_type = u64)]
    pub packets: Packets,
    /// The NIC of the newest loss.
    pub nic: String,
    /// Start of the interval of the newest loss.
    pub time: Time,
    /// Length of that interval, nanoseconds: a sample, or a minute.
    pub interval_ns: u64,
}

/// One direction of a client's newest samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SumView {
    /// Mean over the newest intervals.
    pub bytes_per_second: f64,
    /// Mean over the newest intervals.
    pub packets_per_second: f64,
    /// Most that any of its NICs carried within 1 ms, as a rate.
    pub peak_1ms_bytes_per_second: u64,
}

impl SumView {
    pub(super) fn add(&mut self, rate: &RateView) {
        self.bytes_per_second += rate.bytes_per_second;
        self.packets_per_second += rate.packets_per_second;
        self.peak_1ms_bytes_per_second =
            self.peak_1ms_bytes_per_second.max(rate.peak_1ms_bytes_per_second);
    }

    /// The same without digits that nobody can read, which a thousand clients would send twice a
    /// second.
    pub(super) fn rounded(self) -> Self {
        let rounded = |rate: f64| (rate * 1e3).round() / 1e3;
        let [bytes_per_second, packets_per_second] =
            [self.bytes_per_second, self.packets_per_second].map(rounded);
        Self { bytes_per_second, packets_per_second, ..self }
    }
}

/// What one NIC carried in one interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PointView {
    /// Start of the interval, by the client's clock.
    pub time: Time,
    /// How much of the time from `time` on was measured, nanoseconds. Bytes over this is the mean
    /// rate.
    pub interval_ns: u64,
    /// Received.
    pub rx: CountsView,
    /// Transmitted.
    pub tx: CountsView,
    /// Packets dropped because the ring was full, both directions; no other figure includes them.
    #[schema(value_type = u64)]
    pub drops: Packets,
    /// What else is to be known.
    pub flags: Vec<Cow<'static, str>>,
}

/// One direction of a point, on the wire: without FCS, preamble and inter-packet gap.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CountsView {
    /// Bytes.
    #[schema(value_type = u64)]
    pub bytes: Bytes,
    /// Packets.
    #[schema(value_type = u64)]
    pub packets: Packets,
    /// Packets as the tap saw them: under offload fewer than on the wire.
    #[schema(value_type = u64)]
    pub captured: Packets,
    /// Most bytes within any 1 ms.
    pub peak_1ms_bytes: u32,
    /// Most bytes within any 10 ms.
    pub peak_10ms_bytes: u32,
}

impl From<&Sample> for PointView {
    fn from(sample: &Sample) -> Self {
        Self {
            time: Time(sample.start_ns),
            interval_ns: sample.interval_ns,
            rx: (&sample.rx).into(),
            tx: (&sample.tx).into(),
            drops: sample.drops,
            flags: names(sample.flags),
        }
    }
}

impl From<&Counts> for CountsView {
    fn from(counts: &Counts) -> Self {
        let Counts { bytes, packets, captured, peak_1ms_bytes, peak_10ms_bytes, .. } = *counts;
        Self { bytes, packets, captured, peak_1ms_bytes, peak_10ms_bytes }
    }
}

/// The names of flags that are set.
pub fn names(flags: u32) -> Vec<Cow<'static, str>> {
    flags::names(flags).into_iter().map(Cow::Borrowed).collect()
}

/// Facts about a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostView {
    /// Version of the agent.
    pub agent_version: String,
    /// Name of the operating system.
    pub os: String,
    /// Release of the kernel.
    pub kernel: String,
    /// Number of CPUs online.
    pub cpus: u32,
    /// Length of a sample interval, nanoseconds.
    pub sample_interval_ns: u64,
}

impl From<&Host> for HostView {
    fn from(host: &Host) -> Self {
        Self {
            agent_version: host.agent_version.clone(),
            os: host.os.clone(),
            kernel: host.kernel.clone(),
            cpus: host.cpus,
            sample_interval_ns: host.sample_interval_ns,
        }
    }
}

/// A NIC as it is this moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NicView {
    /// Its name.
    pub nic: String,
    /// What it is: `physical`, `bond`, ...; empty until its client has sent it.
    pub kind: String,
    /// Link speed, 0 where unknown, and of virtual NICs, whose speed is nominal.
    pub speed_bits_per_second: u64,
    /// Not part of a host's total: another NIC carries the same bytes.
    pub stacked: bool,
    /// Operationally up, by its client's newest inventory.
    pub up: bool,
    /// Totals that only grow.
    pub total: Totals,
    /// When they began at zero, by the collector's clock, if that is known.
    #[serde(skip)]
    pub counted_since: Option<Time>,
    /// Packets dropped because the ring was full, a total that only grows.
    #[schema(value_type = u64)]
    pub drops_total: Packets,
    /// Packets counted in a later interval than their own, a total that only grows.
    #[schema(value_type = u64)]
    pub late_total: Packets,
    /// Packets counted as captured though they are or may be super-packets, a total that only
    /// grows.
    #[schema(value_type = u64)]
    pub inexact_total: Packets,
    /// What it carried last.
    pub sample: Option<SampleView>,
}

/// What a NIC carried in one interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SampleView {
    /// Start of the interval, by the client's clock.
    pub time: Time,
    /// Length of the interval, nanoseconds.
    pub interval_ns: u64,
    /// When it arrived, by the collector's clock.
    pub observed: Time,
    /// Received.
    pub rx: RateView,
    /// Transmitted.
    pub tx: RateView,
    /// Packets dropped because the ring was full, in this interval.
    #[schema(value_type = u64)]
    pub drops: Packets,
    /// Packets counted here that belong to an earlier interval.
    pub late: u32,
    /// Packets counted as captured though they are or may be super-packets.
    pub inexact: u32,
    /// What else is to be known.
    pub flags: Vec<Cow<'static, str>>,
}

/// One direction of a sample, on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RateView {
    /// Mean over the interval.
    pub bytes_per_second: f64,
    /// Mean over the interval.
    pub packets_per_second: f64,
    /// Mean size of a packet; `None` where there was none.
    pub mean_packet_bytes: Option<f64>,
    /// Most bytes within any 1 ms.
    pub peak_1ms_bytes: u32,
    /// The same as a rate.
    pub peak_1ms_bytes_per_second: u64,
}

impl SampleView {
    pub(super) fn new(sample: &Sample, observed_ns: WallNs) -> Self {
        Self {
            time: Time(sample.start_ns),
            interval_ns: sample.interval_ns,
            observed: Time(observed_ns),
            rx: RateView::new(&sample.rx, sample.interval_ns),
            tx: RateView::new(&sample.tx, sample.interval_ns),
            drops: sample.drops,
            late: sample.late,
            inexact: sample.inexact,
            flags: names(sample.flags),
        }
    }
}

impl RateView {
    #[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
    fn new(counts: &Counts, interval_ns: u64) -> Self {
        let (bytes, packets) = (counts.bytes.as_f64(), counts.packets.as_f64());
        let seconds = interval_ns.max(1) as f64 / 1e9;
        Self {
            bytes_per_second: bytes / seconds,
            packets_per_second: packets / seconds,
            mean_packet_bytes: (counts.packets > Packets(0)).then(|| bytes / packets),
            peak_1ms_bytes: counts.peak_1ms_bytes,
            peak_1ms_bytes_per_second: u64::from(counts.peak_1ms_bytes) * 1000,
        }
    }
}
