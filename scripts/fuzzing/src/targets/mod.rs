//! The targets, each in a file of its name.
//!
//! No target of their own have: JSON of a collector at `top` (serde_json, typed), QUIC and TLS
//! handshakes (quinn, rustls), SQLite's files and PostgreSQL's protocol (their libraries),
//! `machine-id`, `os-release` and other files of the system that are read line by line.

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
mod token;
mod token_records;
mod values;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::Target;

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
    live::TARGET,
    records::TARGET,
    agent_config::TARGET,
    collector_config::TARGET,
    database_url::TARGET,
    values::TARGET,
];

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// A directory of this process, for decoders that read files. Whoever starts it sets `TMPDIR` to a
/// place in memory, and removes that.
fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<tempfile::TempDir> = OnceLock::new();
    DIRECTORY.get_or_init(|| tempfile::tempdir().unwrap()).path()
}

/// Writes a file that only its owner can read, in the place of the one before.
fn file(path: PathBuf, input: &[u8]) -> PathBuf {
    fs::write(&path, input).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}
