//! Identity between real ends: the agent's and the collector's, over QUIC on the loopback.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod connections;
mod enrolment;
mod files;
mod operator_pki;
mod renewal;
mod revocation;
mod roll;
mod support;
mod tokens;
