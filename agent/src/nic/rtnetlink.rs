//! A request to the kernel's rtnetlink(7), and reading what the kernel sends.

use std::io;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// Messages are aligned to so many bytes (`NLMSG_ALIGNTO`).
const ALIGN: usize = 4;

/// A socket for dumps.
#[derive(Debug)]
pub(super) struct Rtnetlink {
    socket: Socket,
    sequence: u32,
}

impl Rtnetlink {
    /// Opens a socket.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Asks for a dump and hands on its messages. False if a change cut across it.
    pub fn dump(&mut self, request: Message, mut each: impl FnMut(Message)) -> io::Result<bool> {
        self.send(request, NLM_F_DUMP)?;
        let mut whole = true;
        loop {
            for NetlinkMessage { header, payload, .. } in self.answers()? {
                whole &= header.flags & NLM_F_DUMP_INTR == 0;
                match payload {
                    NetlinkPayload::InnerMessage(message) => each(message),
                    NetlinkPayload::Done(_) => return Ok(whole),
                    NetlinkPayload::Error(error) => return Err(error.to_io()),
                    _ => {}
                }
            }
        }
    }

    /// Asks for one thing.
    pub fn get(&mut self, request: Message) -> io::Result<Message> {
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

    fn send(&mut self, request: Message, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::from(request));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map(drop)
    }

    /// Waits for answers. What is left over from a request that was given up is none of them.
    fn answers(&self) -> io::Result<Vec<NetlinkMessage<Message>>> {
        let (bytes, _) = self.socket.recv_from_full()?;
        let ours = |message: &io::Result<NetlinkMessage<Message>>| {
            message.as_ref().map_or(true, |it| it.header.sequence_number == self.sequence)
        };
        messages(&bytes).filter(ours).collect()
    }
}

/// The messages in what the kernel sent at once. One that can't be read is an error and hides no
/// other.
pub(super) fn messages(bytes: &[u8]) -> impl Iterator<Item = io::Result<NetlinkMessage<Message>>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let unreadable = |error: &dyn std::fmt::Display| io::Error::other(error.to_string());
        let len = match NetlinkBuffer::new_checked(rest) {
            Ok(buffer) => buffer.length() as usize,
            Err(error) => {
                rest = &[];
                return Some(Err(unreadable(&error)));
            }
        };
        let message = NetlinkMessage::deserialize(rest).map_err(|error| unreadable(&error));
        rest = rest.get(len.max(ALIGN).next_multiple_of(ALIGN)..).unwrap_or_default();
        Some(message)
    })
}
