//! Whose a flow was: what was seen of sockets, and what follows from it. A flow's traffic in an interval
//! came from the sockets that had the flow then. These are known if no other can have had it:
//! - the socket that has it now had it before the interval began, or
//! - all sockets that closed since then are known, so that none but these and the present ones had it.
//!
//! A connection that was accepted belongs to the cgroup of the socket that listened, so that one stands
//! for connections of this host's service that came and went unseen. Everything else is unattributed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;

use wire::BootNs;
use wire::talkers::{KeyKind, TalkerOwner};

use super::diag::{Socket, TCP, UDP};
use crate::talkers::{SeenSockets, SocketPair};

/// How long sockets are remembered, nanoseconds: more than the minute that a record covers, and the
/// longest sample on top.
const KEPT_NS: u64 = 150_000_000_000;

/// Most sockets remembered, about 200 bytes each. More are unknown.
const KNOWN_MAX: usize = 8192;

/// Most closed sockets remembered, 100 bytes each.
const CLOSED_MAX: usize = 8192;

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

#[derive(Debug)]
struct Known {
    owner: Option<TalkerOwner>,
    ends: (SocketAddr, SocketAddr),
    first_ns: BootNs,
    last_ns: BootNs,
}

/// What was seen of sockets, by cookie: a port that is used again has another.
#[derive(Debug, Default)]
pub struct Book {
    known: HashMap<u64, Known>,
    /// In the order in which they were told, with the time of that.
    closed: VecDeque<(BootNs, Socket)>,
    /// Since when no closed socket was missed.
    watched_ns: BootNs,
}

impl Book {
    /// Notes a socket that is there. `owner` finds out whose, unless that is known.
    pub fn saw(
        &mut self,
        socket: &Socket,
        now_ns: BootNs,
        owner: impl FnOnce() -> Option<TalkerOwner>,
    ) {
        let ends = (socket.local, socket.remote);
        if let Some(known) = self.known.get_mut(&socket.cookie) {
            if known.ends != ends {
                (known.ends, known.first_ns) = (ends, now_ns);
            }
            known.last_ns = now_ns;
            if known.owner.is_none() {
                known.owner = owner();
            }
        } else if self.known.len() < KNOWN_MAX {
            let known = Known { owner: owner(), ends, first_ns: now_ns, last_ns: now_ns };
            self.known.insert(socket.cookie, known);
        }
    }

    /// Notes sockets that have closed.
    pub fn closed(&mut self, sockets: impl IntoIterator<Item = Socket>, now_ns: BootNs) {
        self.closed.extend(sockets.into_iter().map(|socket| (now_ns, socket)));
        while self.closed.len() > CLOSED_MAX {
            if let Some((told_ns, _)) = self.closed.pop_front() {
                self.watched_ns = self.watched_ns.max(told_ns.wrapping_add(1));
            }
        }
    }

    /// Notes that sockets may have closed up to now that nobody told of.
    pub fn missed(&mut self, now_ns: BootNs) {
        self.watched_ns = self.watched_ns.max(now_ns);
    }

    /// Whether datagram sockets of all these ports were told of since a time.
    #[must_use]
    pub fn was_told_of(&self, ports: &[u16], since_ns: BootNs) -> bool {
        let newest = self.closed.iter().rev().take_while(|(told_ns, _)| *told_ns >= since_ns);
        let told: HashSet<u16> = newest
            .filter(|(_, socket)| socket.protocol == Some(UDP))
            .map(|(_, socket)| socket.local.port())
            .collect();
        ports.iter().all(|port| told.contains(port))
    }

    /// Forgets what no record needs any more.
    pub fn forget(&mut self, now_ns: BootNs) {
        let is_old = |then_ns: BootNs| now_ns.saturating_since(then_ns) > KEPT_NS;
        self.known.retain(|_, known| !is_old(known.last_ns));
        while self.closed.front().is_some_and(|(told_ns, _)| is_old(*told_ns)) {
            self.closed.pop_front();
        }
    }

    /// Whose the traffic since a time was, if that is certain, by the sockets that are there now.
    #[must_use]
    pub fn owner(
        &self,
        asked: &OwnerQuestion,
        present: &Present,
        since_ns: BootNs,
    ) -> Option<TalkerOwner> {
        let was_before = |socket: &Socket| {
            self.known.get(&socket.cookie).is_some_and(|known| known.first_ns <= since_ns)
        };
        if asked.connection().is_some()
            && let [socket] = present.sockets[..]
            && was_before(&socket)
        {
            return self.owner_of(&socket);
        }
        let is_watched = self.watched_ns <= since_ns;
        let closed = || {
            let since = self.closed.iter().filter(|(told_ns, _)| *told_ns >= since_ns);
            since.map(|(_, socket)| socket)
        };
        let had: Vec<&Socket> =
            present.sockets.iter().chain(closed().filter(|it| asked.concerns(it))).collect();
        let all_were_before = !asked.is_tcp() && present.sockets.iter().all(was_before);
        let listeners = || present.listeners.iter().map(|socket| self.owner_of(socket));
        if is_watched || all_were_before {
            let owners = had.iter().map(|socket| self.owner_of(socket));
            // Of several connections one at least is missing: half open ones are the listener's.
            let is_whole = !asked.is_tcp() || !asked.several || had.len() > 1;
            let owner = match asked.several {
                true => common(owners.chain(listeners())),
                false => common(owners),
            };
            if owner.is_some() && !had.is_empty() && is_whole {
                return owner;
            }
        }
        // The service's own socket: connections that nobody saw were accepted by it.
        let all_listened = if is_watched {
            !closed().any(|socket| asked.is_accepted_by(socket))
        } else {
            present.listeners.iter().all(was_before)
        };
        if !all_listened || present.listeners.is_empty() {
            return None;
        }
        let seen = had.iter().filter(|socket| self.known.contains_key(&socket.cookie));
        common(listeners().chain(seen.map(|socket| self.owner_of(socket))))
    }

    fn owner_of(&self, socket: &Socket) -> Option<TalkerOwner> {
        self.known.get(&socket.cookie)?.owner.clone()
    }
}

/// The owner that all have; `None` if there are none, or one has none or another. A process is named if
/// it is the same for all.
fn common(mut owners: impl Iterator<Item = Option<TalkerOwner>>) -> Option<TalkerOwner> {
    let mut first = owners.next()??;
    for other in owners {
        let other = other.filter(|it| (it.kind, &it.name) == (first.kind, &first.name))?;
        if other.process != first.process {
            first.process.clear();
        }
    }
    Some(first)
}

#[cfg(test)]
mod tests;
