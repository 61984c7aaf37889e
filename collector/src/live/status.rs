//! What alerts know of a client.

use wire::WallNs;
use wire::id::ClientId;

/// A client as alerts see it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientStatus {
    /// Its id.
    pub client: ClientId,
    /// True while it is connected, to this collector or another of the same store.
    pub up: bool,
    /// Another collector of the same store heard from it last.
    pub elsewhere: bool,
    /// When it was last heard from, nanoseconds since 1970 (UTC).
    pub last_seen_ns: WallNs,
    /// By how much its clock is ahead of the collector's, nanoseconds, if it is connected here from
    /// another host and this is known.
    pub clock_offset_ns: Option<i64>,
    /// When the certificate expires that it is connected here with, seconds since 1970 (UTC).
    pub certificate_end_s: Option<u64>,
    /// Bytes per second, received and transmitted, if it is connected here and has sent samples.
    pub rates: Option<[f64; 2]>,
}
