//! The bytes of frames and messages: a header, then the validated rkyv archive.
//!
//! | offset | bytes | what, little-endian |
//! |---|---|---|
//! | 0 | 4 | magic, `NMON` |
//! | 4 | 1 | version, 1 |
//! | 5 | 1 | [`Kind`] |
//! | 6 | 2 | reserved, 0 |
//! | 8 | 4 | length of what follows |
//!
//! A frame is packed where that makes it shorter: the length of its archive (4 bytes), then, packed
//! ([`crate::pack`]), the archive of its differences ([`crate::predict`]).
//!
//! The archive's byte order, pointer width and alignment are pinned by rkyv's features in the
//! workspace manifest; the golden files of the tests hold the bytes.

use rkyv::api::high::{HighDeserializer, HighSerializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Error as RkyvError;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::frame::{Frame, FrameError, Mix, SAMPLES_MAX, Sample};
use crate::kind::Kind;
use crate::message::{Message, MessageError};
use crate::pack::{pack, unpack};
use crate::predict::{from_differences, to_differences};

/// Length of the header in bytes.
pub const HEADER_LEN: usize = 12;

/// Longest frame or message, header excluded, bytes: what a reader allocates at most.
pub const LEN_MAX: u32 = 1 << 20;

/// Version of everything that travels.
pub const VERSION: u8 = 1;

const MAGIC: [u8; 4] = *b"NMON";

/// All versions of programs wrote these so far.
const RESERVED: [u8; 2] = [0; 2];

/// What follows a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    kind: Kind,
    len: u32,
}

impl Header {
    /// Length of what follows in bytes, at most [`LEN_MAX`].
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// True if nothing follows.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// What arrived: a frame or a message, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A frame.
    Frame(Frame),
    /// A message.
    Message(Message),
}

