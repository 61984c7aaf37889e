//! Listening sockets. `::` stands for every address of the host, IPv6 and IPv4, regardless of
//! `net.ipv6.bindv6only`; if IPv6 is off, for every IPv4 address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use nix::errno::Errno;
use nix::sys::socket::sockopt::{Ipv6V6Only, ReuseAddr};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket,
};
use tokio::net::TcpListener;

/// Length of the accept queue, as in the standard library.
const WAITING: i32 = 1024;

/// A UDP socket on an address.
///
/// # Errors
/// The system's error.
pub fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    Ok(UdpSocket::from(open(address, SockType::Datagram)?))
}

/// A TCP socket that listens on an address. For a task of tokio.
///
/// # Errors
/// The system's error.
pub fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = open(address, SockType::Stream)?;
    listen(&socket, Backlog::new(WAITING)?)?;
    TcpListener::from_std(socket.into())
}

/// The usual form of an address: an IPv4 peer on a dual-stack socket has an IPv4 address.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn open(address: SocketAddr, kind: SockType) -> io::Result<std::os::fd::OwnedFd> {
    match open_as_is(address, kind) {
        Err(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL) if is_any_v6(address) => {
            let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
            Ok(open_as_is(any, kind)?)
        }
        opened => Ok(opened?),
    }
}

fn is_any_v6(address: SocketAddr) -> bool {
    matches!(address.ip(), IpAddr::V6(any) if any.is_unspecified())
}

fn open_as_is(address: SocketAddr, kind: SockType) -> nix::Result<std::os::fd::OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(family, kind, flags, None)?;
    if is_any_v6(address) {
        setsockopt(&socket, Ipv6V6Only, &false)?;
    }
    if kind == SockType::Stream {
        // Connections left from before a restart must not block the port.
        setsockopt(&socket, ReuseAddr, &true)?;
    }
    bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &SockaddrStorage::from(address))?;
    Ok(socket)
}

/// The unit to which limits per address apply: for IPv6 a network of `bits` bits, because whoever has
/// one address in it has all. An IPv4 address, mapped or not, is its own unit.
#[must_use]
pub fn network(address: IpAddr, bits: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0);
            Ipv6Addr::from_bits(ip.to_bits() & mask).into()
        }
        four @ IpAddr::V4(_) => four,
    }
}
