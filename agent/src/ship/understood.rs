//! What the collector of a connection understands: an older one knows no talkers, and acknowledges live
//! records one by one.

use std::borrow::Cow;
use std::time::Instant;

use quinn::Connection;
use quinn::crypto::rustls::HandshakeData;
use settings::SharedFailures;
use wire::codec;
use wire::delivery::AckPace;

/// Collectors that are too old: each is logged once, then rarely.
static TOO_OLD: SharedFailures<String> = SharedFailures::new();

/// An encoded record as the collector of a connection understands it. An older one gets the same
/// numbers without the talkers, so that the numbers continue.
pub(super) fn understood<'a>(connection: &Connection, record: &'a [u8]) -> Cow<'a, [u8]> {
    if knows_talkers(connection) {
        return record.into();
    }
    let Some(without) = codec::without_talkers(record) else { return record.into() };
    let collector = connection.remote_address().to_string();
    if let Some(tell) = TOO_OLD.failed(collector.clone(), Instant::now()) {
        tracing::warn!(
            collector,
            "this collector is too old to take talkers: they are not stored; upgrade it{tell}"
        );
    }
    without.into()
}

/// How the collector of a connection acknowledges live records.
pub(super) fn ack_pace(connection: &Connection) -> AckPace {
    wire::ack_pace(&protocol(connection))
}

fn knows_talkers(connection: &Connection) -> bool {
    protocol(connection) != wire::ALPN_1
}

/// The application protocol that the collector chose.
fn protocol(connection: &Connection) -> Vec<u8> {
    let handshake = connection.handshake_data().and_then(|it| it.downcast::<HandshakeData>().ok());
    handshake.and_then(|it| it.protocol).unwrap_or_default()
}
