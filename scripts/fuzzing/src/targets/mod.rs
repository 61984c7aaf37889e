//! The targets, each in a file of its name.
//!
//! These have no target here: JSON from a collector in `top` (serde_json, typed), QUIC and TLS
//! handshakes (quinn, rustls), SQLite's files and PostgreSQL's protocol (their libraries), and
//! `machine-id`, `os-release` and other system files that are read line by line.

mod agent_config;
mod block;
mod certificate;
mod codec;
mod collector_config;
mod database_url;
mod delivery;
mod frame;
mod http;
mod live;
mod message;
mod net_dev;
mod netlink;
mod packed;
mod packet;
mod pem;
mod records;
mod spool;
mod stretch;
mod support;
mod token;
mod token_records;
mod values;

use crate::target::Target;

/// Every decoder of foreign bytes.
pub const TARGETS: &[Target] = &[
    codec::TARGET,
    frame::TARGET,
    packed::TARGET,
    message::TARGET,
    delivery::TARGET,
    token::TARGET,
    token_records::TARGET,
    certificate::TARGET,
    pem::TARGET,
    packet::TARGET,
    block::TARGET,
    netlink::TARGET,
    net_dev::TARGET,
    http::TARGET,
    spool::TARGET,
    stretch::TARGET,
    live::TARGET,
    records::TARGET,
    agent_config::TARGET,
    collector_config::TARGET,
    database_url::TARGET,
    values::TARGET,
];

/// Finds a target by name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
