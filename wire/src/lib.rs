//! The wire format between agent and collector: frames, messages, their codec, and the two ends of the
//! delivery window. Also tokens, certificates and their files, which both ends need. No async and no
//! clock: times are arguments. Only `private_file` and `permission` do I/O.

#![forbid(unsafe_code)]

pub mod advice;
pub mod amount;
pub mod bounds;
pub mod causes;
pub mod certificate;
pub mod coarsen;
pub mod codec;
pub mod delivery;
pub mod flags;
pub mod frame;
mod gap;
pub mod id;
pub mod kind;
pub mod message;
mod number;
pub mod pack;
pub mod pem;
pub mod permission;
pub mod predict;
pub mod private_file;
pub mod seq;
pub mod tag;
pub mod talker_sums;
pub mod talkers;
pub mod time;
pub mod token;
pub mod well_known;

pub use amount::{Bytes, Packets};
pub use seq::Seq;
pub use time::{BootNs, WallNs};

/// The QUIC application protocol (ALPN) of measurements and control.
pub const ALPN: &[u8] = b"netmon/3";

/// The same, of programs that acknowledge live frames one by one, or expect it: see
/// [`delivery::AckPace`].
pub const ALPN_2: &[u8] = b"netmon/2";

/// The same as [`ALPN_2`], of programs that don't know talkers.
pub const ALPN_1: &[u8] = b"netmon/1";

/// How live records are acknowledged by an application protocol.
#[must_use]
pub fn ack_pace(alpn: &[u8]) -> delivery::AckPace {
    if alpn == ALPN { delivery::AckPace::Joined } else { delivery::AckPace::Prompt }
}

/// The QUIC application protocol (ALPN) for exchanging a token for a certificate.
pub const ALPN_ENROLL: &[u8] = b"netmon-enroll/1";
