//! Limits of simultaneous use and of time: `http.limits`.

use std::time::Duration;

use crate::metrics::HTTP_REFUSED;

/// Labels of refusals: the limit's name, or what the request lacks.
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

/// The limits. An address is an IPv4 address or an IPv6 /64; behind a proxy, the user or address that
/// the proxy names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebLimits {
    /// Open connections.
    pub connections: usize,
    /// Open connections of one address.
    pub connections_per_address: usize,
    /// Longest time for TLS and the head of a request.
    pub header_time: Duration,
    /// Longest time for the body of a request.
    pub body_time: Duration,
    /// Longest time between two requests of a connection.
    pub idle_time: Duration,
    /// Longest time until written data is sent.
    pub send_time: Duration,
    /// Queries that the store answers at once.
    pub queries: usize,
    /// Queries of one address that the store answers at once.
    pub queries_per_address: usize,
    /// Waiting queries.
    pub queries_waiting: usize,
    /// Waiting queries of one address.
    pub queries_waiting_per_address: usize,
    /// Longest time of a query, including its wait.
    pub query_time: Duration,
    /// Open live streams.
    pub streams: usize,
    /// Open live streams of one address.
    pub streams_per_address: usize,
    /// Failed sign-ins within a minute; beyond that, each address has a few attempts.
    pub failed_sign_ins: u32,
    /// Failed sign-ins of one address within a minute.
    pub failed_sign_ins_per_address: u32,
}

impl Default for WebLimits {
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

/// Counts a refusal or an abort.
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
