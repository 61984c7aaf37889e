//! Admits or refuses connections, and logs refusals.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use quinn::{Connection, ConnectionError};
use settings::{InFull, SharedFailures};

use super::own::Identity;
use super::peer::{CLOSE_REFUSED, Peer, PeerError, count_reject, peer};
use crate::listen::canonical;

/// TLS alerts start here among QUIC's transport error codes (RFC 9001, section 4.8).
const ALERTS: u64 = 0x100;

impl Identity {
    /// Identifies the other end of a connection. If it is refused, closes the connection with the
    /// reason, counts and logs it.
    ///
    /// # Errors
    /// [`PeerError`] is the text sent to the other end.
    pub fn admit(&self, connection: &Connection, now: Instant) -> Result<Peer, PeerError> {
        let admitted = peer(connection).and_then(|peer| match peer {
            Peer::Agent(agent) if self.is_revoked(&agent, now) => {
                Err(PeerError::Revoked(agent.client))
            }
            peer => Ok(peer),
        });
        if let Err(error) = &admitted {
            refuse(canonical(connection.remote_address()), error.reason(), &error.in_full());
            connection.close(CLOSE_REFUSED.into(), error.in_full().to_string().as_bytes());
        }
        if let Ok(Peer::Agent(_)) = &admitted {
            let ip = canonical(connection.remote_address()).ip();
            REFUSED.succeeded_for(|(address, _)| *address == ip);
        }
        admitted
    }
}

/// Refusals by address and kind. Rate-limits the log, because a refused host retries forever.
static REFUSED: SharedFailures<(IpAddr, &'static str)> = SharedFailures::new();

/// Counts and logs a refused connection.
fn refuse(address: SocketAddr, kind: &'static str, reason: &dyn std::fmt::Display) {
    count_reject(kind);
    match REFUSED.failed((address.ip(), kind), Instant::now()) {
        Some(tell) => tracing::warn!(%address, %reason, "refused a connection{tell}"),
        None => tracing::debug!(%address, %reason, "refused a connection, still"),
    }
}

/// Counts and logs a handshake that failed because of the client's certificate or protocol. Ignores
/// others, such as timeouts.
pub fn on_handshake_error(address: SocketAddr, error: &ConnectionError) {
    let ConnectionError::TransportError(error) = error else { return };
    let Some(alert) = u64::from(error.code).checked_sub(ALERTS) else { return };
    let kind = match alert {
        45 => "expired_certificate",
        48 => "unknown_ca",
        120 => "unknown_protocol",
        _ => "bad_certificate",
    };
    refuse(address, kind, &error.reason);
}
