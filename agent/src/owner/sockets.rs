//! Asks the kernel for sockets by sock_diag(7): of this network namespace, without any rights.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use nix::errno::Errno;

use super::diag::{self, Filter, Socket, V4, V6};
use crate::nic::netlink::Netlink;
use crate::nic::rtnetlink::RawMessage;

/// Most sockets that one filter may pass: more are not told apart, and reading each takes about 2 µs.
const LISTED_MAX: usize = 512;

/// How long to wait for an answer. The kernel makes it while it takes the request.
const PATIENCE: Duration = Duration::from_millis(100);

/// Access to the kernel's sockets. What was listed is kept until [`Sockets::forget`].
#[derive(Debug)]
pub struct Sockets {
    netlink: Netlink<RawMessage>,
    listed: HashMap<Filter, Option<Vec<Socket>>>,
}

impl Sockets {
    /// Opens it.
    ///
    /// # Errors
    /// If the kernel or a sandbox allows no socket of this kind.
    pub fn open() -> io::Result<Self> {
        Ok(Self { netlink: open()?, listed: HashMap::new() })
    }

    /// The TCP socket of these two ends, or one that listens at the local end.
    ///
    /// # Errors
    /// If the kernel doesn't answer.
    pub fn exactly(&mut self, local: SocketAddr, remote: SocketAddr) -> io::Result<Option<Socket>> {
        match self.netlink.get(diag::exactly(local, remote)) {
            Ok(answer) => Ok(Socket::of(&answer)),
            Err(error) if error.raw_os_error() == Some(Errno::ENOENT as i32) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The sockets that pass a filter; `None` if there are too many.
    ///
    /// # Errors
    /// If the kernel doesn't answer.
    pub fn all(&mut self, filter: Filter) -> io::Result<Option<&[Socket]>> {
        if !self.listed.contains_key(&filter) {
            let found = self.list(&filter)?;
            self.listed.insert(filter, found);
        }
        Ok(self.listed.get(&filter).and_then(Option::as_deref))
    }

    /// Forgets what was listed: the next question is about then.
    pub fn forget(&mut self) {
        self.listed.clear();
    }

    fn list(&mut self, filter: &Filter) -> io::Result<Option<Vec<Socket>>> {
        let mut found = Vec::new();
        // A socket of IPv6 may have IPv4 traffic too.
        for family in [V4, V6] {
            if family == V4 && filter.remote.is_some_and(|remote| remote.is_ipv6()) {
                continue;
            }
            let whole = self.netlink.dump_while(diag::all(family, filter), |answer| {
                found.extend(Socket::of(&answer));
                found.len() <= LISTED_MAX
            })?;
            if !whole {
                // The rest of the answer is dropped with the socket.
                self.netlink = open()?;
                return Ok(None);
            }
        }
        Ok(Some(found))
    }
}

fn open() -> io::Result<Netlink<RawMessage>> {
    let mut netlink = Netlink::open(NETLINK_SOCK_DIAG)?;
    netlink.set_patience(PATIENCE)?;
    Ok(netlink)
}
