//! This host's own addresses, and the TCP ports on which it listens.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use netlink_sys::protocols::{NETLINK_ROUTE, NETLINK_SOCK_DIAG};

use super::netlink::Netlink;
use super::rtnetlink::RawMessage;

/// Access to the kernel's lists of addresses and of listening sockets, of this network namespace.
#[derive(Debug)]
pub struct OwnEnds {
    addresses: Netlink<RawMessage>,
    /// `None` where the system has no such socket.
    sockets: Option<Netlink<RawMessage>>,
    patience: Duration,
}

impl OwnEnds {
    /// Opens netlink sockets that wait at most so long for each part of an answer: the kernel answers at
    /// once, unless somebody keeps `rtnl_lock`.
    ///
    /// # Errors
    /// If the system provides none for addresses.
    pub fn open(patience: Duration) -> io::Result<Self> {
        let sockets = open(NETLINK_SOCK_DIAG, patience).ok();
        Ok(Self { addresses: open(NETLINK_ROUTE, patience)?, sockets, patience })
    }

    /// The same with another patience.
    ///
    /// # Errors
    /// If a socket refuses that.
    pub fn with_patience(mut self, patience: Duration) -> io::Result<Self> {
        self.addresses.set_patience(patience)?;
        if let Some(sockets) = &mut self.sockets {
            sockets.set_patience(patience)?;
        }
        Ok(Self { patience, ..self })
    }

    /// The addresses of all NICs.
    ///
    /// # Errors
    /// If the kernel refuses. A change during the dump is told by an event.
    pub fn addresses(&mut self) -> io::Result<Vec<IpAddr>> {
        let mut addresses = Vec::new();
        let done = self.addresses.dump(RawMessage::get_addresses(), |message| {
            addresses.extend(message.address());
        });
        if done.is_err() {
            // The rest of the answer is dropped with the socket.
            self.addresses = open(NETLINK_ROUTE, self.patience)?;
        }
        done.map(|_whole| addresses)
    }

    /// The TCP ports that are listened on. The kernel looks at its listening sockets only, however many
    /// connections there are (`inet_diag_dump_icsk`).
    ///
    /// # Errors
    /// If the kernel refuses, or has no list: then it is not asked again.
    pub fn listening(&mut self) -> io::Result<Vec<u16>> {
        let ports = self.list_listening();
        match &ports {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.sockets = None,
            Err(_) if self.sockets.is_some() => {
                self.sockets = Some(open(NETLINK_SOCK_DIAG, self.patience)?);
            }
            _ => {}
        }
        ports
    }

    fn list_listening(&mut self) -> io::Result<Vec<u16>> {
        let sockets = self.sockets.as_mut();
        let sockets = sockets.ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
        let mut ports = Vec::new();
        for family in [RawMessage::INET, RawMessage::INET6] {
            sockets.dump(RawMessage::get_listening(family), |message| {
                ports.extend(message.source_port());
            })?;
        }
        Ok(ports)
    }
}

fn open(protocol: isize, patience: Duration) -> io::Result<Netlink<RawMessage>> {
    let mut netlink = Netlink::open(protocol)?;
    netlink.set_patience(patience)?;
    Ok(netlink)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};

    use super::*;

    #[test]
    fn the_kernel_says_which_addresses_and_listening_ports_are_this_hosts() {
        let four = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let six = TcpListener::bind((Ipv6Addr::LOCALHOST, 0));
        let mut own = OwnEnds::open(Duration::from_secs(2)).unwrap();
        assert!(own.addresses().unwrap().contains(&Ipv4Addr::LOCALHOST.into()));
        let listening = own.listening().unwrap();
        for listener in std::iter::once(&four).chain(&six) {
            assert!(listening.contains(&listener.local_addr().unwrap().port()));
        }
        let port = four.local_addr().unwrap().port();
        drop(four);
        assert!(!own.listening().unwrap().contains(&port));
    }
}
