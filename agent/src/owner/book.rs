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
use wire::talkers::{OwnerKind, TalkerOwner};

use super::diag::{Socket, UDP};
use super::question::{OwnerQuestion, Present};
use super::shares::{RemoteHost, shares};

/// How long sockets are remembered, nanoseconds: more than the minute that a record covers, and the
/// longest sample on top.
const KEPT_NS: u64 = 150_000_000_000;

/// Most sockets remembered, about 200 bytes each, and most closed ones, 100 bytes each. Of more, each
/// peer keeps the same share ([`shares`]): one with many connections pushes out its own.
const SOCKETS_MAX: usize = 8192;

/// Those that are kept then: so room is made once for many.
const KEPT: usize = SOCKETS_MAX / 8 * 7;

/// How often a process is looked for that has a socket: the first time it may have too many files.
const TRIES: u8 = 3;

#[derive(Debug)]
struct Known {
    owner: Option<TalkerOwner>,
    /// How often it was found out.
    tries: u8,
    ends: (SocketAddr, SocketAddr),
    first_ns: BootNs,
    last_ns: BootNs,
}

impl Known {
    fn is_nameless(&self) -> bool {
        self.owner.as_ref().is_none_or(|owner| owner.process.is_empty() && self.tries < TRIES)
    }
}

/// What was seen of sockets, by cookie: a port that is used again has another.
#[derive(Debug, Default)]
pub struct Book {
    known: HashMap<u64, Known>,
    /// In the order in which they were told, with the time of that.
    closed: VecDeque<(BootNs, Socket)>,
    /// Since when no closed socket was missed.
    watched_ns: BootNs,
    /// Since when no closed socket of a peer was forgotten, and of which protocol.
    forgotten: HashMap<(Option<u8>, RemoteHost), BootNs>,
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
            if known.is_nameless() {
                known.owner = owner().or_else(|| known.owner.take());
                known.tries = known.tries.saturating_add(1);
            }
            return;
        }
        if self.known.len() >= SOCKETS_MAX {
            let all = self.known.iter();
            let kept = shares(
                all.map(|(cookie, it)| (*cookie, RemoteHost::of(it.ends.1), it.last_ns)),
                KEPT,
            );
            self.known.retain(|cookie, _| kept.contains(cookie));
        }
        let known = Known { owner: owner(), tries: 1, ends, first_ns: now_ns, last_ns: now_ns };
        self.known.insert(socket.cookie, known);
    }

    /// Notes sockets that have closed.
    pub fn closed(&mut self, sockets: impl IntoIterator<Item = Socket>, now_ns: BootNs) {
        self.closed.extend(sockets.into_iter().map(|socket| (now_ns, socket)));
        if self.closed.len() > SOCKETS_MAX {
            let all = self.closed.iter().enumerate();
            let kept =
                shares(all.map(|(at, (told, it))| (at, RemoteHost::of(it.remote), *told)), KEPT);
            for (at, (told_ns, socket)) in std::mem::take(&mut self.closed).into_iter().enumerate()
            {
                if kept.contains(&at) {
                    self.closed.push_back((told_ns, socket));
                } else {
                    let of = (socket.protocol, RemoteHost::of(socket.remote));
                    let forgotten = self.forgotten.entry(of).or_default();
                    *forgotten = told_ns.wrapping_add(1).max(*forgotten);
                }
            }
        }
        if self.forgotten.len() > SOCKETS_MAX {
            let latest = self.forgotten.drain().map(|(_, until)| until).max();
            self.missed(latest.unwrap_or_default());
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
        self.forgotten.retain(|_, until| !is_old(*until));
        while self.closed.front().is_some_and(|(told_ns, _)| is_old(*told_ns)) {
            self.closed.pop_front();
        }
    }

    /// Whose the traffic since a time was, if that is certain, by the sockets that are there now.
    /// `is_told`: the kernel has told of all sockets that closed before these were looked for.
    #[must_use]
    pub fn owner(
        &self,
        asked: &OwnerQuestion,
        present: &Present,
        since_ns: BootNs,
        is_told: bool,
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
        let is_watched = is_told && self.has_all_closed(asked, since_ns);
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
            let is_whole = !asked.is_tcp() || !asked.is_several() || had.len() > 1;
            let owner = match asked.is_several() {
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

    /// Whether all sockets are known that closed since a time and may have the traffic asked for, or may
    /// have accepted it: those have its remote end, or none.
    fn has_all_closed(&self, asked: &OwnerQuestion, since_ns: BootNs) -> bool {
        let peers = [RemoteHost::of(asked.ends().1), RemoteHost::NONE];
        let protocols = [Some(asked.protocol()), None];
        let of = protocols.into_iter().flat_map(|protocol| peers.map(|peer| (protocol, peer)));
        let mut forgotten = of.filter_map(|of| self.forgotten.get(&of));
        self.watched_ns <= since_ns && forgotten.all(|until| *until <= since_ns)
    }

    fn owner_of(&self, socket: &Socket) -> Option<TalkerOwner> {
        self.known.get(&socket.cookie)?.owner.clone()
    }
}

/// The owner that all have; `None` if there are none, or one has none or another. A process is named if
/// it is the same for all; several are no owner if nothing else is known.
fn common(mut owners: impl Iterator<Item = Option<TalkerOwner>>) -> Option<TalkerOwner> {
    let mut first = owners.next()??;
    for other in owners {
        let other = other.filter(|it| (it.kind, &it.name) == (first.kind, &first.name))?;
        if other.process != first.process {
            first.process.clear();
        }
    }
    (first.kind != OwnerKind::Process as u8 || !first.process.is_empty()).then_some(first)
}

#[cfg(test)]
mod tests;
