//! Socket pairs: which sockets of this host a talker's traffic belongs to.

use std::net::SocketAddr;

/// Both ends of a connection of this host, or of an exchange of datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SocketPair {
    /// Protocol number of IP: TCP (6) or UDP (17).
    pub protocol: u8,
    /// The end at this host.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
}

/// The socket pairs that were seen of a talker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SeenSockets {
    /// None that a socket of this host could have: forwarded traffic, or another protocol.
    #[default]
    Nothing,
    /// Only this one.
    One(SocketPair),
    /// This one and others.
    Several(SocketPair),
}
