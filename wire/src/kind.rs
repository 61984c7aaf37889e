//! Kinds: the type of a header's body.

use std::fmt;

/// The kind of a body. A number is never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "each but the frames is a message's name")]
pub enum Kind {
    /// An unpacked frame.
    Frame = 1,
    Hello = 2,
    Welcome = 3,
    Refused = 4,
    Ack = 5,
    Inventory = 6,
    Probe = 7,
    ProbeReply = 8,
    EnrollRequest = 9,
    EnrollReply = 10,
    RenewRequest = 11,
    /// A packed frame.
    PackedFrame = 12,
    Claim = 13,
    Digests = 14,
    Agreed = 15,
    Notice = 20,
    Enroll = 21,
    Tags = 22,
    /// A packed frame and its talkers.
    TalkersFrame = 23,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 19] = [
        Self::Frame,
        Self::Hello,
        Self::Welcome,
        Self::Refused,
        Self::Ack,
        Self::Inventory,
        Self::Probe,
        Self::ProbeReply,
        Self::EnrollRequest,
        Self::EnrollReply,
        Self::RenewRequest,
        Self::PackedFrame,
        Self::Claim,
        Self::Digests,
        Self::Agreed,
        Self::Notice,
        Self::Enroll,
        Self::Tags,
        Self::TalkersFrame,
    ];

    /// The kind with this number, if known.
    #[must_use]
    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
