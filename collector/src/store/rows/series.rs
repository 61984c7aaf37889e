//! Series: what one NIC carried over a range of time.

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
