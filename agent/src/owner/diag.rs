//! Messages of sock_diag(7) about TCP and UDP sockets (`include/uapi/linux/inet_diag.h`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::nic::rtnetlink::{RawMessage, children, number};

/// Protocol number of TCP.
pub const TCP: u8 = 6;
/// Protocol number of UDP.
pub const UDP: u8 = 17;

/// `SOCK_DIAG_BY_FAMILY`: the kind of requests and answers.
const BY_FAMILY: u16 = 20;

/// Address family of IPv4 (`AF_INET`).
pub const V4: u8 = 2;
/// Address family of IPv6 (`AF_INET6`).
pub const V6: u8 = 10;

/// Bytes of `struct inet_diag_sockid`.
const ID: usize = 48;
/// Bytes of `struct inet_diag_msg`, which an answer begins with.
const ANSWER: usize = 24 + ID;

/// Attributes of an answer.
const PROTOCOL: u16 = 10;
const CGROUP_ID: u16 = 21;
/// The attribute of a request that holds a filter (`INET_DIAG_REQ_BYTECODE`).
const BYTECODE: u16 = 1;
/// Operations of a filter.
const LOCAL_COND: u8 = 7;
const REMOTE_COND: u8 = 8;

/// States of a socket (`include/net/tcp_states.h`).
const TIME_WAIT: u8 = 6;
const LISTEN: u8 = 10;
const NEW_SYN_RECV: u8 = 12;

/// A set of states, as a mask of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct States(u32);

impl States {
    /// Every state.
    pub const ALL: Self = Self(u32::MAX);
    /// Sockets that listen.
    pub const LISTENING: Self = Self(1 << LISTEN);
    /// Sockets with a connection, on the way to one, or closing it.
    pub const CONNECTED: Self = Self(!(1 << LISTEN | 1 << TIME_WAIT | 1 << NEW_SYN_RECV | 1 << 7));
}

/// What the kernel says of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket {
    /// Its state (`TCP_*`, also of UDP).
    pub state: u8,
    /// Protocol number, where the kernel says it: of closed sockets.
    pub protocol: Option<u8>,
    /// Its own end; addresses are IPv4 where they are mapped to IPv6.
    pub local: SocketAddr,
    /// The other end; unspecified if it has none.
    pub remote: SocketAddr,
    /// A number that no other socket has until the host restarts.
    pub cookie: u64,
    /// Number in the kernel's file system of sockets; 0 if no process has it open.
    pub inode: u32,
    /// The user who made it.
    pub uid: u32,
    /// Id of the cgroup that it was made in (Linux 5.8 or later).
    pub cgroup: Option<u64>,
}

impl Socket {
    /// The socket that a message is about.
    #[must_use]
    pub fn of(message: &RawMessage) -> Option<Self> {
        let (header, attributes) = message.body(BY_FAMILY)?.split_at_checked(ANSWER)?;
        let (about, rest) = header.split_at(4);
        let (id, figures) = rest.split_at(ID);
        let port = |at: usize| Some(u16::from_be_bytes(*id.get(at..)?.first_chunk()?));
        let address = |at: usize| address_of(about[0], id.get(at..)?.first_chunk()?);
        let attribute = |wanted| children(attributes).find(|(kind, _)| *kind == wanted);
        Some(Self {
            state: about[1],
            protocol: attribute(PROTOCOL).and_then(|(_, value)| value.first().copied()),
            local: SocketAddr::new(address(4)?, port(0)?),
            remote: SocketAddr::new(address(20)?, port(2)?),
            cookie: u64::from(number(&id[40..])?) | u64::from(number(&id[44..])?) << 32,
            uid: number(&figures[12..])?,
            inode: number(&figures[16..])?,
            cgroup: attribute(CGROUP_ID)
                .and_then(|(_, value)| value.first_chunk().copied())
                .map(u64::from_ne_bytes),
        })
    }

    /// True if it waits for connections.
    #[must_use]
    pub const fn listens(&self) -> bool {
        self.state == LISTEN
    }

    /// True for what is only left of a closed connection, or not yet accepted: nobody's socket.
    #[must_use]
    pub const fn is_remnant(&self) -> bool {
        matches!(self.state, TIME_WAIT | NEW_SYN_RECV) || (self.inode == 0 && self.cgroup.is_none())
    }
}

/// An address of this many bytes in the form that others compare with.
fn address_of(family: u8, bytes: &[u8; 16]) -> Option<IpAddr> {
    match family {
        V4 => Some(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into()),
        V6 => Some(Ipv6Addr::from(*bytes).to_canonical()),
        _ => None,
    }
}

/// Asks for the one TCP socket of these two ends. Without any, the kernel answers with a socket that
/// listens at the local end, if there is one.
#[must_use]
pub fn exactly(local: SocketAddr, remote: SocketAddr) -> RawMessage {
    let family = if local.is_ipv4() && remote.is_ipv4() { V4 } else { V6 };
    let mut id = [local.port(), remote.port()].map(u16::to_be_bytes).concat();
    id.extend([local, remote].map(|end| padded(family, end.ip())).concat());
    request(family, TCP, States::ALL, &id, &[])
}

/// Which sockets to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Filter {
    /// Protocol number of IP.
    pub protocol: u8,
    /// In these states.
    pub states: States,
    /// Bound to this port.
    pub local_port: Option<u16>,
    /// Connected to this address.
    pub remote: Option<IpAddr>,
    /// Connected to this port.
    pub remote_port: Option<u16>,
}

