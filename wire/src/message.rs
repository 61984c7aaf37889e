//! Control messages between agent and collector, beside frames.
//!
//! The agent opens the control stream and sends [`Claim`] and [`Hello`]. The collector answers with
//! [`Welcome`] or [`Refused`]. From then on the collector sends [`Ack`] and [`Probe`], and the agent
//! sends [`Inventory`] and [`ProbeReply`]. The answer may take long, because it needs the collector's
//! database. Until then the agent may send its inventory and live frames, which are shown but not
//! stored.

mod enroll;
mod speed;
mod tags;

use rkyv::{Archive, Deserialize, Serialize};

pub use self::enroll::{Enroll, EnrollRequest};
pub use self::speed::link_speed;
pub use self::tags::{TagText, Tags};
use crate::frame::MAX;
use crate::id::{NicName, SessionId};
use crate::kind::Kind;
use crate::seq::Seq;
use crate::tag::TagError;
use crate::time::WallNs;

/// Longest text in a message, bytes.
pub const TEXT_MAX: usize = 256;

/// Longest text of a [`Notice`], bytes.
pub const NOTICE_MAX: usize = 1024;

/// Most entries of a list in a message.
pub const LIST_MAX: usize = 4096;

/// Largest number in a message, except ids and digests: the range of a signed 64-bit column. As
/// nanoseconds since 1970 it is in the year 2262.
pub const NUMBER_MAX: u64 = MAX;

/// Longest reason of a refusal, bytes, since it is logged.
pub const REASON_MAX: usize = 4096;

/// Longest secret, key or certificate chain in a message, bytes: room for a long chain.
pub const BLOB_MAX: usize = 256 << 10;

/// Distinguishes the agent's host from others; sent before [`Hello`]. Older agents don't send it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Claim {
    /// The host of the agent.
    pub host: HostKey,
    /// The running session.
    pub session: SessionId,
}

/// Digests that distinguish hosts without identifying them: each includes the client id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct HostKey {
    /// Of the machine-id; zero without one.
    pub machine: [u8; 16],
    /// Of the boot id; zero without one.
    pub boot: [u8; 16],
}

/// The agent's greeting.
#[derive(Debug, Clone, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Hello {
    /// Sessions with undelivered records, the oldest first and the running one last. If there are too
    /// many, a later connection lists the others once these are done.
    pub sessions: Vec<Session>,
    /// The operator's display name of the client.
    pub alias: String,
    /// Facts about the host.
    pub host: Host,
}

/// One run of an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Session {
    /// Random id.
    pub session: SessionId,
    /// Start of the run, nanoseconds since 1970 (UTC).
    pub started_ns: WallNs,
}

/// Facts about a host that stay constant while an agent runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Host {
    /// Version of the agent.
    pub agent_version: String,
    /// Name of the operating system.
    pub os: String,
    /// Release of the kernel.
    pub kernel: String,
    /// Number of CPUs online.
    pub cpus: u32,
    /// Length of a sample interval, nanoseconds.
    pub sample_interval_ns: u64,
}

/// The collector accepts the agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Welcome {
    /// Version of the collector.
    pub collector_version: String,
    /// The database's progress on each session of the [`Hello`], in its order.
    pub committed: Vec<Committed>,
}

/// The progress of a session in the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Committed {
    /// The session.
    pub session: SessionId,
    /// Every sequence number up to this one is committed.
    pub seq: Seq,
}

/// Lets the agent verify that the database has its own records. Sent before [`Welcome`] to agents that
/// sent a [`Claim`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Digests {
    /// Digests of the known sessions of the [`Hello`], in its order.
    pub sessions: Vec<SessionDigest>,
}

/// The agent has verified that the database's sessions are its own, so from now on the collector may
/// store what it sends. Earlier live frames are only shown, because they may belong to another future.
/// Sent by agents that sent a [`Claim`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Agreed {
    /// The running session.
    pub session: SessionId,
}

/// The digest of a session's newest committed record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct SessionDigest {
    /// The session.
    pub session: SessionId,
    /// [`crate::codec::digest`] of the record that ends with its committed number.
    pub digest: u64,
}

/// The collector refuses the agent or one of its frames and closes the connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Refused {
    /// The problem and the remedy, for the agent's log.
    pub reason: String,
}

/// The progress of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Ack {
    /// The session.
    pub session: SessionId,
    /// Every sequence number up to this one is in the database, so the agent may delete it.
    pub committed: Seq,
    /// Every sequence number up to this one has arrived.
    pub received: Seq,
    /// Missing ranges before arrived records.
    pub missing: Vec<SeqRange>,
}

/// A range of sequence numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct SeqRange {
    /// First of the range.
    pub first: Seq,
    /// Last of the range, included.
    pub last: Seq,
}

