//! What is read from a store: clients, their NICs, and what those carried.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use wire::frame::Mix;
use wire::message::{Host, Nic};

use super::StoreError;
use super::history::Event;
use super::percentile::Percentile;
use crate::time::rough;

/// Reading from a store. Every store answers the same questions in the same way.
#[async_trait]
pub trait Query: Send + Sync + Debug {
    /// Every client that ever opened its sessions here and was not forgotten, by id.
    async fn clients(&self) -> Result<Vec<Client>, StoreError>;

    /// What one NIC carried over a range, oldest first. At most `limit` points: where there are
    /// more, neighbours are put together (sums conserved, peaks as maxima).
    async fn series(&self, range: &SeriesRange) -> Result<Series, StoreError>;

    /// The 95th percentile of what one NIC, or a client, carried over a range, from
    /// `bandwidth_5m`. Limits need not be those of an interval.
    async fn percentile(&self, range: &PercentileRange) -> Result<Percentile, StoreError>;

    /// What the traffic of one NIC was made of, over the mix intervals that start in a range:
    /// exact sums, and as length the time they cover.
    async fn mix(&self, range: &NicRange) -> Result<Mix, StoreError>;

    /// What happened to one NIC and its client in a range, the newest of it, oldest first.
    async fn events(&self, range: &NicRange, limit: usize) -> Result<Vec<Event>, StoreError>;

    /// Whether the store answers at all.
    async fn ready(&self) -> Result<(), StoreError>;

    /// For how long a question that was broken off or failed still takes what answers others.
    fn rest(&self) -> Duration {
        Duration::ZERO
    }
}

/// A client as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its id.
    pub client: String,
    /// What its operator calls it.
    pub alias: String,
    /// When it first connected, nanoseconds since 1970 (UTC).
    pub created_ns: u64,
    /// When something of it was last committed or it last connected, nanoseconds since 1970 (UTC).
    pub last_seen_ns: u64,
    /// Facts about the host, as last told.
    pub host: Host,
    /// By how much its clock is ahead of the collector's, nanoseconds, of its newest session.
    pub clock_offset_ns: Option<i64>,
    /// Its NICs, as last told.
    pub nics: Vec<Nic>,
}

/// A client of which no collector has heard for so long is down: that it was heard of is noted
/// every 10 s, and a report may come late.
const DOWN: Duration = Duration::from_secs(30);

impl Client {
    /// For how long it has been down, if it is, at `now_ns`, nanoseconds since 1970 (UTC).
    #[must_use]
    pub fn down_for(&self, now_ns: u64) -> Option<Duration> {
        let silent = Duration::from_nanos(now_ns.saturating_sub(self.last_seen_ns));
        (silent > DOWN).then_some(silent)
    }

    /// By how much its clock differs from the collector's, for people, where that is more than a
    /// sample lasts.
    #[must_use]
    pub fn clock_apart(&self) -> Option<String> {
        let offset_ns = self.clock_offset_ns?;
        let apart_ns = offset_ns.unsigned_abs();
        let side = if offset_ns > 0 { "ahead" } else { "behind" };
        let apart = rough(Duration::from_nanos(apart_ns));
        (apart_ns > self.host.sample_interval_ns).then(|| format!("{apart} {side}"))
    }
}

/// From which table points are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// `bandwidth_stats`: the samples themselves.
    Raw,
    /// `bandwidth_1m`.
    Minute,
    /// `bandwidth_5m`.
    FiveMinutes,
}

/// A NIC and a range of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NicRange {
    /// Whose.
    pub client: String,
    /// Which NIC.
    pub nic: String,
    /// First start of an interval, nanoseconds since 1970 (UTC).
    pub from_ns: u64,
    /// Intervals that start here or later are left out.
    pub to_ns: u64,
}

/// A NIC or a client, and a range of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PercentileRange {
    /// Whose.
    pub client: String,
    /// Which NIC; `None`: all together that count in the client's total.
    pub nic: Option<String>,
    /// Intervals that start earlier are left out, nanoseconds since 1970 (UTC).
    pub from_ns: u64,
    /// Intervals that end later are left out.
    pub to_ns: u64,
}

/// What of a series is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesRange {
    /// Whose.
    pub client: String,
    /// Which NIC.
    pub nic: String,
    /// First start of an interval, nanoseconds since 1970 (UTC).
    pub from_ns: u64,
    /// Intervals that start here or later are left out.
    pub to_ns: u64,
    /// Most points to give, at least 1.
    pub limit: usize,
    /// `None`: the finest that has few enough rows for the range.
    pub resolution: Option<Resolution>,
}

/// What one NIC carried over a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Where the points come from.
    pub resolution: Resolution,
    /// The points, oldest first. Time that no point covers was not measured.
    pub points: Vec<Point>,
}

/// What one NIC carried in one interval.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Point {
    /// Start, nanoseconds since 1970 (UTC).
    pub start_ns: u64,
    /// How much of the time from `start_ns` on was measured, nanoseconds: the length of a sample,
    /// or the sum of lengths where samples were put together. Bytes over this is the mean rate.
    pub interval_ns: u64,
    /// Received.
    pub rx: PointCounts,
    /// Transmitted.
    pub tx: PointCounts,
    /// Packets the ring had no room for, both directions.
    pub drops: u64,
    /// Bits of [`wire::frame::flags`].
    pub flags: u32,
}

/// One direction of a point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PointCounts {
    /// Bytes on the wire.
    pub bytes: u64,
    /// Packets on the wire.
    pub packets: u64,
    /// Packets as the tap saw them.
    pub captured: u64,
    /// Most bytes within any 1 ms.
    pub peak_1ms_bytes: u32,
    /// Most bytes within any 10 ms.
    pub peak_10ms_bytes: u32,
}