/// Why bytes are no frame or message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Not of this protocol at all.
    #[error("not a Network Monitor message: it starts with {0:02x?}")]
    Magic([u8; 4]),
    /// Another version of the protocol.
    #[error(
        "protocol version {0}, but version {VERSION} is spoken here; run agent and collector of \
         the same release"
    )]
    Version(u8),
    /// A kind of message that is not known here, by its number.
    #[error("unknown kind of message {0}; run agent and collector of the same release")]
    Kind(u8),
    /// Reserved bytes that say something, of which nothing is known here.
    #[error(
        "reserved bytes {0:02x?} in a header, which are 0 here; run agent and collector of the \
         same release"
    )]
    Reserved([u8; 2]),
    /// Longer than allowed.
    #[error("a message of {0} bytes; at most {LEN_MAX} are allowed")]
    TooLong(u32),
    /// Shorter or longer than the header says.
    #[error("the header says {said} bytes, {found} are there")]
    Length {
        /// Length the header names.
        said: usize,
        /// Length found.
        found: usize,
    },
    /// The archive is not valid.
    #[error("damaged {kind}: {reason}")]
    Invalid {
        /// Kind of the message.
        kind: Kind,
        /// What the validator says.
        reason: String,
    },
    /// A frame that can't be.
    #[error("impossible frame: {0}")]
    Frame(#[from] FrameError),
    /// A message that can't be.
    #[error("impossible message: {0}")]
    Message(#[from] MessageError),
}

/// Reads a header.
///
/// # Errors
/// [`CodecError`] if it is not one of this protocol and version, or announces too much.
pub fn decode_header(bytes: [u8; HEADER_LEN]) -> Result<Header, CodecError> {
    let [m0, m1, m2, m3, version, kind, r0, r1, l0, l1, l2, l3] = bytes;
    let (magic, len) = ([m0, m1, m2, m3], u32::from_le_bytes([l0, l1, l2, l3]));
    if magic != MAGIC {
        return Err(CodecError::Magic(magic));
    }
    if version != VERSION {
        return Err(CodecError::Version(version));
    }
    if [r0, r1] != RESERVED {
        return Err(CodecError::Reserved([r0, r1]));
    }
    if len > LEN_MAX {
        return Err(CodecError::TooLong(len));
    }
    let kind = Kind::of(kind).ok_or(CodecError::Kind(kind))?;
    Ok(Header { kind, len })
}

/// Reads what a header announced.
///
/// # Errors
/// [`CodecError`] if the bytes are not what the header says, or say what can't be.
pub fn decode_body(header: Header, body: &[u8]) -> Result<Received, CodecError> {
    if body.len() != header.len as usize {
        return Err(CodecError::Length { said: header.len as usize, found: body.len() });
    }
    let message = match header.kind {
        Kind::Frame => return checked(read(header.kind, body)?),
        Kind::PackedFrame => {
            let mut frame = read(header.kind, &unpacked(header.kind, body)?)?;
            from_differences(&mut frame);
            return checked(frame);
        }
        Kind::Hello => Message::Hello(read(header.kind, body)?),
        Kind::Welcome => Message::Welcome(read(header.kind, body)?),
        Kind::Refused => Message::Refused(read(header.kind, body)?),
        Kind::Ack => Message::Ack(read(header.kind, body)?),
        Kind::Inventory => Message::Inventory(read(header.kind, body)?),
        Kind::Probe => Message::Probe(read(header.kind, body)?),
        Kind::ProbeReply => Message::ProbeReply(read(header.kind, body)?),
        Kind::EnrollRequest => Message::EnrollRequest(read(header.kind, body)?),
        Kind::Enroll => Message::Enroll(read(header.kind, body)?),
        Kind::EnrollReply => Message::EnrollReply(read(header.kind, body)?),
        Kind::RenewRequest => Message::RenewRequest(read(header.kind, body)?),
        Kind::Digests => Message::Digests(read(header.kind, body)?),
        Kind::Claim => Message::Claim(read(header.kind, body)?),
        Kind::Agreed => Message::Agreed(read(header.kind, body)?),
        Kind::Notice => Message::Notice(read(header.kind, body)?),
    };
    message.check()?;
    Ok(Received::Message(message))
}

/// Reads a header and all that follows, as a datagram or a spool entry holds it.
///
/// # Errors
/// As [`decode_header`] and [`decode_body`].
pub fn decode(bytes: &[u8]) -> Result<Received, CodecError> {
    let short = CodecError::Length { said: HEADER_LEN, found: bytes.len() };
    let (header, body) = bytes.split_first_chunk().ok_or(short)?;
    decode_body(decode_header(*header)?, body)
}

/// The bytes of a frame, header included: [`decode`] reads them.
///
/// # Errors
/// [`FrameError`] if [`decode`] would refuse it.
pub fn encode_frame(frame: &Frame) -> Result<Vec<u8>, FrameError> {
    frame.check()?;
    Ok(frame_bytes(frame))
}

// A frame that passes its check is never too long.
const _: () = assert!(frame_len(SAMPLES_MAX, SAMPLES_MAX) <= HEADER_LEN + LEN_MAX as usize);

/// The bytes of a frame whatever it says, for those who keep what is of no use.
#[must_use]
pub fn frame_bytes(frame: &Frame) -> Vec<u8> {
    let mut differences = frame.clone();
    to_differences(&mut differences);
    let archive = to_archive(&differences);
    let packed = pack(&archive);
    if packed.len() + size_of::<u32>() < archive.len() {
        let len = len_u32(&archive).to_le_bytes();
        return with_header(Kind::PackedFrame, &[&len, &packed]);
    }
    with_header(Kind::Frame, &[&to_archive(frame)])
}

/// Digest of a frame: equal ones, and practically no others, have equal digests. They are kept in
/// databases, and stay what they are.
#[must_use]
pub fn digest(frame: &Frame) -> u64 {
    let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = Sha256::digest(to_archive(frame)).into();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// Longest that the bytes of a frame with so many samples and mixes can be, header included.
#[must_use]
pub const fn frame_len(samples: usize, mixes: usize) -> usize {
    HEADER_LEN
        + size_of::<rkyv::Archived<Frame>>()
        + samples * size_of::<rkyv::Archived<Sample>>()
        + mixes * size_of::<rkyv::Archived<Mix>>()
}

/// The bytes of a message, header included: [`decode`] reads them.
///
/// # Errors
/// [`CodecError`] if [`decode`] would refuse it.
pub fn encode_message(message: &Message) -> Result<Vec<u8>, CodecError> {
    message.check()?;
    let archive = match message {
        Message::Claim(it) => to_archive(it),
        Message::Hello(it) => to_archive(it),
        Message::Digests(it) => to_archive(it),
        Message::Welcome(it) => to_archive(it),
        Message::Agreed(it) => to_archive(it),
        Message::Refused(it) => to_archive(it),
        Message::Ack(it) => to_archive(it),
        Message::Inventory(it) => to_archive(it),
        Message::Probe(it) => to_archive(it),
        Message::ProbeReply(it) => to_archive(it),
        Message::EnrollRequest(it) => to_archive(it),
        Message::Enroll(it) => to_archive(it),
        Message::EnrollReply(it) => to_archive(it),
        Message::RenewRequest(it) => to_archive(it),
        Message::Notice(it) => to_archive(it),
    };
    let bytes = with_header(message.kind(), &[&archive]);
    let len = len_u32(&bytes[HEADER_LEN..]);
    if len > LEN_MAX { Err(CodecError::TooLong(len)) } else { Ok(bytes) }
}

fn checked(frame: Frame) -> Result<Received, CodecError> {
    frame.check()?;
    Ok(Received::Frame(frame))
}

/// The archive of a packed frame.
fn unpacked(kind: Kind, body: &[u8]) -> Result<Vec<u8>, CodecError> {
    let invalid = || CodecError::Invalid { kind, reason: "it is packed wrongly".into() };
    let (len, packed) = body.split_first_chunk().ok_or_else(invalid)?;
    let len = u32::from_le_bytes(*len);
    if len > LEN_MAX {
        return Err(CodecError::TooLong(len));
    }
    unpack(packed, len as usize).ok_or_else(invalid)
}

fn read<T>(kind: Kind, body: &[u8]) -> Result<T, CodecError>
where
    T: Archive,
    T::Archived: for<'a> CheckBytes<HighValidator<'a, RkyvError>>
        + Deserialize<T, HighDeserializer<RkyvError>>,
{
    rkyv::from_bytes::<T, RkyvError>(body)
        .map_err(|error| CodecError::Invalid { kind, reason: error.to_string() })
}

#[allow(clippy::expect_used, reason = "serialising plain data into memory can't fail")]
fn to_archive<T>(value: &T) -> AlignedVec
where
    T: for<'a> Serialize<HighSerializer<AlignedVec, ArenaHandle<'a>, RkyvError>>,
{
    rkyv::to_bytes::<RkyvError>(value).expect("plain data in memory")
}

/// A header and the parts of what follows it.
fn with_header(kind: Kind, parts: &[&[u8]]) -> Vec<u8> {
    let body: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = Vec::with_capacity(HEADER_LEN + body);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[VERSION, kind as u8]);
    bytes.extend_from_slice(&RESERVED);
    bytes.extend_from_slice(&[0; size_of::<u32>()]);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    let len = len_u32(&bytes[HEADER_LEN..]);
    bytes[HEADER_LEN - size_of::<u32>()..HEADER_LEN].copy_from_slice(&len.to_le_bytes());
    bytes
}

#[allow(clippy::expect_used, reason = "the types' bounds keep every body far below 4 GiB")]
fn len_u32(body: &[u8]) -> u32 {
    u32::try_from(body.len()).expect("a body below 4 GiB")
}
