//! What is asked: whose the traffic of a talker was, and which sockets may have had it.

use std::net::SocketAddr;

use wire::talkers::KeyKind;

use super::diag::{Socket, TCP, UDP};
use crate::talkers::{SeenSockets, SocketPair};

/// Whose the traffic between two ends was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnerQuestion {
    protocol: u8,
    local: SocketAddr,
    remote: SocketAddr,
    /// Other flows of the same remote address and service too.
    several: bool,
    /// The service is this host's.
    serves: bool,
}

impl OwnerQuestion {
    /// The question about a talker, by the kind of its key ([`KeyKind`]); `None` if no socket can be
    /// told.
    #[must_use]
    pub fn of(kind: u8, seen: SeenSockets) -> Option<Self> {
        let (flow, several) = match seen {
            SeenSockets::Nothing => return None,
            SeenSockets::One(flow) => (flow, false),
            SeenSockets::Several(flow) => (flow, true),
        };
        let serves = match KeyKind::of(kind)? {
            KeyKind::LocalService => true,
            KeyKind::RemoteService => false,
            _ => return None,
        };
        let plain = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
        let SocketPair { protocol, local, remote } = flow;
        let (local, remote) = (plain(local), plain(remote));
        // The sockets that sent datagrams to a service can't be listed: only some are connected to it.
        let can_be_asked = protocol == TCP || (protocol == UDP && (serves || !several));
        can_be_asked.then_some(Self { protocol, local, remote, several, serves })
    }

    /// Whether only a walk over all connections of the host finds the sockets.
    #[must_use]
    pub const fn needs_walk(&self) -> bool {
        self.is_tcp() && self.several
    }

    /// The question's ends, if it is about one TCP connection.
    #[must_use]
    pub fn connection(&self) -> Option<(SocketAddr, SocketAddr)> {
        (self.protocol == TCP && !self.several).then_some((self.local, self.remote))
    }

    /// The protocol number of IP.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// True if it is about more flows than the one at these ends.
    #[must_use]
    pub const fn is_several(&self) -> bool {
        self.several
    }

    /// True if it is about TCP.
    #[must_use]
    pub const fn is_tcp(&self) -> bool {
        self.protocol == TCP
    }

    /// The port of this host's service, if it is one's.
    #[must_use]
    pub fn served_port(&self) -> Option<u16> {
        self.serves.then(|| self.local.port())
    }

    /// The example's ends.
    #[must_use]
    pub const fn ends(&self) -> (SocketAddr, SocketAddr) {
        (self.local, self.remote)
    }

    /// Whether a socket may have had the traffic asked for. Of a connection that was aborted the kernel
    /// has forgotten the remote port, and the local address unless it was bound.
    #[must_use]
    pub fn concerns(&self, socket: &Socket) -> bool {
        let Self { protocol, local, remote, several, serves } = self;
        let is_port = socket.local.port() == local.port();
        let address = socket.local.ip();
        let here = match (several, serves) {
            (true, false) => true,
            (true, true) => is_port,
            (false, _) => is_port && (address.is_unspecified() || address == local.ip()),
        };
        let (address, port) = (socket.remote.ip(), socket.remote.port());
        let there = if address.is_unspecified() {
            *protocol == UDP || !several
        } else {
            address == remote.ip() && (port == remote.port() || port == 0 || (*several && *serves))
        };
        socket.protocol.is_none_or(|other| other == *protocol) && here && there
    }

    /// Whether a socket that listens, or did, may have accepted the connections asked for.
    #[must_use]
    pub fn is_accepted_by(&self, listener: &Socket) -> bool {
        let is_tcp = listener.protocol.is_none_or(|protocol| protocol == TCP);
        let address = listener.local.ip();
        let family = self.local.is_ipv4() || address.is_ipv6();
        let place = self.several || address.is_unspecified() || address == self.local.ip();
        is_tcp
            && self.serves
            && listener.local.port() == self.local.port()
            && listener.remote.ip().is_unspecified()
            && (self.several || family)
            && place
    }
}

/// The sockets that are there now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Present {
    /// Those that have the traffic asked for.
    pub sockets: Vec<Socket>,
    /// Those that accept its connections.
    pub listeners: Vec<Socket>,
}
