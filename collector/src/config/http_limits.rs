//! Section `http.limits`: limits on connections, queries and streams of the web server.

use serde::{Deserialize, Serialize};
use settings::{Interval, Problem};

use crate::web::WebLimits;

/// Section `http.limits`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpLimits {
    /// Most open connections; 8 to 65,536.
    pub connections: usize,
    /// Most open connections per address.
    pub connections_per_address: usize,
    /// Longest time for TLS and the head of a request; 1 s to 10 min, like all times here.
    pub header_time: Interval,
    /// Longest time for the body of a request.
    pub body_time: Interval,
    /// Longest time between two requests of a connection.
    pub idle_time: Interval,
    /// Longest time that written data may wait for a slow reader.
    pub send_time: Interval,
    /// Most queries that the store answers at once; 1 to 4.
    pub queries: usize,
    /// Of these, queries of one address.
    pub queries_per_address: usize,
    /// Most queries that wait; 0 to 65,536.
    pub queries_waiting: usize,
    /// Of these, queries of one address.
    pub queries_waiting_per_address: usize,
    /// Longest time for a query, including its wait.
    pub query_time: Interval,
    /// Most open live streams; 1 to 65,536.
    pub streams: usize,
    /// Most open live streams per address.
    pub streams_per_address: usize,
    /// Most failed sign-ins per minute; 1 to 1,000,000.
    pub failed_sign_ins: u32,
    /// Most failed sign-ins per minute and address.
    pub failed_sign_ins_per_address: u32,
}

impl Default for HttpLimits {
    fn default() -> Self {
        let limits = WebLimits::default();
        Self {
            connections: limits.connections,
            connections_per_address: limits.connections_per_address,
            header_time: Interval(limits.header_time),
            body_time: Interval(limits.body_time),
            idle_time: Interval(limits.idle_time),
            send_time: Interval(limits.send_time),
            queries: limits.queries,
            queries_per_address: limits.queries_per_address,
            queries_waiting: limits.queries_waiting,
            queries_waiting_per_address: limits.queries_waiting_per_address,
            query_time: Interval(limits.query_time),
            streams: limits.streams,
            streams_per_address: limits.streams_per_address,
            failed_sign_ins: limits.failed_sign_ins,
            failed_sign_ins_per_address: limits.failed_sign_ins_per_address,
        }
    }
}

impl HttpLimits {
    /// The limits, in the web server's form.
    #[must_use]
    pub const fn limits(&self) -> WebLimits {
        WebLimits {
            connections: self.connections,
            connections_per_address: self.connections_per_address,
            header_time: self.header_time.0,
            body_time: self.body_time.0,
            idle_time: self.idle_time.0,
            send_time: self.send_time.0,
            queries: self.queries,
            queries_per_address: self.queries_per_address,
            queries_waiting: self.queries_waiting,
            queries_waiting_per_address: self.queries_waiting_per_address,
            query_time: self.query_time.0,
            streams: self.streams,
            streams_per_address: self.streams_per_address,
            failed_sign_ins: self.failed_sign_ins,
            failed_sign_ins_per_address: self.failed_sign_ins_per_address,
        }
    }

    pub(super) fn check(&self) -> Result<(), Problem> {
        const MANY: usize = 65_536;
        for (key, value, least, most) in [
            ("http.limits.connections", self.connections, 8, MANY),
            ("http.limits.connections_per_address", self.connections_per_address, 4, MANY),
            ("http.limits.queries", self.queries, 1, 4),
            ("http.limits.queries_per_address", self.queries_per_address, 1, 4),
            ("http.limits.queries_waiting", self.queries_waiting, 0, MANY),
            ("http.limits.queries_waiting_per_address", self.queries_waiting_per_address, 0, MANY),
            ("http.limits.streams", self.streams, 1, MANY),
            ("http.limits.streams_per_address", self.streams_per_address, 1, MANY),
        ] {
            Problem::unless_within(key, &value, &(least..=most))?;
        }
        for (key, value) in [
            ("http.limits.failed_sign_ins", self.failed_sign_ins),
            ("http.limits.failed_sign_ins_per_address", self.failed_sign_ins_per_address),
        ] {
            Problem::unless_within(key, &value, &(1..=1_000_000))?;
        }
        let times = Interval::secs(1)..=Interval::secs(600);
        for (key, value) in [
            ("http.limits.header_time", &self.header_time),
            ("http.limits.body_time", &self.body_time),
            ("http.limits.idle_time", &self.idle_time),
            ("http.limits.send_time", &self.send_time),
            ("http.limits.query_time", &self.query_time),
        ] {
            Problem::unless_within(key, value, &times)?;
        }
        Ok(())
    }
}
