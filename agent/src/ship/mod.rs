//! Shipping: from sampled intervals to records in the collector's database.

pub mod backoff;
pub mod delivery;
pub mod framer;
pub mod recorder;
pub mod shipper;
pub mod spool;

/// Now, nanoseconds since 1970 (UTC).
fn now_ns() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}
