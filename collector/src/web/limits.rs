//! How much of the web side may be in use at once, and for how long: `http.limits`.

use std::time::Duration;

use crate::metrics::HTTP_REFUSED;

/// Why something is refused or ended: the limit's name, or what the request lacks.
const REASONS: [&str; 14] = [
    "connections",
    "connections_per_address",
    "header_time",
    "body_time",
    "send_time",
    "queries",
    "queries_per_address",
    "query_time",
    "streams",
    "streams_per_address",
    "failed_sign_ins",
    "failed_sign_ins_per_address",
    "host",
    "cross_site",
];

/// The limits. An address is one of IPv4, or a /64 of IPv6; behind a proxy, a user or what the
/// proxy tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections that may be open.
    pub connections: usize,
    /// Of these, connections of one address.
    pub connections_per_address: usize,
    /// Longest time for TLS and the head of a request.
    pub header_time: Duration,
    /// Longest time for the body of a request.
    pub body_time: Duration,
    /// Longest time between two requests of a connection.
    pub idle_time: Duration,
    /// Longest time until what was written is taken.
    pub send_time: Duration,
    /// Queries that the store answers at a time.
    pub queries: usize,
    /// Of these, queries of one address.
    pub queries_per_address: usize,
    /// Queries that may wait for their turn.
    pub queries_waiting: usize,
    /// Of these, queries of one address.
    pub queries_waiting_per_address: usize,
    /// Longest time for a query, with its wait.
    pub query_time: Duration,
    /// Live streams that may be open.
    pub streams: usize,
    /// Of these, streams of one address.
    pub streams_per_address: usize,
    /// Sign-ins that may fail within a minute; then each address has a few.
    pub failed_sign_ins: u32,
    /// Of these, sign-ins of one address.
    pub failed_sign_ins_per_address: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            connections_per_address: 128,
            header_time: Duration::from_secs(10),
            body_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(75),
            send_time: Duration::from_secs(30),
            queries: 4,
            queries_per_address: 2,
            queries_waiting: 128,
            queries_waiting_per_address: 32,
            query_time: Duration::from_secs(10),
            streams: 128,
            streams_per_address: 64,
            failed_sign_ins: 100,
            failed_sign_ins_per_address: 10,
        }
    }
}

/// Counts something that was refused or ended.
pub(super) fn refused(reason: &'static str) {
    debug_assert!(REASONS.contains(&reason), "{reason}");
    metrics::counter!(HTTP_REFUSED, "reason" => reason).increment(1);
}

/// Starts the counters at zero, so that the first change shows.
pub(super) fn start_counters() {
    for reason in REASONS {
        metrics::counter!(HTTP_REFUSED, "reason" => reason).increment(0);
    }
}