/// The NICs of the host, at the start and after each change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Inventory {
    /// Every captured NIC.
    pub nics: Vec<Nic>,
}

/// One NIC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Nic {
    /// Its name.
    pub name: NicName,
    /// The kernel's index.
    pub index: u32,
    /// Its hardware address; zero without one.
    pub mac: [u8; 6],
    /// Largest packet without the MAC header, bytes.
    pub mtu: u32,
    /// Link speed in bit/s as its driver says, see [`link_speed`]; 0 if unknown.
    pub speed_bits: u64,
    /// Its kind: `physical`, `bond`, `vlan`, `bridge`, `veth`, `tunnel`, ...
    pub kind: String,
    /// Operationally up.
    pub up: bool,
    /// Left out of the host's total, because another captured NIC carries the same bytes.
    pub stacked: bool,
}

/// The collector asks for the agent's time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Probe {
    /// Time of the question by the collector's clock, nanoseconds since 1970 (UTC).
    pub asked_ns: WallNs,
}

/// The agent's answer to a [`Probe`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct ProbeReply {
    /// Copied from the [`Probe`].
    pub asked_ns: WallNs,
    /// Arrival of the probe by the agent's clock.
    pub arrived_ns: WallNs,
    /// Departure of the answer by the agent's clock.
    pub answered_ns: WallNs,
}

/// The issued certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct EnrollReply {
    /// The client's certificate (PEM).
    pub certificate_pem: String,
    /// The CA's certificate (PEM).
    pub ca_pem: String,
}

/// A running agent requests its next certificate, authenticated by the current one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct RenewRequest {
    /// A certificate signing request (PKCS #10, DER).
    pub csr_der: Vec<u8>,
}

/// A collector's message to an agent that stays connected, on a separate stream. Older agents allow no
/// such stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Notice {
    /// The fact and its consequence, for the agent's log; at most [`NOTICE_MAX`] bytes.
    pub text: String,
}

/// Any message on a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is its type's name")]
pub enum Message {
    Claim(Claim),
    Hello(Hello),
    Digests(Digests),
    Welcome(Welcome),
    Agreed(Agreed),
    Refused(Refused),
    Ack(Ack),
    Inventory(Inventory),
    Probe(Probe),
    ProbeReply(ProbeReply),
    EnrollRequest(EnrollRequest),
    Enroll(Enroll),
    EnrollReply(EnrollReply),
    RenewRequest(RenewRequest),
    Notice(Notice),
    Tags(Tags),
}

/// Why a decoded message is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// A text is too long.
    #[error("{what} is {len} bytes long; at most {TEXT_MAX} are allowed")]
    TextTooLong {
        /// Which text.
        what: &'static str,
        /// Its length.
        len: usize,
    },
    /// A list is too long.
    #[error("{what} has {len} entries; at most {LIST_MAX} are allowed")]
    ListTooLong {
        /// Which list.
        what: &'static str,
        /// Its length.
        len: usize,
    },
    /// A text contains a character that databases don't accept.
    #[error("{what} contains a NUL character")]
    TextNul {
        /// Which text.
        what: &'static str,
    },
    /// A number that no peer can mean.
    #[error("{what} is {number}; at most {NUMBER_MAX} is possible")]
    NumberTooLarge {
        /// Which number.
        what: &'static str,
        /// Its value.
        number: u64,
    },
    /// An invalid range.
    #[error("the missing numbers {} to {} are not a range", .0.first, .0.last)]
    Range(SeqRange),
    /// Longer than the limit for its kind.
    #[error("{what} is {len} bytes long; at most {most} are allowed")]
    TooLong {
        /// What.
        what: &'static str,
        /// Its length.
        len: usize,
        /// The longest that is allowed.
        most: usize,
    },
    /// A NIC name that no NIC can have.
    #[error("the NIC inventory holds a name that is empty or not terminated")]
    NicName,
    /// A tag that breaks a rule.
    #[error(transparent)]
    Tag(#[from] TagError),
}

