//! Encoding of frames and messages: a header, then the validated rkyv archive.
//!
//! | offset | bytes | what, little-endian |
//! |---|---|---|
//! | 0 | 4 | magic, `NMON` |
//! | 4 | 1 | version, 1 |
//! | 5 | 1 | [`Kind`] |
//! | 6 | 2 | reserved, 0 |
//! | 8 | 4 | length of the body |
//!
//! A frame is packed if that makes it shorter: the length of its archive (4 bytes), then the archive of
//! its differences ([`crate::predict`]), packed ([`crate::pack`]). A frame with talkers has a kind of its
//! own, whose archive holds both and is packed always.
//!
//! rkyv's features in the workspace manifest fix the archive's byte order, pointer width and alignment.
//! The golden files of the tests hold the bytes.

use rkyv::api::high::{HighDeserializer, HighSerializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Error as RkyvError;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::frame::{Frame, FrameError, Mix, SAMPLES_MAX, SAMPLES_WITH_TALKERS_MAX, Sample};
use crate::kind::Kind;
use crate::message::{Message, MessageError};
use crate::pack::{pack, unpack};
use crate::predict::{from_differences, to_differences};
use crate::talkers::{
    OWNER_NAME_MAX, OWNERS_MAX, PROCESS_NAME_MAX, RECORDS_MAX, TALKERS_MAX, Talker, TalkerOwner,
    Talkers,
};

/// Length of the header in bytes.
pub const HEADER_LEN: usize = 12;

/// Longest frame or message without header, bytes: the most that a reader allocates.
pub const LEN_MAX: u32 = 1 << 20;

/// Version of the wire format.
pub const VERSION: u8 = 1;

const MAGIC: [u8; 4] = *b"NMON";

/// All releases so far have written these bytes.
const RESERVED: [u8; 2] = [0; 2];

/// A parsed header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    kind: Kind,
    len: u32,
}

impl Header {
    /// Length of the body in bytes, at most [`LEN_MAX`].
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// True if there is no body.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// The archive of a frame with talkers.
#[derive(Archive, Serialize, Deserialize)]
struct WithTalkers {
    frame: Frame,
    talkers: Vec<Talkers>,
}

/// A checked frame or message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A frame.
    Frame(Frame),
    /// A message.
    Message(Message),
}

/// Why bytes are not a valid frame or message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Another protocol.
    #[error("not a Network Monitor message: it starts with {0:02x?}")]
    Magic([u8; 4]),
    /// Another version of the protocol.
    #[error(
        "protocol version {0}, but this program speaks version {VERSION}; run agent and collector of \
         the same release"
    )]
    Version(u8),
    /// The number of an unknown kind of message.
    #[error("unknown kind of message {0}; run agent and collector of the same release")]
    Kind(u8),
    /// Reserved bytes that are not 0: a newer release gives them a meaning.
    #[error(
        "reserved header bytes are {0:02x?} instead of 0; run agent and collector of the \
         same release"
    )]
    Reserved([u8; 2]),
    /// Longer than allowed.
    #[error("a message of {0} bytes; at most {LEN_MAX} are allowed")]
    TooLong(u32),
    /// The length differs from the header's.
    #[error("the header announces {said} bytes, but {found} are there")]
    Length {
        /// Length in the header.
        said: usize,
        /// Length found.
        found: usize,
    },
    /// The archive is not valid.
    #[error("damaged {kind}")]
    Invalid {
        /// Kind of the message.
        kind: Kind,
        /// The validator's reason.
        #[source]
        error: ArchiveError,
    },
    /// A frame that can't be unpacked.
    #[error("damaged {0}: the packing is invalid")]
    Packed(Kind),
    /// The frame fails its check.
    #[error("impossible frame")]
    Frame(#[from] FrameError),
    /// The message fails its check.
    #[error("impossible message")]
    Message(#[from] MessageError),
}

/// What the validator of archives says: its own error has no more than this text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ArchiveError(String);

/// Parses a header.
///
/// # Errors
/// [`CodecError`] if it has another protocol or version, or announces too much.
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

/// Parses the body that a header announced.
///
/// # Errors
/// [`CodecError`] if the body doesn't match the header or fails its check.
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
        Kind::TalkersFrame => {
            let WithTalkers { mut frame, talkers } =
                read(header.kind, &unpacked(header.kind, body)?)?;
            frame.talkers = talkers;
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
        Kind::Tags => Message::Tags(read(header.kind, body)?),
    };
    message.check()?;
    Ok(Received::Message(message))
}

/// Parses a header and its body, as in a datagram or a spool entry.
///
/// # Errors
/// Those of [`decode_header`] and [`decode_body`].
pub fn decode(bytes: &[u8]) -> Result<Received, CodecError> {
    let short = CodecError::Length { said: HEADER_LEN, found: bytes.len() };
    let (header, body) = bytes.split_first_chunk().ok_or(short)?;
    decode_body(decode_header(*header)?, body)
}

/// Encodes a frame with its header, for [`decode`].
///
/// # Errors
/// [`FrameError`] if [`decode`] would refuse it.
pub fn encode_frame(frame: &Frame) -> Result<Vec<u8>, FrameError> {
    frame.check()?;
    Ok(frame_bytes(frame))
}

