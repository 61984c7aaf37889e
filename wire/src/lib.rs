//! What travels between agent and collector: frames, messages, their codec, and the two ends of
//! the delivery window. No I/O, no async, no clock: times are arguments.

pub mod coarsen;
pub mod codec;
pub mod delivery;
pub mod frame;
pub mod id;
pub mod message;

/// The QUIC application protocol (ALPN) of measurements and control.
pub const ALPN: &[u8] = b"netmon/1";

/// The QUIC application protocol (ALPN) by which a host with a token gets its certificate.
pub const ALPN_ENROLL: &[u8] = b"netmon-enroll/1";