impl Message {
    /// The kind of the message. Code that refuses a message names only this: the contents are the
    /// peer's.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Claim(_) => Kind::Claim,
            Self::Hello(_) => Kind::Hello,
            Self::Digests(_) => Kind::Digests,
            Self::Welcome(_) => Kind::Welcome,
            Self::Agreed(_) => Kind::Agreed,
            Self::Refused(_) => Kind::Refused,
            Self::Ack(_) => Kind::Ack,
            Self::Inventory(_) => Kind::Inventory,
            Self::Probe(_) => Kind::Probe,
            Self::ProbeReply(_) => Kind::ProbeReply,
            Self::EnrollRequest(_) => Kind::EnrollRequest,
            Self::Enroll(_) => Kind::Enroll,
            Self::EnrollReply(_) => Kind::EnrollReply,
            Self::RenewRequest(_) => Kind::RenewRequest,
            Self::Notice(_) => Kind::Notice,
            Self::Tags(_) => Kind::Tags,
        }
    }

    /// Checks constraints beyond the types. Called on everything received, and before sending.
    ///
    /// # Errors
    /// [`MessageError`] names the invalid part.
    pub fn check(&self) -> Result<(), MessageError> {
        match self {
            Self::Hello(hello) => {
                list("the list of sessions", &hello.sessions)?;
                let mut sessions = hello.sessions.iter();
                sessions
                    .try_for_each(|it| number("the start of a session", it.started_ns.get()))?;
                number("the sample interval", hello.host.sample_interval_ns)?;
                text("the alias", &hello.alias)?;
                text("the agent's version", &hello.host.agent_version)?;
                text("the operating system's name", &hello.host.os)?;
                text("the kernel's release", &hello.host.kernel)
            }
            Self::Digests(digests) => list("the list of digests", &digests.sessions),
            Self::Welcome(welcome) => {
                list("the list of sessions", &welcome.committed)?;
                let mut committed = welcome.committed.iter();
                committed.try_for_each(|it| number("a committed sequence number", it.seq.get()))?;
                text("the collector's version", &welcome.collector_version)
            }
            Self::Ack(ack) => {
                list("the list of missing ranges", &ack.missing)?;
                number("the committed sequence number", ack.committed.get())?;
                number("the received sequence number", ack.received.get())?;
                ack.missing.iter().try_for_each(|range| range.check())
            }
            Self::Inventory(inventory) => {
                list("the NIC inventory", &inventory.nics)?;
                inventory.nics.iter().try_for_each(|nic| {
                    nic.name.as_str().ok_or(MessageError::NicName)?;
                    number("the speed of a NIC", nic.speed_bits)?;
                    text("the kind of a NIC", &nic.kind)
                })
            }
            Self::Tags(tags) => {
                number("the age of tags", tags.age_ns)?;
                Ok(tags.check()?)
            }
            Self::Notice(notice) => length("the notice", notice.text.len(), NOTICE_MAX),
            Self::Probe(probe) => number("the time of a probe", probe.asked_ns.get()),
            Self::ProbeReply(reply) => {
                number("the time of a probe", reply.asked_ns.get())?;
                number("the time of a probe's arrival", reply.arrived_ns.get())?;
                number("the time of an answer", reply.answered_ns.get())
            }
            Self::Refused(refused) => length("the reason", refused.reason.len(), REASON_MAX),
            Self::EnrollRequest(request) => {
                text("the client id", &request.client_id)?;
                length("the token's secret", request.secret.len(), BLOB_MAX)?;
                length("the signing request", request.csr_der.len(), BLOB_MAX)
            }
            Self::Enroll(request) => {
                text("the client id", &request.client_id)?;
                length("the token's secret", request.secret.len(), BLOB_MAX)?;
                length("the signing request", request.csr_der.len(), BLOB_MAX)
            }
            Self::EnrollReply(reply) => {
                length("the certificate", reply.certificate_pem.len(), BLOB_MAX)?;
                length("the CA's certificate", reply.ca_pem.len(), BLOB_MAX)
            }
            Self::RenewRequest(request) => {
                length("the signing request", request.csr_der.len(), BLOB_MAX)
            }
            // Any id and any digest is valid.
            Self::Claim(_) | Self::Agreed(_) => Ok(()),
        }
    }
}

impl SeqRange {
    fn check(&self) -> Result<(), MessageError> {
        number("a missing sequence number", self.last.get())?;
        let is_range = self.first >= Seq::FIRST && self.first <= self.last;
        if is_range { Ok(()) } else { Err(MessageError::Range(*self)) }
    }
}

fn text(what: &'static str, text: &str) -> Result<(), MessageError> {
    let len = text.len();
    if len > TEXT_MAX {
        return Err(MessageError::TextTooLong { what, len });
    }
    if text.contains('\0') { Err(MessageError::TextNul { what }) } else { Ok(()) }
}

const fn number(what: &'static str, number: u64) -> Result<(), MessageError> {
    if number > NUMBER_MAX { Err(MessageError::NumberTooLarge { what, number }) } else { Ok(()) }
}

const fn length(what: &'static str, len: usize, most: usize) -> Result<(), MessageError> {
    if len > most { Err(MessageError::TooLong { what, len, most }) } else { Ok(()) }
}

fn list<T>(what: &'static str, list: &[T]) -> Result<(), MessageError> {
    let len = list.len();
    if len > LIST_MAX { Err(MessageError::ListTooLong { what, len }) } else { Ok(()) }
}
