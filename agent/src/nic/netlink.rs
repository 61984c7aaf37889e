//! A request to the kernel by netlink(7), and reading what the kernel sends.

use std::io;
use std::marker::PhantomData;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer, NetlinkDeserializable,
    NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use netlink_sys::{Socket, SocketAddr};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::time::{TimeVal, TimeValLike};

/// Alignment of messages, bytes (`NLMSG_ALIGNTO`).
const ALIGN: usize = 4;

/// A socket for requests whose messages are `M`.
#[derive(Debug)]
pub struct Netlink<M> {
    socket: Socket,
    sequence: u32,
    messages: PhantomData<M>,
}

impl<M: NetlinkSerializable + NetlinkDeserializable> Netlink<M> {
    /// Opens a socket of a protocol ([`netlink_sys::protocols`]).
    pub fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0, messages: PhantomData })
    }

    /// Gives up waiting for an answer after this time ([`io::ErrorKind::WouldBlock`]).
    pub fn set_patience(&mut self, patience: Duration) -> io::Result<()> {
        let micros = i64::try_from(patience.as_micros()).unwrap_or(i64::MAX);
        Ok(setsockopt(&self.socket, ReceiveTimeout, &TimeVal::microseconds(micros))?)
    }

    /// Requests a dump and passes on its messages. False if a change interrupted it.
    pub fn dump(&mut self, request: M, mut each: impl FnMut(M)) -> io::Result<bool> {
        self.dump_while(request, |message| {
            each(message);
            true
        })
    }

    /// Requests a dump and passes on its messages while they are wanted. False if that ended it, which
    /// leaves the rest of the dump in the socket, or if a change interrupted it.
    pub fn dump_while(&mut self, request: M, mut each: impl FnMut(M) -> bool) -> io::Result<bool> {
        self.send(request, NLM_F_DUMP)?;
        let (mut whole, mut wanted) = (true, true);
        while wanted {
            for NetlinkMessage { header, payload, .. } in self.answers()? {
                whole &= header.flags & NLM_F_DUMP_INTR == 0;
                match payload {
                    NetlinkPayload::InnerMessage(message) => wanted = wanted && each(message),
                    NetlinkPayload::Done(_) => return Ok(whole && wanted),
                    NetlinkPayload::Error(error) => return Err(error.to_io()),
                    _ => {}
                }
            }
        }
        Ok(false)
    }

    /// Asks for one thing.
    pub fn get(&mut self, request: M) -> io::Result<M> {
        self.send(request, 0)?;
        loop {
            for NetlinkMessage { payload, .. } in self.answers()? {
                match payload {
                    NetlinkPayload::InnerMessage(message) => return Ok(message),
                    NetlinkPayload::Error(error) => return Err(error.to_io()),
                    _ => {}
                }
            }
        }
    }

    fn send(&mut self, request: M, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(request));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map(drop)
    }

    /// Waits for answers. Skips answers to earlier requests that were given up.
    fn answers(&self) -> io::Result<Vec<NetlinkMessage<M>>> {
        let (bytes, _) = self.socket.recv_from_full()?;
        let ours = |message: &io::Result<NetlinkMessage<M>>| {
            message.as_ref().map_or(true, |it| it.header.sequence_number == self.sequence)
        };
        messages(&bytes).filter(ours).collect()
    }
}

/// The messages in what the kernel sent at once. One that can't be read is an error and hides no
/// other.
pub fn messages<M: NetlinkDeserializable>(
    bytes: &[u8],
) -> impl Iterator<Item = io::Result<NetlinkMessage<M>>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let len = match NetlinkBuffer::new_checked(rest) {
            Ok(buffer) => buffer.length() as usize,
            Err(error) => {
                rest = &[];
                return Some(Err(io::Error::other(error)));
            }
        };
        let message = NetlinkMessage::deserialize(rest).map_err(io::Error::other);
        rest = rest.get(len.max(ALIGN).next_multiple_of(ALIGN)..).unwrap_or_default();
        Some(message)
    })
}
