//! Series: the traffic of one NIC over a time range.

use wire::{Bytes, Packets, WallNs};

/// The table that points are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// `bandwidth_stats`: the samples themselves.
    Raw,
    /// `bandwidth_1m`.
    Minute,
    /// `bandwidth_5m`.
    FiveMinutes,
}

/// A NIC and a time range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NicRange {
    /// The client.
    pub client: String,
    /// The NIC.
    pub nic: String,
    /// First start of an interval, nanoseconds since 1970 (UTC).
    pub from_ns: WallNs,
    /// Intervals that start here or later are left out.
    pub to_ns: WallNs,
}

/// A client and a time range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientRange {
    /// The client.
    pub client: String,
    /// First start of an interval, nanoseconds since 1970 (UTC).
    pub from_ns: WallNs,
    /// Intervals that start here or later are left out.
    pub to_ns: WallNs,
}

/// What one NIC of a client carried, minute by minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMinutes {
    /// The client.
    pub client: String,
    /// The NIC.
    pub nic: String,
    /// Rows of `bandwidth_1m`, oldest first.
    pub minutes: Vec<Point>,
}

/// The request for a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesRange {
    /// The client.
    pub client: String,
    /// The NIC.
    pub nic: String,
    /// First start of an interval, nanoseconds since 1970 (UTC).
    pub from_ns: WallNs,
    /// Intervals that start here or later are left out.
    pub to_ns: WallNs,
    /// Most points to return, at least 1.
    pub limit: usize,
    /// `None`: the finest resolution with few enough rows for the range.
    pub resolution: Option<Resolution>,
}

/// The traffic of one NIC over a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// The source of the points.
    pub resolution: Resolution,
    /// The points, oldest first. Time without points was not measured.
    pub points: Vec<Point>,
}

/// The traffic of one NIC in one interval.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Point {
    /// Start, nanoseconds since 1970 (UTC).
    pub start_ns: WallNs,
    /// Measured time from `start_ns` on, nanoseconds: the length of a sample, or the sum of lengths of
    /// merged samples. Bytes divided by this is the mean rate.
    pub interval_ns: u64,
    /// Received.
    pub rx: PointCounts,
    /// Transmitted.
    pub tx: PointCounts,
    /// Packets dropped because the ring was full, both directions.
    pub drops: Packets,
    /// Bits of [`wire::frame::flags`].
    pub flags: u32,
}

/// One direction of a point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PointCounts {
    /// Bytes on the wire.
    pub bytes: Bytes,
    /// Packets on the wire.
    pub packets: Packets,
    /// Packets as the tap saw them.
    pub captured: Packets,
    /// Most bytes within any 1 ms.
    pub peak_1ms_bytes: u32,
    /// Most bytes within any 10 ms.
    pub peak_10ms_bytes: u32,
}