// A frame that passes its check is never too long.
const _: () = assert!(frame_len(SAMPLES_MAX, SAMPLES_MAX) <= HEADER_LEN + LEN_MAX as usize);
const _: () = {
    let names = OWNERS_MAX * (OWNER_NAME_MAX + PROCESS_NAME_MAX);
    let records = RECORDS_MAX * record_len(2 * TALKERS_MAX, OWNERS_MAX, names);
    let plain = frame_len(SAMPLES_WITH_TALKERS_MAX, SAMPLES_WITH_TALKERS_MAX);
    assert!(packed_len(plain + records) <= HEADER_LEN + LEN_MAX as usize);
};

/// Encodes a frame without checking it, for callers that store refused frames.
#[must_use]
pub fn frame_bytes(frame: &Frame) -> Vec<u8> {
    let mut differences = frame.clone();
    to_differences(&mut differences);
    let talkers = std::mem::take(&mut differences.talkers);
    if !talkers.is_empty() {
        let archive = to_archive(&WithTalkers { frame: differences, talkers });
        let len = len_u32(&archive).to_le_bytes();
        return with_header(Kind::TalkersFrame, &[&len, &pack(&archive)]);
    }
    let archive = to_archive(&differences);
    let packed = pack(&archive);
    if packed.len() + size_of::<u32>() < archive.len() {
        let len = len_u32(&archive).to_le_bytes();
        return with_header(Kind::PackedFrame, &[&len, &packed]);
    }
    with_header(Kind::Frame, &[&to_archive(frame)])
}

/// An encoded frame as it is sent to programs that don't know talkers ([`crate::ALPN_1`]): the same
/// numbers without the talkers. `None` if it has none, so that it can be sent as it is.
#[must_use]
pub fn without_talkers(encoded: &[u8]) -> Option<Vec<u8>> {
    let header = decode_header(*encoded.first_chunk()?).ok()?;
    if header.kind != Kind::TalkersFrame {
        return None;
    }
    match decode(encoded) {
        Ok(Received::Frame(mut frame)) => {
            frame.talkers.clear();
            Some(frame_bytes(&frame))
        }
        _ => None,
    }
}

/// Digest of a frame that was sent without its talkers.
#[must_use]
pub fn digest_without_talkers(frame: &Frame) -> u64 {
    digest_of(&[&to_archive(frame)])
}

/// Digest of a frame. Equal frames have equal digests, different ones practically never. Databases
/// store digests, so the function must never change.
#[must_use]
pub fn digest(frame: &Frame) -> u64 {
    if frame.talkers.is_empty() {
        return digest_without_talkers(frame);
    }
    digest_of(&[&to_archive(frame), &to_archive(&frame.talkers)])
}

fn digest_of(parts: &[&[u8]]) -> u64 {
    let mut digest = Sha256::new();
    parts.iter().for_each(|part| digest.update(part));
    let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = digest.finalize().into();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// Approximate size of a frame in memory and upper limit of its encoded size, bytes. Packing can make
/// what holds no zeros longer by an eighth, and talkers are packed always.
#[must_use]
pub fn frame_size(frame: &Frame) -> usize {
    let of_record = |it: &Talkers| {
        let talkers = it.rx.talkers.len() + it.tx.talkers.len();
        let names = it.owners.iter().map(|it| it.name.len() + it.process.len()).sum();
        record_len(talkers, it.owners.len(), names)
    };
    let plain = frame_len(frame.samples.len(), frame.mixes.len());
    if frame.talkers.is_empty() {
        return plain;
    }
    packed_len(plain + frame.talkers.iter().map(of_record).sum::<usize>())
}

/// Size of a record of talkers with so many of both directions, owners and bytes of their names.
const fn record_len(talkers: usize, owners: usize, names: usize) -> usize {
    size_of::<rkyv::Archived<Talkers>>()
        + talkers * size_of::<rkyv::Archived<Talker>>()
        + owners * size_of::<rkyv::Archived<TalkerOwner>>()
        + names
}

/// Most bytes that so many become by packing, their length before them included.
const fn packed_len(archive: usize) -> usize {
    archive + archive.div_ceil(8) + 8
}

/// Largest encoded size of a frame without talkers with this many samples and mixes, header included.
#[must_use]
pub const fn frame_len(samples: usize, mixes: usize) -> usize {
    HEADER_LEN
        + size_of::<rkyv::Archived<Frame>>()
        + samples * size_of::<rkyv::Archived<Sample>>()
        + mixes * size_of::<rkyv::Archived<Mix>>()
}

/// Encodes a message with its header, for [`decode`].
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
        Message::Tags(it) => to_archive(it),
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
    let invalid = || CodecError::Packed(kind);
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
        .map_err(|error| CodecError::Invalid { kind, error: ArchiveError(error.to_string()) })
}

#[allow(clippy::expect_used, reason = "serialising plain data into memory can't fail")]
fn to_archive<T>(value: &T) -> AlignedVec
where
    T: for<'a> Serialize<HighSerializer<AlignedVec, ArenaHandle<'a>, RkyvError>>,
{
    rkyv::to_bytes::<RkyvError>(value).expect("plain data in memory")
}

/// Concatenates a header and the parts of its body.
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
