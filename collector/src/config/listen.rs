//! Addresses to listen on.

use settings::Problem;

/// Refuses an invalid listen address.
pub(super) fn check_listen(key: &'static str, host: &str) -> Result<(), Problem> {
    let name = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let sound = !host.is_empty() && host.bytes().all(name);
    Problem::unless(sound || host.parse::<std::net::Ipv6Addr>().is_ok(), key, || {
        format!("{host:?} is no address; write for example 0.0.0.0 or \"::\", without the port")
    })
}
