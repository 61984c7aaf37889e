//! Why a connection ends, and the reason sent to the agent.

use settings::InFull;

use super::patience::PATIENCE;
use super::reading::ReadError;
use super::second_host::SecondHost;
use super::sessions::FrameRefused;
use crate::identity::{CLOSE_REFUSED, PeerError};

/// Close code of a connection that broke the protocol.
const CLOSE_PROTOCOL: u32 = 2;

/// Why a connection ends. If the collector decided so, it sends the reason to the agent.
#[derive(Debug, thiserror::Error)]
pub enum End {
    /// The connection is gone: the text is what came over the wire, or why QUIC ended it.
    #[error("{0}")]
    Gone(String),
    #[error("no Hello within {PATIENCE:?}")]
    NoHello,
    #[error("the agent reads nothing")]
    Stuck,
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Lost(PeerError),
    #[error(transparent)]
    SecondHost(Box<SecondHost>),
    #[error("another connection has opened the session")]
    Superseded,
    #[error("{0}")]
    Quarantined(String),
    #[error("bad frame")]
    Frame(#[from] FrameRefused),
    #[error("bad message")]
    Read(#[source] ReadError),
    #[error("the collector has stopped")]
    Stopped,
}

impl From<ReadError> for End {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Gone(error) => Self::Gone(error.in_full().to_string()),
            error => Self::Read(error),
        }
    }
}

impl End {
    /// Close code, and the reason as the label of the metric of refusals.
    pub const fn close(&self) -> Option<(u32, &'static str)> {
        match self {
            Self::Gone(_) | Self::Stopped | Self::Superseded => None,
            Self::NoHello | Self::Stuck => Some((CLOSE_PROTOCOL, "silent")),
            Self::Refused(_) => Some((CLOSE_REFUSED, "refused")),
            Self::Lost(error) => Some((CLOSE_REFUSED, error.reason())),
            Self::SecondHost(_) => Some((CLOSE_REFUSED, "second_host")),
            Self::Quarantined(_) => Some((CLOSE_REFUSED, "quarantined")),
            Self::Frame(_) => Some((CLOSE_PROTOCOL, "bad_frame")),
            Self::Read(_) => Some((CLOSE_PROTOCOL, "bad_message")),
        }
    }
}