/// Asks for the sockets of a family that pass a filter, which the kernel applies.
#[must_use]
pub fn all(family: u8, filter: &Filter) -> RawMessage {
    let mut conditions = Vec::new();
    if filter.local_port.is_some() {
        conditions.push(condition(LOCAL_COND, filter.local_port, None));
    }
    if filter.remote.is_some() || filter.remote_port.is_some() {
        conditions.push(condition(REMOTE_COND, filter.remote_port, filter.remote));
    }
    let mut left: usize = conditions.iter().map(Vec::len).sum();
    let mut code = Vec::new();
    for mut condition in conditions {
        // Both are lengths of jumps: to the next condition, or behind the end, which refuses.
        let (yes, no) = (condition.len(), left + 4);
        condition[1] = u8::try_from(yes).unwrap_or(u8::MAX);
        condition[2..4].copy_from_slice(&u16::try_from(no).unwrap_or(u16::MAX).to_ne_bytes());
        left -= condition.len();
        code.extend(condition);
    }
    request(family, filter.protocol, filter.states, &[], &code)
}

/// A condition on one end (`struct inet_diag_bc_op`, `struct inet_diag_hostcond`).
fn condition(operation: u8, port: Option<u16>, address: Option<IpAddr>) -> Vec<u8> {
    let port = port.map_or(-1, i32::from);
    let address = match address {
        None => (0, Vec::new()),
        Some(IpAddr::V4(four)) => (V4, four.octets().to_vec()),
        Some(IpAddr::V6(six)) => (V6, six.octets().to_vec()),
    };
    let bits = u8::try_from(address.1.len() * 8).unwrap_or(0);
    let about = [operation, 0, 0, 0, address.0, bits, 0, 0];
    [&about[..], &port.to_ne_bytes(), &address.1].concat()
}

fn padded(family: u8, address: IpAddr) -> [u8; 16] {
    let mut bytes = [0; 16];
    match address {
        IpAddr::V4(four) if family == V4 => bytes[..4].copy_from_slice(&four.octets()),
        IpAddr::V4(four) => bytes = four.to_ipv6_mapped().octets(),
        IpAddr::V6(six) => bytes = six.octets(),
    }
    bytes
}

/// `struct inet_diag_req_v2`. `id` may stop before its end.
fn request(family: u8, protocol: u8, states: States, id: &[u8], code: &[u8]) -> RawMessage {
    let mut body = [&[family, protocol, 0, 0][..], &states.0.to_ne_bytes(), id].concat();
    body.resize(8 + ID - 8, 0);
    // No cookie (`INET_DIAG_NOCOOKIE`).
    body.extend([u8::MAX; 8]);
    if !code.is_empty() {
        let len = u16::try_from(4 + code.len()).unwrap_or(u16::MAX);
        body.extend([len, BYTECODE].map(u16::to_ne_bytes).concat());
        body.extend(code);
    }
    RawMessage::new(BY_FAMILY, body)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A socket of these ends.
    pub fn socket(cookie: u64, local: &str, remote: &str) -> Socket {
        let [local, remote] = [local, remote].map(|end| end.parse().unwrap());
        let (inode, uid, cgroup) = (1, 0, Some(1));
        Socket { state: 1, protocol: None, local, remote, cookie, inode, uid, cgroup }
    }

    /// An answer as the kernel lays it out.
    fn answer(family: u8, state: u8, ends: [(&str, u16); 2], attributes: &[u8]) -> RawMessage {
        let ends = ends.map(|(ip, port)| SocketAddr::new(ip.parse().unwrap(), port));
        let mut body = vec![family, state, 0, 0];
        body.extend(ends.map(|end| end.port().to_be_bytes()).concat());
        body.extend(ends.map(|end| padded(family, end.ip())).concat());
        body.extend([0u32, 7, 1, 0, 0, 0, 1000, 4242].map(u32::to_ne_bytes).concat());
        body.extend(attributes);
        RawMessage::new(BY_FAMILY, body)
    }

    #[test]
    fn an_answer_is_read_with_its_cgroup() {
        let cgroup = [&[12, 0, 21, 0][..], &35_067u64.to_ne_bytes()].concat();
        let mapped = [("::ffff:10.0.0.1", 80), ("::ffff:10.0.0.2", 4000)];
        let socket = Socket::of(&answer(V6, 1, mapped, &cgroup)).unwrap();
        assert_eq!(socket.local.to_string(), "10.0.0.1:80");
        assert_eq!(socket.remote.to_string(), "10.0.0.2:4000");
        assert_eq!((socket.cookie, socket.inode, socket.uid), (7 | 1 << 32, 4242, 1000));
        assert_eq!(socket.cgroup, Some(35_067));
        assert!(!socket.listens() && !socket.is_remnant());
    }

    #[test]
    fn what_is_cut_short_or_of_another_kind_is_no_socket() {
        let whole = answer(V4, 1, [("10.0.0.1", 80), ("10.0.0.2", 4000)], &[]);
        let body = whole.body(BY_FAMILY).unwrap().to_vec();
        assert!(Socket::of(&whole).is_some());
        for len in 0..body.len() {
            assert_eq!(Socket::of(&RawMessage::new(BY_FAMILY, body[..len].to_vec())), None);
        }
        assert_eq!(Socket::of(&RawMessage::new(16, body.clone())), None);
        let strange = RawMessage::new(BY_FAMILY, [&[99], &body[1..]].concat());
        assert_eq!(Socket::of(&strange), None, "an address of an unknown family");
    }

    #[test]
    fn what_is_left_of_a_connection_is_nobodys_socket() {
        let ends = [("10.0.0.1", 80), ("10.0.0.2", 4000)];
        let remnant = |state| Socket::of(&answer(V4, state, ends, &[])).unwrap().is_remnant();
        assert!(remnant(TIME_WAIT) && remnant(NEW_SYN_RECV) && !remnant(1));
    }
}
